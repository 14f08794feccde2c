"""Search kernels of the windowed engine. Arrays in, arrays out, no validation; serial and nogil.

Shapes and layout as in `windowed_build`.

Loops over postings use unsigned positions: numba tests signed ones for wrap-around, which costs more than the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.intrinsics import four_at, prefetch
from lsr.index.kernels import score_documents, sort_heap
from lsr.index.windowed.build import COLUMNS, LEVELS, Windows
from lsr.kernel import kernel

# Typed numbers: numba compiles a kernel once more for the literal 0 that a loop begins with.
ZERO, TOP = np.int64(0), np.int64(1 << 16)
SHORT = -2  # in the last place of a query's rows: see `search_windows`


class Queries(NamedTuple):
    """Sparse queries; a weight counts ``unit`` times."""

    indptr: NDArray[np.int64]
    terms: NDArray[Any]
    weights: NDArray[np.float32]
    unit: np.float32


class Shape(NamedTuple):
    """Windows of ``width`` documents, over ``dim`` terms."""

    windows: int
    width: int
    dim: int


class Limits(NamedTuple):
    """What a search leaves out: contributions below ``share`` of the largest, all but ``wanted`` documents.

    ``exact`` search sums upper bounds instead and checks all that they leave.
    """

    share: float
    wanted: int
    exact: bool


class Plan(NamedTuple):
    """What is read for a query: ``lists`` of posting lists, ``takers`` of which take from scores.

    Contributions below ``floor`` are left out; the lists left out add ``rest`` to a document at most, those that are
    read add ``gained`` and take ``lost`` at most.
    """

    lists: int
    takers: int
    floor: np.float32
    rest: np.float32
    gained: np.float32
    lost: np.float32


class SumScale(NamedTuple):
    """How contributions become whole numbers.

    Those below ``floor`` are left out; ``unit`` is the value of 1 in the sums, which start at ``base``; ``edge`` is the
    place within a level that stands for its weights: 0.5, or 1 for upper bounds, which are then rounded up.
    """

    floor: np.float32
    unit: np.float32
    edge: np.float32
    base: int


class Scratch(NamedTuple):
    """Room that one thread needs for searching; ``slots`` is all zeros between queries.

    T is the number of terms that a query may have.
    """

    slots: NDArray[Any]  # uint8 or uint16 [V]: place of a term's weight in ``weights``, 0 if not in the query
    weights: NDArray[np.float32]  # [T + 1], the first is 0
    terms: NDArray[np.int64]  # [T]
    lists: NDArray[np.int64]  # [2 T]: the lists that are read
    gains: NDArray[np.float32]  # [2 T]: what one level of each adds
    left: NDArray[np.float32]  # [2 T]: the most that the unread tail of each may add
    sums: NDArray[Any]  # uint8 or uint16 [w * width]
    maxima: NDArray[Any]  # same type [w * COLUMNS]
    histogram: NDArray[np.int64]  # [256]
    candidates: NDArray[np.uint32]  # [w * width]
    found: NDArray[Any]  # type of sums [w * width]: sum of each candidate


@kernel
def _column_maxima(sums: Any, maxima: Any) -> None:
    """maxima[c] = the largest of the sums c, c + COLUMNS, ... of one window; compiles to vector code."""
    for c in range(np.uint64(COLUMNS)):
        maxima[c] = 0
    for start in range(0, sums.size, COLUMNS):
        part = sums[start : start + COLUMNS]
        for c in range(np.uint64(COLUMNS)):
            maxima[c] = part[c] if part[c] > maxima[c] else maxima[c]


@kernel
def _choose_lists(terms: Any, weights: Any, windows: Any, dim: int, share: Any, exact: bool, scratch: Any) -> Any:
    """Write the lists that matter to the scratch, with what one level of each adds to a score; the `Plan`.

    Exact search leaves out what takes: its sums are upper bounds.
    """
    signs = windows.steps.size // dim
    largest = np.float32(0)
    for j in range(terms.size):
        for sign in range(signs):
            largest = max(largest, abs(weights[j]) * windows.steps[terms[j] + sign * dim] * np.float32(LEVELS))
    floor = share * largest
    rest, gained, lost = np.float32(0), np.float32(0), np.float32(0)
    size, takers = 0, 0
    for j in range(terms.size):
        for sign in range(signs):
            gain = (weights[j] if sign == 0 else -weights[j]) * windows.steps[terms[j] + sign * dim]
            most = gain * np.float32(LEVELS)
            if abs(most) < floor or (exact and most <= 0) or most == 0:
                rest += max(most, np.float32(0))
                continue
            scratch.lists[size] = terms[j] + sign * dim
            scratch.gains[size] = gain
            gained += max(most, np.float32(0))
            lost -= min(most, np.float32(0))
            size += 1
            takers += most < 0
    return Plan(size, takers, floor, rest, gained, lost)


@kernel
def _prefetch_lists(n_lists: int, n_windows: int, windows: Any, scratch: Any) -> None:
    """Prefetch where the first window of each list begins."""
    for j in range(n_lists):
        prefetch(windows.heads, scratch.lists[j] * n_windows)
    for j in range(n_lists):
        first = windows.heads[scratch.lists[j] * n_windows]
        prefetch(windows.groups, first[0])
        _prefetch_postings(windows.ids, first[1])


@kernel
def _accumulate(window: int, n_lists: int, windows: Any, n_windows: int, scale: Any, sums: Any, scratch: Any) -> None:
    """Add up one window in ``sums``; ``scratch.left`` keeps the most that the tail of each list may add."""
    heads, groups, ids = windows.heads, windows.groups, windows.ids
    floor, edge = scale.floor, scale.edge
    rounding = np.float32(0.999) if edge == 1 else np.float32(0.5)
    per_unit = np.float32(1) / scale.unit
    four, sixteen, mask = np.uint64(4), np.uint64(16), np.uint64(0xFFFF)
    for row in range(np.uint64(sums.size)):
        sums[row] = scale.base
    for j in range(n_lists):
        at = scratch.lists[j] * n_windows + window
        g, first = np.uint64(heads[at, 0]), np.uint64(heads[at, 1])
        stop = np.uint64(heads[at + 1, 0])
        prefetch(groups, stop)
        _prefetch_postings(ids, heads[at + 1, 1])
        gain = abs(scratch.gains[j])
        while g < stop:
            level = np.float32(groups[g] >> np.uint32(16))
            if (level + np.float32(1)) * gain < floor:
                scratch.left[j] = max(scratch.left[j], (level + np.float32(1)) * scratch.gains[j])
                break
            # At least 1, so that every document with a term leaves a trace.
            added = sums.dtype.type(max(np.float32(1), (level + edge) * gain * per_unit + rounding))
            if scratch.gains[j] < 0:
                added = sums.dtype.type(0) - added  # wraps around, and back when added
            end = first + np.uint64(groups[g] & np.uint32(0xFFFF)) + np.uint64(1)
            while first + four <= end:  # four rows a load: loads, not additions, are the narrow place
                rows = four_at(ids, first)
                sums[rows & mask] += added
                sums[(rows >> sixteen) & mask] += added
                sums[(rows >> (sixteen + sixteen)) & mask] += added
                sums[rows >> (sixteen + sixteen + sixteen)] += added
                first += four
            while first < end:
                sums[ids[first]] += added
                first += np.uint64(1)
            g += np.uint64(1)


@kernel
def _prefetch_postings(ids: Any, first: int) -> None:
    """Prefetch the first lines of a window's postings; the processor goes on by itself."""
    prefetch(ids, first)
    prefetch(ids, first + 32)
    prefetch(ids, first + 64)


