"""Who says how well documents answer a query? Scores from files, other encoders, BM25, or several of them together.

Every teacher gives float32[Q, N] for rows of queries and rows of documents; NaN where it has no opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder
from lsr.errors import TrainingError
from lsr.sparse import SparseMatrix
from lsr.training.data import TrainingData
from lsr.training.vectors import document_vectors, query_vectors

Normaliser = Literal["minmax", "z", "affine", "none"]
Scores = NDArray[np.float32]
EPSILON = 1e-6  # OpenSearch's code


class Teacher(Protocol):
    """Anything that scores."""

    def scores(self, queries: Sequence[int], documents: Sequence[int]) -> Scores:
        """Scores of every query with every document."""


class ScoredLists:
    """Scores that came with the data; NaN outside the lists.

    Raises:
        TrainingError: no example has scores.
    """

    def __init__(self, data: TrainingData) -> None:
        self._known = {
            (example.query, document): score
            for source in data.examples
            for example in source
            for document, score in zip(example.documents, example.scores or (), strict=False)
        }
        if not self._known:
            raise TrainingError("the data holds no teacher scores: wanted a field 'scores' with one number a document")

    def scores(self, queries: Sequence[int], documents: Sequence[int]) -> Scores:
        """What the lists say."""
        rows = [[self._known.get((query, document), np.nan) for document in documents] for query in queries]
        return np.array(rows, np.float32)


class StoredVectors:
    """Dot products of stored vectors, dense float[N, H] or sparse, one row a text.

    Args:
        queries: rows as in `TrainingData.queries`.
        documents: rows as in `TrainingData.documents`.

    Raises:
        TrainingError: the widths differ.
    """

    def __init__(
        self, queries: NDArray[np.float32] | SparseMatrix, documents: NDArray[np.float32] | SparseMatrix
    ) -> None:
        if queries.shape[1] != documents.shape[1]:
            raise TrainingError(
                f"query vectors have {queries.shape[1]:,} columns, document vectors {documents.shape[1]:,}; "
                "wanted vectors of one encoder"
            )
        self._queries, self._documents = queries, documents

    def scores(self, queries: Sequence[int], documents: Sequence[int]) -> Scores:
        """Dot products."""
        if isinstance(self._queries, SparseMatrix) and isinstance(self._documents, SparseMatrix):
            return _sparse_products(self._queries, queries, self._documents, documents)
        left, right = np.asarray(self._queries)[list(queries)], np.asarray(self._documents)[list(documents)]
        return np.asarray(left @ right.T, np.float32)


def frozen(encoder: Encoder, data: TrainingData) -> StoredVectors:
    """What ``encoder`` gives every text of ``data``, computed once; "bm25" learns its statistics from the documents."""
    documents = document_vectors(encoder, data.documents)
    return StoredVectors(query_vectors(encoder, data.queries), documents)


class Ensemble:
    """Weighted mean of normalised scores, times ``scale`` (arXiv 2411.04403, section 3.3).

    An entry is the mean over the teachers that have an opinion on it.

    Args:
        teachers: one or more.
        weights: of each; None means equal.
        normaliser: "minmax" to [0, 1] a query, "z" to mean 0 and deviation 1 a query, "affine" to mean and deviation of
            the first teacher a query (SPLADE-v3, section 2), "none".
        scale: S; the larger, the sharper the distribution that a student shall copy.

    Raises:
        TrainingError: weights that do not fit the teachers.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        weights: Sequence[float] | None = None,
        normaliser: Normaliser = "minmax",
        scale: float = 30.0,
    ) -> None:
        self._weights = np.ones(len(teachers)) if weights is None else np.asarray(weights, np.float64)
        if self._weights.size != len(teachers) or not teachers or (self._weights <= 0).any():
            raise TrainingError(
                f"{self._weights.size} weights for {len(teachers)} teachers: wanted one above 0 for each"
            )
        self._teachers, self._normaliser, self._scale = teachers, normaliser, scale

    def scores(self, queries: Sequence[int], documents: Sequence[int]) -> Scores:
        """The teachers together."""
        given = [np.asarray(t.scores(queries, documents), np.float64) for t in self._teachers]
        if any(np.isinf(scores).any() for scores in given):
            raise TrainingError("a teacher gave an infinite score; wanted numbers, or NaN for no opinion")
        stacked = np.stack([normalised(scores, self._normaliser, given[0]) for scores in given])
        known = ~np.isnan(stacked)
        weights = self._weights[:, None, None] * known
        total = weights.sum(0)
        mean = (np.nan_to_num(stacked) * weights).sum(0) / np.where(total > 0, total, 1)
        return np.where(total > 0, self._scale * mean, np.nan).astype(np.float32)


def normalised(scores: NDArray[np.float64], kind: Normaliser, model: NDArray[np.float64]) -> NDArray[np.float64]:
    """``scores`` [Q, N] brought to one scale a query; NaN stays NaN and counts for nothing."""
    if kind == "none":
        return scores
    if kind == "minmax":
        low = _over_rows(np.fmin, scores)
        return (scores - low) / (_over_rows(np.fmax, scores) - low + EPSILON)
    centre, spread = _mean_and_deviation(scores)
    unit = (scores - centre) / (spread + EPSILON)
    if kind == "z":
        return unit
    centre, spread = _mean_and_deviation(model)
    return unit * spread + centre


def _over_rows(choose: np.ufunc, scores: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(choose.reduce(scores, axis=1, keepdims=True))


def _mean_and_deviation(scores: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    known = ~np.isnan(scores)
    count = known.sum(1, keepdims=True).clip(min=1)
    mean = np.nan_to_num(scores).sum(1, keepdims=True) / count
    return mean, np.sqrt((np.nan_to_num(scores - mean) ** 2).sum(1, keepdims=True) / count)


def _sparse_products(left: SparseMatrix, rows: Sequence[int], right: SparseMatrix, others: Sequence[int]) -> Scores:
    """Products over the terms that occur in the queries, the only ones that matter."""
    queries = [left.row(row) for row in rows]
    terms = np.unique(np.concatenate([np.zeros(0, np.int64), *(t.astype(np.int64) for t, _ in queries)]))
    documents = [right.row(other) for other in others]
    return _dense(queries, terms) @ _dense(documents, terms).T


def _dense(rows: Sequence[tuple[NDArray[np.unsignedinteger], NDArray[np.float32]]], terms: NDArray[np.int64]) -> Scores:
    dense = np.zeros((len(rows), terms.size), np.float32)
    for i, (own, weights) in enumerate(rows):
        at = np.searchsorted(terms, own)
        at[at == terms.size] = 0
        hit = terms[at] == own if terms.size else np.zeros(own.size, bool)
        dense[i, at[hit]] = weights[hit]
    return dense
