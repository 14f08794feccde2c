"""Search kernels of the windowed engine. Arrays in, arrays out, no validation; serial and nogil.

Shapes and layout as in `windowed.build`; segments come as the rows of a table, see `windowed.parts`. What is left out,
and which documents are scored, is decided once for all segments, by sums on one scale: documents found in one of them
spare others the scoring.

Loops over postings use unsigned positions: numba tests signed ones for wrap-around, which costs more than the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.intrinsics import four_at, prefetch
from lsr.index.kernels import score_documents, sort_heap
from lsr.index.windowed.build import COLUMNS, LEVELS
from lsr.index.windowed.parts import chosen_of, part_of
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


class Limits(NamedTuple):
    """What a search leaves out: contributions below ``share`` of the largest, all but ``wanted`` documents.

    ``exact`` search sums upper bounds instead and checks all that they leave.
    """

    share: float
    wanted: int
    exact: bool


class Plan(NamedTuple):
    """What is read for a query in any segment: ``lists`` of posting lists, ``takers`` of which take from scores.

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

    T is the number of terms that a query may have, w that of the windows of all S segments, R that of their rows.
    """

    slots: NDArray[Any]  # uint8 or uint16 [V]: place of a term's weight in ``weights``, 0 if not in the query
    weights: NDArray[np.float32]  # [T + 1], the first is 0
    terms: NDArray[np.int64]  # [T]
    steps: NDArray[np.float32]  # [2 T]: the largest step of each list in any segment
    lists: NDArray[np.int64]  # [2 T]: the lists that are read
    gains: NDArray[np.float32]  # [2 T]: what one level of each adds
    left: NDArray[np.float32]  # [2 T]: the most that the unread tail of each may add
    sums: NDArray[Any]  # uint8 or uint16 [R], or [widest window]
    maxima: NDArray[Any]  # same type [w * COLUMNS]
    histogram: NDArray[np.int64]  # [256]
    candidates: NDArray[np.uint32]  # [R]: rows within their segments
    found: NDArray[Any]  # type of sums [R]: sum of each candidate
    ends: NDArray[np.int64]  # [S]: where the candidates of each segment end


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
def _gather_steps(terms: Any, table: Any, like: Any, steps: Any) -> Any:
    """Write the largest step of each list in any segment; ask for what is read next."""
    for at in range(2 * terms.size):
        steps[at] = 0
    for s in range(table.shape[0]):
        part = part_of(table, s, like)
        for j in range(terms.size):
            if terms[j] >= part.dim:
                break
            for sign in range(part.signs):
                member = terms[j] + sign * part.dim
                steps[2 * j + sign] = max(steps[2 * j + sign], part.steps[member])
                prefetch(part.heads, 2 * member * part.windows)


@kernel
def _plan(weights: Any, steps: Any, share: Any, exact: bool) -> Any:
    """The `Plan` for weights of a query, by the largest ``steps`` of their lists.

    Exact search leaves out what takes: its sums are upper bounds.
    """
    largest = np.float32(0)
    for at in range(2 * weights.size):
        largest = max(largest, abs(weights[at // 2]) * steps[at] * np.float32(LEVELS))
    floor = share * largest
    rest, gained, lost = np.float32(0), np.float32(0), np.float32(0)
    size, takers = 0, 0
    for at in range(2 * weights.size):
        most = _gain(weights, steps[at], at) * np.float32(LEVELS)
        if _is_read(most, floor, exact):
            gained += max(most, np.float32(0))
            lost -= min(most, np.float32(0))
            size += 1
            takers += most < 0
        else:
            rest += max(most, np.float32(0))
    return Plan(size, takers, floor, rest, gained, lost)


@kernel
def _gain(weights: Any, step: Any, at: int) -> Any:
    """What one level of a list adds to a score: list ``at % 2`` of term ``at // 2``."""
    weight = weights[at // 2]
    return (weight if at % 2 == 0 else -weight) * step


@kernel
def _is_read(most: Any, floor: Any, exact: bool) -> bool:
    """Whether a list matters that adds ``most``, or takes it where that is negative."""
    return bool(abs(most) >= floor and most != 0 and (most > 0 or not exact))


@kernel
def _choose_lists(terms: Any, weights: Any, part: Any, floor: Any, exact: bool, scratch: Any) -> Any:
    """Write the lists of a segment that matter, with what one level of each adds; their number, what others add."""
    size, rest = ZERO, np.float32(0)
    for j in range(terms.size):
        if terms[j] >= part.dim:
            break
        for sign in range(part.signs):
            member = terms[j] + sign * part.dim
            gain = _gain(weights, part.steps[member], 2 * j + sign)
            most = gain * np.float32(LEVELS)
            if _is_read(most, floor, exact):
                scratch.lists[size] = member
                scratch.gains[size] = gain
                scratch.left[size] = 0
                size += 1
            else:
                rest += max(most, np.float32(0))
    return size, rest


@kernel
def _prefetch_lists(n_lists: int, part: Any, scratch: Any) -> None:
    """Prefetch where the first window of each list begins."""
    for j in range(n_lists):
        at = 2 * scratch.lists[j] * part.windows
        prefetch(part.groups, part.heads[at])
        _prefetch_postings(part.ids, part.heads[at + 1])


@kernel
def _accumulate(window: int, n_lists: int, part: Any, scale: Any, sums: Any, scratch: Any) -> None:
    """Add up one window in ``sums``; ``scratch.left`` keeps the most that the tail of each list may add."""
    heads, groups, ids = part.heads, part.groups, part.ids
    floor, edge = scale.floor, scale.edge
    rounding = np.float32(0.999) if edge == 1 else np.float32(0.5)
    per_unit = np.float32(1) / scale.unit
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    sixteen, mask = np.uint64(16), np.uint64(0xFFFF)
    for row in range(np.uint64(sums.size)):
        sums[row] = scale.base
    for j in range(n_lists):
        at = np.uint64(2 * (scratch.lists[j] * part.windows + window))
        g, first = np.uint64(heads[at]), np.uint64(heads[at + one])
        stop = np.uint64(heads[at + two])
        prefetch(groups, stop)
        _prefetch_postings(ids, heads[at + three])
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
                first += one
            g += one


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
def _add_up(terms: Any, weights: Any, table: Any, like: Any, scale: Any, limits: Any, scratch: Any) -> Any:
    """Add up all windows and collect the rows with the largest sums; their least sum, and the most that is left out.

    Exact search keeps the sums of every window; otherwise the next one's take their place.
    """
    low, n, place, column, most = scale.base + 1, ZERO, ZERO, ZERO, np.float32(0)
    for value in range(scratch.histogram.size):
        scratch.histogram[value] = 0
    for s in range(table.shape[0]):
        part = part_of(table, s, like)
        n_lists, rest = _choose_lists(terms, weights, part, scale.floor, limits.exact, scratch)
        _prefetch_lists(n_lists, part, scratch)
        for window in range(part.windows):
            first = window * part.width
            sums = scratch.sums[place : place + part.width]
            maxima = scratch.maxima[column : column + COLUMNS]
            _accumulate(window, n_lists, part, scale, sums, scratch)
            if part.mask.size:
                _leave_out(sums, part.mask[first:])
            _column_maxima(sums, maxima)
            low = _raise_floor(maxima, low, limits.wanted, scratch.histogram)
            n = _collect(sums, maxima, first, low, TOP, n, scratch, part.indptr)
            column += COLUMNS
            if limits.exact:
                place += part.width
        for j in range(n_lists):
            rest += scratch.left[j]
        most = max(most, rest)
        scratch.ends[s] = n
    _drop_below(low, scratch)
    return low, most


@kernel
def _drop_below(low: int, scratch: Any) -> None:
    """Forget the candidates whose sum is below ``low``."""
    kept, at = ZERO, ZERO
    for s in range(scratch.ends.size):
        while at < scratch.ends[s]:
            scratch.candidates[kept] = scratch.candidates[at]
            kept += scratch.found[at] >= low
            at += 1
        scratch.ends[s] = kept


@kernel
def _score(table: Any, like: Any, scratch: Any, scores: Any, rows: Any) -> Any:
    """Score the candidates of all segments; the size of the heap."""
    size, first = ZERO, ZERO
    for s in range(table.shape[0]):
        part, last = part_of(table, s, like), scratch.ends[s]
        size = _score_part(scratch.candidates[first:last], part, scratch, scores, rows, size)
        first = last
    return size


@kernel
def _score_part(chosen: Any, part: Any, scratch: Any, scores: Any, rows: Any, size: int) -> Any:
    """Score the rows ``chosen`` of one segment; the size of the heap."""
    forward = part.indptr, part.terms, part.weights
    slots, query = scratch.slots, scratch.weights
    return score_documents(chosen, chosen.size, slots, query, forward, scores, rows, size, part.start)


@kernel
def _score_others(table: Any, like: Any, least: int, low: int, scratch: Any, scores: Any, rows: Any, size: int) -> int:
    """Score the rows whose sums are in least:low; the size of the heap."""
    place, column = ZERO, ZERO
    for s in range(table.shape[0]):
        part, n = part_of(table, s, like), ZERO
        for window in range(part.windows):
            sums = scratch.sums[place : place + part.width]
            maxima = scratch.maxima[column : column + COLUMNS]
            n = _collect(sums, maxima, window * part.width, least, low, n, scratch, part.indptr)
            place += part.width
            column += COLUMNS
        size = _score_part(scratch.candidates[:n], part, scratch, scores, rows, size)
    return size


@kernel
def _search_one(
    terms: Any, weights: Any, table: Any, like: Any, limits: Any, scratch: Any, scores: Any, rows: Any
) -> None:
    """Search for one query whose weights are in the scratch; fills ``scores`` and ``rows``."""
    exact = limits.exact
    top = 255 if scratch.sums.itemsize == 1 else 65535
    edge = np.float32(1) if exact else np.float32(0.5)
    share = np.float32(limits.share)
    size, takers = ZERO, 0
    _gather_steps(terms, table, like, scratch.steps)
    for _ in range(2):
        plan = _plan(weights, scratch.steps, share, exact)
        if plan.gained == 0 and plan.rest == 0:
            break
        if plan.gained == 0:  # all that adds is small beside what takes
            share = np.float32(0)
            continue
        takers = plan.takers
        unit = (plan.gained + plan.lost) / np.float32(top - plan.lists - 2)  # each list may round up by 1
        base = np.int64(plan.lost / unit) + takers + 1 if takers else 0
        scale = SumScale(plan.floor, unit, edge, base)
        low, rest = _add_up(terms, weights, table, like, scale, limits, scratch)
        size = _score(table, like, scratch, scores, rows)
        if not exact and (size == scores.size or rest == 0):
            break
        # A sum is an upper bound of what it adds up; margins cover the rounding of floats.
        reach = scores[0] * np.float32(0.9999) - rest * np.float32(1.0001) if size == scores.size else np.float32(0)
        if exact and (reach > 0 or rest == 0):
            least = max(1, int(reach / unit) - 1)
            size = _score_others(table, like, least, low, scratch, scores, rows, size)
            break
        share = np.float32(0)  # what was left out could still decide, or fill the places: add up everything
    sort_heap(scores, rows, size)
    if takers and not exact and size < scores.size:
        rows[-1] = SHORT


@kernel
def search_windows(span: Any, queries: Any, table: Any, like: Any, limits: Any, scratch: Any, found: Any) -> None:
    """Search for the queries span[0]:span[1] in all segments of the table.

    ``like`` is (terms, weights), arrays of the types that the documents have; ``found`` is (rows int64[queries, k],
    scores float32[queries, k]). Named tuples come as plain ones, which numba takes apart three times as fast.

    The last row of a query is SHORT where documents may be missing because rounded sums hid what takes from scores.
    """
    rows, scores = found
    queries, scratch, limits = Queries(*queries), Scratch(*scratch), Limits(*limits)
    for q in range(span[0], span[1]):
        terms, weights = _take(queries, q, scratch)
        _search_one(terms, weights, table, like, limits, scratch, scores[q], rows[q])
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0


@kernel
def score_rows(span: Any, queries: Any, table: Any, like: Any, scratch: Any, found: Any) -> None:
    """As `search_windows`, over the rows chosen in each segment alone, each of them scored."""
    rows, scores = found
    queries, scratch = Queries(*queries), Scratch(*scratch)
    for q in range(span[0], span[1]):
        terms, _ = _take(queries, q, scratch)
        size = ZERO
        for s in range(table.shape[0]):
            part = part_of(table, s, like)
            size = _score_part(chosen_of(table, s), part, scratch, scores[q], rows[q], size)
        sort_heap(scores[q], rows[q], size)
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0


@kernel
def _take(queries: Any, q: int, scratch: Any) -> Any:
    """Write one query to the scratch, without the terms that no segment knows; its terms and weights."""
    start, stop = queries.indptr[q], queries.indptr[q + 1]
    while stop > start and queries.terms[stop - 1] >= scratch.slots.size:
        stop -= 1
    terms = scratch.terms[: stop - start]
    weights = scratch.weights[1 : stop - start + 1]
    for j in range(terms.size):
        terms[j] = queries.terms[start + j]
        weights[j] = queries.weights[start + j] * queries.unit
        scratch.slots[terms[j]] = j + 1
    return terms, weights