@kernel
def _raise_floor(maxima: Any, low: int, wanted: int, histogram: Any) -> Any:
    """Count the column maxima of one more window; the greatest value that ``wanted`` of all reach, at least ``low``.

    ``histogram`` int64[256] counts those that reached the floor of their time, by value (by its upper byte in uint16).
    """
    shift = np.uint64(0 if maxima.itemsize == 1 else 8)
    for c in range(maxima.size):
        if maxima[c] >= low:
            histogram[np.uint64(maxima[c]) >> shift] += 1
    found = 0
    for value in range(255, low >> np.int64(shift), -1):
        found += histogram[value]
        if found >= wanted:
            return value << np.int64(shift)
    return low


@kernel
def _collect(sums: Any, maxima: Any, first: int, low: int, high: int, size: int, scratch: Any, indptr: Any) -> int:
    """Append the rows of one window whose sum is in low:high to the candidates; the number of all."""
    size_here = min(sums.size, indptr.size - 1 - first)  # the last window is not full
    for c in range(COLUMNS):
        if maxima[c] < low:
            continue
        for row in range(c, size_here, COLUMNS):
            if low <= sums[row] < high:
                scratch.candidates[size] = first + row
                scratch.found[size] = sums[row]
                prefetch(indptr, first + row)
                size += 1
    return size


@kernel
def _leave_out(sums: Any, allowed: Any) -> None:
    """Forget the sums of documents that must not be found; compiles to vector code, which a condition does not."""
    for row in range(np.uint64(min(sums.size, allowed.size))):
        sums[row] &= allowed[row]


@kernel
def _candidates(
    n_lists: int, windows: Any, shape: Any, scale: Any, limits: Any, allowed: Any, indptr: Any, scratch: Any
) -> Any:
    """Add up all windows and collect the rows with the largest sums; their number and the least sum among them.

    Exact search keeps the sums of every window; otherwise the next one's take their place.
    """
    n_windows, width = shape.windows, shape.width
    low = scale.base + 1
    n = ZERO
    for value in range(scratch.histogram.size):
        scratch.histogram[value] = 0
    for j in range(n_lists):
        scratch.left[j] = 0
    _prefetch_lists(n_lists, n_windows, windows, scratch)
    for window in range(n_windows):
        first = window * width
        place = first if limits.exact else 0
        sums = scratch.sums[place : place + width]
        maxima = scratch.maxima[window * COLUMNS : (window + 1) * COLUMNS]
        _accumulate(window, n_lists, windows, n_windows, scale, sums, scratch)
        if allowed.size:
            _leave_out(sums, allowed[first:])
        _column_maxima(sums, maxima)
        low = _raise_floor(maxima, low, limits.wanted, scratch.histogram)
        n = _collect(sums, maxima, first, low, TOP, n, scratch, indptr)
    kept = 0
    for at in range(n):
        if scratch.found[at] >= low:
            scratch.candidates[kept] = scratch.candidates[at]
            kept += 1
    return kept, low


