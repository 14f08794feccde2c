"""How do buckets of texts become one matrix again? Rows are put where their text stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.text_parts import Parts
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype


class Rows:
    """Sparse rows that arrive in any order.

    Args:
        texts: number of rows.
        dim: number of terms.
    """

    def __init__(self, texts: int, dim: int) -> None:
        self._dim = dim
        empty = np.zeros(0, term_dtype(dim)), np.zeros(0, np.float32)
        self._rows: list[tuple[NDArray[Any], NDArray[np.float32]]] = [empty] * texts

    def put(self, at: Sequence[int], counts: NDArray[Any], terms: NDArray[Any], weights: NDArray[np.float32]) -> None:
        """Rows ``at``, given one after the other: ``counts[i]`` terms ascending with their weights.

        Raises:
            EncoderError: a weight is NaN or infinite.
        """
        if not np.isfinite(weights).all():
            raise EncoderError(
                "the network gave NaN or infinite weights; its weights are damaged or of too low precision"
            )
        borders = indptr_of(counts).tolist()
        small = terms.astype(term_dtype(self._dim))
        for i, start, stop in zip(at, borders[:-1], borders[1:], strict=True):
            self._rows[i] = small[start:stop], weights[start:stop]

    def matrix(self) -> SparseMatrix:
        """All rows in order."""
        terms = np.concatenate([np.zeros(0, term_dtype(self._dim)), *(t for t, _ in self._rows)])
        weights = np.concatenate([np.zeros(0, np.float32), *(w for _, w in self._rows)])
        return SparseMatrix(indptr_of([t.size for t, _ in self._rows]), terms, weights, self._dim)


def maxima(rows: SparseMatrix, counts: Sequence[int]) -> SparseMatrix:
    """One row for each of N texts: the largest weight of every term in its ``counts[i]`` rows, which are consecutive.

    Args:
        rows: of all texts in order; the same object where each has one.
        counts: N numbers of 1 or more, which sum to the number of rows.
    """
    if len(counts) == len(rows):
        return rows
    texts = np.repeat(np.repeat(np.arange(len(counts)), counts), np.diff(rows.indptr))
    keys = texts * rows.dim + rows.terms
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    first = order[starts]
    values = np.maximum.reduceat(rows.values[order], starts) if starts.size else rows.values
    indptr = indptr_of(np.bincount(texts[first], minlength=len(counts)))
    return SparseMatrix(indptr, rows.terms[first], values, rows.dim)


def by_parts(
    run: Callable[[Sequence[str]], tuple[SparseMatrix, int]], texts: Sequence[str]
) -> tuple[SparseMatrix, int]:
    """What ``run`` gives for ``texts``: vectors, and how many were truncated.

    Parts of a `WeightedText` are run like texts of their own; of each term the largest weight times that of its part
    stays.
    """
    parts = Parts.of(texts)
    matrix, truncated = run(parts.texts)
    if parts.weights is None:
        return matrix, truncated
    weights = (matrix.values * np.repeat(parts.weights, np.diff(matrix.indptr))).astype(np.float32)
    scaled = SparseMatrix.unchecked(matrix.indptr, matrix.terms, weights, matrix.dim)
    return maxima(scaled, parts.counts), min(truncated, len(texts))
