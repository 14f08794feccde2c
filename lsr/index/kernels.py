"""Search kernels: arrays in, arrays out, no validation. Serial and nogil; parallel queries are threads.

Shapes: n documents, V terms. A document's score is always made by `dot`, so every search
path gives the same float for the same document.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.intrinsics import prefetch
from lsr.kernel import kernel

LINE = 64  # bytes that memory gives at once
AHEAD = 8  # documents asked for before they are scored


class Forward(NamedTuple):
    """Documents as rows: indptr int64[n + 1], terms uint16/uint32[nnz], weights float32/uint8[nnz]."""

    indptr: NDArray[np.int64]
    terms: NDArray[Any]
    weights: NDArray[Any]


@kernel
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


@kernel
def _worse(scores: Any, rows: Any, i: int, j: int) -> bool:
    """Entry i ranks below entry j: a lower score, or the same and a higher row."""
    return bool(scores[i] < scores[j] or (scores[i] == scores[j] and rows[i] > rows[j]))


@kernel
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


@kernel
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


@kernel
def sort_heap(scores: Any, rows: Any, size: int) -> None:
    """Heap to list: best first, ties by row; unused places get row -1 and score 0."""
    for last in range(size - 1, 0, -1):
        scores[0], scores[last] = scores[last], scores[0]
        rows[0], rows[last] = rows[last], rows[0]
        _sink(scores, rows, last)
    for i in range(size, scores.size):
        scores[i] = 0
        rows[i] = -1


@kernel
def _prefetch_document(indptr: Any, terms: Any, weights: Any, row: int) -> None:
    """Prefetch the lines of a document's terms and weights."""
    for i in range(indptr[row], indptr[row + 1], LINE // terms.itemsize):
        prefetch(terms, i)
    for i in range(indptr[row], indptr[row + 1], LINE // weights.itemsize):
        prefetch(weights, i)


@kernel
def score_documents(
    candidates: Any, n: int, slots: Any, query: Any, forward: Any, scores: Any, rows: Any, size: int, start: int
) -> int:
    """Offer the exact scores of the first n candidates to the heap, numbered from ``start`` on; its new size.

    Scores are those of `dot`, the same sums in the same order, with the query's weights found by slot: ``slots[t]`` is
    the place of term t in ``query``, whose first weight is 0, for all other terms. Slots take a quarter of the cache
    that a dense query takes, and unsigned positions are not tested for wrap-around.
    """
    indptr, terms, weights = forward
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    for at in range(-AHEAD, n):
        if at + AHEAD < n:
            _prefetch_document(indptr, terms, weights, np.int64(candidates[at + AHEAD]))
        if at < 0:
            continue
        row = np.int64(candidates[at])
        a, b, c, d = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
        i, end = np.uint64(indptr[row]), np.uint64(indptr[row + 1])
        while i + four <= end:
            a += query[slots[terms[i]]] * np.float32(weights[i])
            b += query[slots[terms[i + one]]] * np.float32(weights[i + one])
            c += query[slots[terms[i + two]]] * np.float32(weights[i + two])
            d += query[slots[terms[i + three]]] * np.float32(weights[i + three])
            i += four
        while i < end:
            a += query[slots[terms[i]]] * np.float32(weights[i])
            i += one
        score = (a + b) + (c + d)
        if score > 0 and (size < scores.size or score >= scores[0]):
            size = push(scores, rows, size, score, start + row)
    return size