@kernel
def _search_one(
    terms: Any,
    weights: Any,
    windows: Any,
    shape: Any,
    allowed: Any,
    forward: Any,
    limits: Any,
    scratch: Any,
    scores: Any,
    rows: Any,
) -> None:
    """Search for one query whose weights are in the scratch; fills ``scores`` and ``rows``."""
    n_windows, width, exact = shape.windows, shape.width, limits.exact
    candidates, slots, query = scratch.candidates, scratch.slots, scratch.weights
    top = 255 if scratch.sums.itemsize == 1 else 65535
    edge = np.float32(1) if exact else np.float32(0.5)
    share = np.float32(limits.share)
    size, takers = ZERO, 0
    for _ in range(2):
        plan = _choose_lists(terms, weights, windows, shape.dim, share, exact, scratch)
        rest = plan.rest
        if plan.gained == 0 and rest == 0:
            break
        if plan.gained == 0:  # all that adds is small beside what takes
            share = np.float32(0)
            continue
        takers = plan.takers
        unit = (plan.gained + plan.lost) / np.float32(top - plan.lists - 2)  # each list may round up by 1
        base = np.int64(plan.lost / unit) + takers + 1 if takers else 0
        scale = SumScale(plan.floor, unit, edge, base)
        n, low = _candidates(plan.lists, windows, shape, scale, limits, allowed, forward[0], scratch)
        for j in range(plan.lists):
            rest += scratch.left[j]
        size = score_documents(candidates, n, slots, query, forward, scores, rows, ZERO)
        if not exact and (size == scores.size or rest == 0):
            break
        # A sum is an upper bound of what it adds up; margins cover the rounding of floats.
        reach = scores[0] * np.float32(0.9999) - rest * np.float32(1.0001) if size == scores.size else np.float32(0)
        if exact and (reach > 0 or rest == 0):
            least = max(1, int(reach / unit) - 1)
            n = ZERO
            for window in range(n_windows):
                sums_here = scratch.sums[window * width : (window + 1) * width]
                maxima = scratch.maxima[window * COLUMNS : (window + 1) * COLUMNS]
                n = _collect(sums_here, maxima, window * width, least, low, n, scratch, forward[0])
            size = score_documents(candidates, n, slots, query, forward, scores, rows, size)
            break
        share = np.float32(0)  # what was left out could still decide, or fill the places: add up everything
    sort_heap(scores, rows, size)
    if takers and not exact and size < scores.size:
        rows[-1] = SHORT


@kernel
def search_windows(
    span: Any, queries: Any, windows: Any, shape: Any, allowed: Any, forward: Any, limits: Any, scratch: Any, found: Any
) -> None:
    """Search for the queries span[0]:span[1].

    ``allowed`` is int8[n], -1 where a document may be found and 0 elsewhere, or int8[0] for all; ``found`` is (rows
    int64[queries, k], scores float32[queries, k]). Named tuples come as plain ones, which numba takes apart three
    times as fast.

    The last row of a query is SHORT where documents may be missing because rounded sums hid what takes from scores.
    """
    rows, scores = found
    queries, windows, scratch = Queries(*queries), Windows(*windows), Scratch(*scratch)
    shape, limits = Shape(*shape), Limits(*limits)
    for q in range(span[0], span[1]):
        terms, weights = _take(queries, q, scratch)
        _search_one(terms, weights, windows, shape, allowed, forward, limits, scratch, scores[q], rows[q])
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0


@kernel
def score_rows(span: Any, queries: Any, chosen: Any, forward: Any, scratch: Any, found: Any) -> None:
    """As `search_windows`, over the rows uint32[m] alone, each of them scored."""
    rows, scores = found
    queries, scratch = Queries(*queries), Scratch(*scratch)
    for q in range(span[0], span[1]):
        terms, _ = _take(queries, q, scratch)
        size = score_documents(chosen, chosen.size, scratch.slots, scratch.weights, forward, scores[q], rows[q], ZERO)
        sort_heap(scores[q], rows[q], size)
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0


@kernel
def _take(queries: Any, q: int, scratch: Any) -> Any:
    """Write one query to the scratch; its terms and weights."""
    start, stop = queries.indptr[q], queries.indptr[q + 1]
    terms = scratch.terms[: stop - start]
    weights = scratch.weights[1 : stop - start + 1]
    for j in range(terms.size):
        terms[j] = queries.terms[start + j]
        weights[j] = queries.weights[start + j] * queries.unit
        scratch.slots[terms[j]] = j + 1
    return terms, weights
