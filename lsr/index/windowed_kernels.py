"""Kernels of the windowed engine: build and search. Arrays in, arrays out, no validation; serial and nogil.

Shapes: n documents in w windows of ``width`` rows, V terms, G groups, P postings, L levels.

Loops over postings use unsigned positions: numba tests signed ones for wrap-around, which costs more than the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from lsr.index.intrinsics import four_at, prefetch
from lsr.index.kernels import push, sort_heap

LEVELS = 32
COLUMNS = 1024  # maxima kept of each window; one stands for the rows of equal number modulo COLUMNS
AHEAD = 8  # documents whose record is asked for before it is scored
LINE = 64


class Windows(NamedTuple):
    """Postings by term, window and falling level; equal levels form a group.

    ``heads[t * windows + w]`` = (first group, first posting) of window w of term t; both run up to the next head.
    A group is a uint32: its level << 16 | its number of postings - 1; its rows lie in ``ids``, counted from the
    window's first. A weight of level l lies in ``(l * step, (l + 1) * step]`` with the term's ``steps[t]``.
    """

    heads: NDArray[np.uint32]  # [V * windows + 1, 2]
    groups: NDArray[np.uint32]  # [G]
    ids: NDArray[np.uint16]  # [P]
    steps: NDArray[np.float32]  # [V]


class Scratch(NamedTuple):
    """Room that one thread needs for searching; ``slots`` is all zeros between queries."""

    slots: NDArray[Any]  # uint8 or uint16 [V]: place of a term's weight in ``weights``, 0 for terms not asked for
    weights: NDArray[np.float32]  # [256 or 65536], the first is 0
    sums: NDArray[Any]  # uint8 or uint16 [w * width]
    maxima: NDArray[Any]  # same type [w * COLUMNS]
    candidates: NDArray[np.uint32]  # [w * width]


@njit(nogil=True, cache=True)
def count_terms(terms: Any, weights: Any, counts: Any, largest: Any) -> None:
    """counts[t] and the largest weight of each term."""
    for i in range(terms.size):
        term = terms[i]
        counts[term] += 1
        largest[term] = max(largest[term], np.float32(weights[i]))


@njit(nogil=True, cache=True)
def invert(forward: Any, steps: Any, cursor: Any, rows: Any, levels: Any) -> None:
    """Row and level of every posting by term, rows ascending; ``cursor`` int64[V] holds the list starts, then ends."""
    for row in range(forward.indptr.size - 1):
        for i in range(np.uint64(forward.indptr[row]), np.uint64(forward.indptr[row + 1])):
            term = forward.terms[i]
            weight = np.float32(forward.weights[i])
            level = np.int64(weight / steps[term])
            if np.float32(level) * steps[term] >= weight:
                level -= 1
            at = cursor[term]
            rows[at] = row
            levels[at] = max(0, min(level, LEVELS - 1))
            cursor[term] = at + 1


@njit(nogil=True, cache=True)
def group(first: int, last: int, lists: Any, rows: Any, levels: Any, shape: Any, ids: Any, heads: Any) -> Any:
    """Order the postings of terms first:last by window and falling level; their groups.

    Writes ``ids`` in the places of these terms, and ``heads``, where groups count from 0 within this call.
    """
    n_windows, width = shape
    groups = np.empty(lists[last] - lists[first], np.uint32)
    counts = np.zeros(LEVELS, np.int64)
    size = 0
    for term in range(first, last):
        at = lists[term]
        for window in range(n_windows):
            heads[term * n_windows + window, 0] = size
            heads[term * n_windows + window, 1] = at
            for level in range(LEVELS):
                counts[level] = 0
            stop = at
            while stop < lists[term + 1] and rows[stop] < (window + 1) * width:
                counts[levels[stop]] += 1
                stop += 1
            place = at
            for level in range(LEVELS - 1, -1, -1):
                n = counts[level]
                counts[level] = place
                if n:
                    groups[size] = level << 16 | (n - 1)
                    size += 1
                    place += n
            for i in range(at, stop):
                ids[counts[levels[i]]] = rows[i] - window * width
                counts[levels[i]] += 1
            at = stop
    return groups[:size]


@njit(nogil=True, cache=True)
def _column_maxima(sums: Any, maxima: Any) -> None:
    """maxima[c] = the largest of the sums c, c + COLUMNS, ... of one window; compiles to vector code."""
    for c in range(np.uint64(COLUMNS)):
        maxima[c] = 0
    for start in range(0, sums.size, COLUMNS):
        part = sums[start : start + COLUMNS]
        for c in range(np.uint64(COLUMNS)):
            maxima[c] = part[c] if part[c] > maxima[c] else maxima[c]


@njit(nogil=True, cache=True)
def _accumulate(
    terms: Any, weights: Any, windows: Any, n_windows: int, width: int, floor: Any, unit: Any, edge: Any, scratch: Any
) -> Any:
    """Sums and column maxima of all windows; what contributions left out may add to a document.

    Left out is what lies below ``floor``. Sums count in units of ``unit``.

    ``edge`` is the place within a level that stands for its weights: 0.5, or 1 for upper bounds (then rounded up).
    """
    heads, groups, ids = windows.heads, windows.groups, windows.ids
    left = np.zeros(terms.size, np.float32)
    rounding = np.float32(0.999) if edge == 1 else np.float32(0.5)
    per_unit = np.float32(1) / unit
    four, sixteen, mask = np.uint64(4), np.uint64(16), np.uint64(0xFFFF)
    for j in range(terms.size):
        prefetch(heads, terms[j] * n_windows)
    for j in range(terms.size):
        prefetch(groups, heads[terms[j] * n_windows, 0])
        _ask_for_ids(ids, heads[terms[j] * n_windows, 1])
    for window in range(n_windows):
        sums = scratch.sums[window * width : (window + 1) * width]
        for row in range(np.uint64(width)):
            sums[row] = 0
        for j in range(terms.size):
            at = terms[j] * n_windows + window
            g, first = np.uint64(heads[at, 0]), np.uint64(heads[at, 1])
            stop = np.uint64(heads[at + 1, 0])
            prefetch(groups, stop)
            _ask_for_ids(ids, heads[at + 1, 1])
            step = weights[j] * windows.steps[terms[j]]
            while g < stop:
                level = np.float32(groups[g] >> np.uint32(16))
                if (level + np.float32(1)) * step < floor or step <= 0:
                    left[j] = max(left[j], (level + np.float32(1)) * step)
                    break
                # At least 1, so that every document with a term leaves a trace.
                added = sums.dtype.type(max(np.float32(1), (level + edge) * step * per_unit + rounding))
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
        _column_maxima(sums, scratch.maxima[window * COLUMNS : (window + 1) * COLUMNS])
    rest = np.float32(0)
    for j in range(terms.size):
        rest += left[j]
    return rest


@njit(nogil=True, cache=True)
def _ask_for_ids(ids: Any, first: int) -> None:
    """Prefetch the first lines of a window's postings; the processor goes on by itself."""
    prefetch(ids, first)
    prefetch(ids, first + 32)
    prefetch(ids, first + 64)


