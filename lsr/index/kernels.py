"""Search kernels: arrays in, arrays out, no validation. Serial and nogil; parallel queries are threads.

Shapes: n documents, V terms, B blocks, P postings. A document's score is always made by `dot`, so every search
path gives the same float for the same document.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Forward(NamedTuple):
    """Documents as rows: indptr int64[n + 1], terms uint16/uint32[nnz], weights float32/uint8[nnz]."""

    indptr: NDArray[np.int64]
    terms: NDArray[Any]
    weights: NDArray[Any]


class Blocks(NamedTuple):
    """Posting lists cut into blocks, each with a summary.

    Blocks ``lists[t]:lists[t + 1]`` belong to term t; block b holds the document rows
    ``postings[starts[b]:starts[b + 1]]`` and the summary entries ``summary_starts[b]:summary_starts[b + 1]``,
    whose value is ``low[b] + code * step[b]``.
    """

    lists: NDArray[np.int64]  # [V + 1]
    starts: NDArray[np.int64]  # [B + 1]
    postings: NDArray[np.uint32]  # [P]
    summary_starts: NDArray[np.int64]  # [B + 1]
    summary_terms: NDArray[Any]  # [S]
    summary_codes: NDArray[np.uint8]  # [S]
    low: NDArray[np.float32]  # [B]
    step: NDArray[np.float32]  # [B]


@njit(nogil=True, cache=True)
def dot(query: Any, terms: Any, weights: Any, start: int, stop: int) -> Any:
    """Sum of query[t] * weight over entries start:stop, in four partial sums of fixed order."""
    a = np.float32(0)
    b = np.float32(0)
    c = np.float32(0)
    d = np.float32(0)
    i = start
    while i + 4 <= stop:
        a += query[terms[i]] * np.float32(weights[i])
        b += query[terms[i + 1]] * np.float32(weights[i + 1])
        c += query[terms[i + 2]] * np.float32(weights[i + 2])
        d += query[terms[i + 3]] * np.float32(weights[i + 3])
        i += 4
    while i < stop:
        a += query[terms[i]] * np.float32(weights[i])
        i += 1
    return (a + b) + (c + d)


@njit(nogil=True, cache=True)
def _worse(scores: Any, rows: Any, i: int, j: int) -> bool:
    """Entry i ranks below entry j: a lower score, or the same and a higher row."""
    return bool(scores[i] < scores[j] or (scores[i] == scores[j] and rows[i] > rows[j]))


@njit(nogil=True, cache=True)
def _sink(scores: Any, rows: Any, size: int) -> None:
    """Restore the heap (worst entry on top) after its top changed."""
    i = 0
    while True:
        worst = i
        for child in (2 * i + 1, 2 * i + 2):
            if child < size and _worse(scores, rows, child, worst):
                worst = child
        if worst == i:
            return
        scores[i], scores[worst] = scores[worst], scores[i]
        rows[i], rows[worst] = rows[worst], rows[i]
        i = worst


@njit(nogil=True, cache=True)
def push(scores: Any, rows: Any, size: int, score: Any, row: int) -> int:
    """Offer a document to the heap of the best len(scores); the new size."""
    if size < scores.size:
        i = size
        scores[i] = score
        rows[i] = row
        while i > 0 and _worse(scores, rows, i, (i - 1) // 2):
            parent = (i - 1) // 2
            scores[i], scores[parent] = scores[parent], scores[i]
            rows[i], rows[parent] = rows[parent], rows[i]
            i = parent
        return size + 1
    if score > scores[0] or (score == scores[0] and row < rows[0]):
        scores[0] = score
        rows[0] = row
        _sink(scores, rows, size)
    return size


@njit(nogil=True, cache=True)
def sort_heap(scores: Any, rows: Any, size: int) -> None:
    """Heap to list: best first, ties by row; unused places get row -1 and score 0."""
    for last in range(size - 1, 0, -1):
        scores[0], scores[last] = scores[last], scores[0]
        rows[0], rows[last] = rows[last], rows[0]
        _sink(scores, rows, last)
    for i in range(size, scores.size):
        scores[i] = 0
        rows[i] = -1


@njit(nogil=True, cache=True)
def search_exact(query: Any, forward: Any, allowed: Any, scores: Any, rows: Any) -> None:
    """Score every document with allowed[row] against the dense float32[V] query; the best go to scores, rows [k]."""
    size = 0
    for row in range(forward.indptr.size - 1):
        score = dot(query, forward.terms, forward.weights, forward.indptr[row], forward.indptr[row + 1])
        if score > 0 and allowed[row]:
            size = push(scores, rows, size, score, row)
    sort_heap(scores, rows, size)


@njit(nogil=True, cache=True)
def search_seismic(
    query: Any, cut_terms: Any, heap_factor: Any, forward: Any, blocks: Any, seen: Any, scores: Any, rows: Any
) -> int:
    """Walk the blocks of ``cut_terms`` (heaviest first) and score the documents of every promising one.

    ``seen`` is uint8[n] of zeros. Gives the number of documents scored.
    """
    size = 0
    scored = 0
    for rank in range(cut_terms.size):
        first, last = blocks.lists[cut_terms[rank]], blocks.lists[cut_terms[rank] + 1]
        estimates = np.empty(last - first, np.float32)
        order = np.empty(last - first, np.int64)
        for at in range(last - first):
            estimates[at] = _estimate(query, blocks, first + at)
            order[at] = at
        if rank == 0:
            _sort_falling(estimates, order)
        for at in order:
            if size == scores.size and estimates[at] < heap_factor * scores[0]:
                continue
            for i in range(blocks.starts[first + at], blocks.starts[first + at + 1]):
                row = blocks.postings[i]
                if seen[row]:
                    continue
                seen[row] = 1
                scored += 1
                score = dot(query, forward.terms, forward.weights, forward.indptr[row], forward.indptr[row + 1])
                if score > 0:
                    size = push(scores, rows, size, score, np.int64(row))
    sort_heap(scores, rows, size)
    return scored


@njit(nogil=True, cache=True)
def _sort_falling(keys: Any, order: Any) -> None:
    """Sort ``order`` so that keys[order] falls (shell sort: blocks of one list are few)."""
    gap = order.size // 2
    while gap > 0:
        for i in range(gap, order.size):
            moving = order[i]
            j = i
            while j >= gap and keys[order[j - gap]] < keys[moving]:
                order[j] = order[j - gap]
                j -= gap
            order[j] = moving
        gap //= 2


@njit(nogil=True, cache=True)
def _estimate(query: Any, blocks: Any, block: int) -> Any:
    """Inner product of the query with a block's summary."""
    at_low = np.float32(0)
    above = np.float32(0)
    for i in range(blocks.summary_starts[block], blocks.summary_starts[block + 1]):
        weight = query[blocks.summary_terms[i]]
        at_low += weight
        above += weight * np.float32(blocks.summary_codes[i])
    return at_low * blocks.low[block] + above * blocks.step[block]