@njit(nogil=True, cache=True)
def _floor_of(maxima: Any, wanted: int) -> Any:
    """The greatest value, to 1/256 of the type's range, that at least ``wanted`` maxima reach; 1 if fewer do."""
    shift = np.uint64(0 if maxima.itemsize == 1 else 8)
    histogram = np.zeros(1024, np.int64)  # four interleaved ones: a counter is not needed again at once
    for c in range(0, maxima.size, 4):
        for lane in range(4):
            histogram[lane * 256 + np.int64(np.uint64(maxima[c + lane]) >> shift)] += 1
    found = 0
    for value in range(255, 0, -1):
        for lane in range(4):
            found += histogram[lane * 256 + value]
        if found >= wanted:
            return value << np.int64(shift)
    return 1


@njit(nogil=True, cache=True)
def _collect(scratch: Any, n_windows: int, width: int, low: int, high: int, indptr: Any) -> int:
    """Write the rows whose sum is in low:high to the candidates; their number."""
    size = 0
    for at in range(n_windows * COLUMNS):
        if scratch.maxima[at] < low:
            continue
        first = (at // COLUMNS) * width + at % COLUMNS
        for row in range(first, (at // COLUMNS + 1) * width, COLUMNS):
            if low <= scratch.sums[row] < high:
                scratch.candidates[size] = row
                prefetch(indptr, row)
                size += 1
    return size


@njit(nogil=True, cache=True)
def _ask_for(forward: Any, row: int) -> None:
    """Prefetch the lines of a document's terms and weights."""
    start, stop = forward.indptr[row], forward.indptr[row + 1]
    for i in range(start, stop, LINE // forward.terms.itemsize):
        prefetch(forward.terms, i)
    for i in range(start, stop, LINE // forward.weights.itemsize):
        prefetch(forward.weights, i)


@njit(nogil=True, cache=True)
def _dot(slots: Any, query: Any, terms: Any, weights: Any, start: int, stop: int) -> Any:
    """`kernels.dot` with the query's weights found by slot: the same sums in the same order.

    Slots take a quarter of the cache that a dense query takes.
    """
    a = np.float32(0)
    b = np.float32(0)
    c = np.float32(0)
    d = np.float32(0)
    i = np.uint64(start)
    end = np.uint64(stop)
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    while i + four <= end:
        a += query[slots[terms[i]]] * np.float32(weights[i])
        b += query[slots[terms[i + one]]] * np.float32(weights[i + one])
        c += query[slots[terms[i + two]]] * np.float32(weights[i + two])
        d += query[slots[terms[i + three]]] * np.float32(weights[i + three])
        i += four
    while i < end:
        a += query[slots[terms[i]]] * np.float32(weights[i])
        i += one
    return (a + b) + (c + d)


@njit(nogil=True, cache=True)
def _score(scratch: Any, n: int, forward: Any, scores: Any, rows: Any, size: int) -> int:
    """Offer the exact scores of the first n candidates to the heap; its new size."""
    candidates, slots, weights = scratch.candidates, scratch.slots, scratch.weights
    for at in range(min(AHEAD, n)):
        _ask_for(forward, candidates[at])
    for at in range(n):
        if at + AHEAD < n:
            _ask_for(forward, candidates[at + AHEAD])
        row = np.int64(candidates[at])
        score = _dot(slots, weights, forward.terms, forward.weights, forward.indptr[row], forward.indptr[row + 1])
        if score > 0:
            size = push(scores, rows, size, score, row)
    return size


@njit(nogil=True, cache=True)
def _search_one(
    terms: Any, weights: Any, windows: Any, shape: Any, forward: Any, limits: Any, scratch: Any, scores: Any, rows: Any
) -> None:
    """Search for one query whose weights are in the scratch; fills ``scores`` and ``rows``."""
    n_windows, width = shape
    share, wanted, exact = limits
    largest = np.float32(0)
    total = np.float32(0)
    for j in range(terms.size):
        most = weights[j] * windows.steps[terms[j]] * np.float32(LEVELS)
        largest = max(largest, most)
        total += max(most, np.float32(0))
    if total <= 0:
        sort_heap(scores, rows, 0)
        return
    range_of_sums = 255 if scratch.sums.itemsize == 1 else 65535
    unit = total / np.float32(range_of_sums - terms.size)
    edge = np.float32(1) if exact else np.float32(0.5)
    floor = np.float32(share) * largest
    size = 0
    for _ in range(2):
        rest = _accumulate(terms, weights, windows, n_windows, width, floor, unit, edge, scratch)
        low = _floor_of(scratch.maxima, wanted)
        n = _collect(scratch, n_windows, width, low, range_of_sums + 1, forward.indptr)
        size = _score(scratch, n, forward, scores, rows, 0)
        if not exact and (size == scores.size or rest == 0):
            break
        # A sum is an upper bound of what it adds up; margins cover the rounding of floats.
        reach = scores[0] * np.float32(0.9999) - rest * np.float32(1.0001) if size == scores.size else np.float32(0)
        if exact and (reach > 0 or rest == 0):
            least = max(1, int(reach / unit) - 1)
            n = _collect(scratch, n_windows, width, least, low, forward.indptr)
            size = _score(scratch, n, forward, scores, rows, size)
            break
        floor = np.float32(0)  # what was left out could still decide, or fill the places: add up everything
    sort_heap(scores, rows, size)


@njit(nogil=True, cache=True)
def search_windows(
    first: int, last: int, queries: Any, windows: Any, shape: Any, forward: Any, limits: Any, scratch: Any, found: Any
) -> None:
    """Search for the queries first:last.

    ``queries`` = (indptr, terms int64, weights float32 times the value of one document weight), ``shape`` = (windows,
    width), ``limits`` = (share of the largest contribution below which contributions are left out, columns wanted,
    exact?), ``found`` = (rows int64[queries, k], scores float32[queries, k]).
    """
    indptr, query_terms, query_weights = queries
    rows, scores = found
    for q in range(first, last):
        terms = query_terms[indptr[q] : indptr[q + 1]]
        weights = query_weights[indptr[q] : indptr[q + 1]]
        for j in range(terms.size):
            scratch.slots[terms[j]] = j + 1
            scratch.weights[j + 1] = weights[j]
        _search_one(terms, weights, windows, shape, forward, limits, scratch, scores[q], rows[q])
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0
