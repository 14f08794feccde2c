"""Who says how well documents answer a query? Scores from files, other encoders, BM25, or several of them together.

Every teacher gives float32[Q, N] on its device for rows of queries and rows of documents; NaN where it has no opinion.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.errors import TrainingError
from lsr.sparse import SparseMatrix
from lsr.training.data.ragged import Ragged, Rows, home, moved
from lsr.training.data.sources import TrainingData
from lsr.training.recipe import Normaliser
from lsr.training.teachers.vector_cache import Vectors

CPU = torch.device("cpu")
EPSILON = 1e-6  # OpenSearch's code


class Teacher(Protocol):
    """Anything that scores."""

    def scores(self, queries: Rows, documents: Rows) -> torch.Tensor:
        """Scores of every query with every document. float[Q, N]; NaN where nothing is known."""


class StemWeights(NamedTuple):
    """Weights that stems with a row shall have, float32[N, R].

    Attributes:
        absent: where they do not occur in the text.
        present: where they do, beside their counts; None where that is left alone.
    """

    absent: torch.Tensor
    present: torch.Tensor | None = None

    def of(self, absent: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The weights, and which of them are asked for; ``absent`` bool[N, R] marks stems that are not in the text."""
        if self.present is None:
            return self.absent, absent
        return torch.where(absent, self.absent, self.present), torch.ones_like(absent)


class Vectored(Protocol):
    """Anything that says what documents shall be like."""

    def vectors(self, documents: Rows) -> torch.Tensor | StemWeights:
        """Vectors float32[N, V], or weights of stems."""


class ScoredLists:
    """Scores that came with the data; NaN outside the lists.

    Args:
        data: examples with scores; the last one says how well a document answers a query.
        device: where scores are looked up.

    Raises:
        TrainingError: no example has scores.
    """

    def __init__(self, data: TrainingData, device: torch.device = CPU) -> None:
        scored = [(source, source.scores) for source in data.examples if source.scores is not None]
        if not scored:
            raise TrainingError("the data holds no teacher scores: wanted a field 'scores' with one number a document")
        self._columns, self._device = len(data.documents), device
        values = np.concatenate([scores for _, scores in scored])
        owners = np.concatenate([np.repeat(s.queries.astype(np.int64), np.diff(s.borders)) for s, _ in scored])
        keys = owners * self._columns + np.concatenate([s.documents for s, _ in scored])
        known = ~np.isnan(values)
        keys, values = keys[known], values[known]
        keys, last = np.unique(keys[::-1], return_index=True)
        self._keys, self._values = (torch.from_numpy(a).to(device) for a in (keys, values[::-1][last]))

    def scores(self, queries: Rows, documents: Rows) -> torch.Tensor:
        """What the lists say. float[Q, N]; NaN where they say nothing."""
        wanted = moved(queries, self._device)[:, None] * self._columns + moved(documents, self._device)
        at = torch.searchsorted(self._keys, wanted).clamp_(max=self._keys.numel() - 1)
        return self._values[at].masked_fill_(self._keys[at] != wanted, torch.nan)


class DenseVectors:
    """Dot products of stored vectors float[N, H], one row a text, in float32.

    Args:
        queries: rows as in `TrainingData.queries`.
        documents: rows as in `TrainingData.documents`.
        device: where products are taken; the vectors lie there too if they fit.

    Raises:
        TrainingError: the widths differ, or a number is not finite.
    """

    def __init__(
        self, queries: NDArray[np.floating[Any]], documents: NDArray[np.floating[Any]], device: torch.device = CPU
    ) -> None:
        _require_one_width(queries.shape[1], documents.shape[1])
        if not (np.isfinite(queries).all() and np.isfinite(documents).all()):
            raise TrainingError("a teacher's vectors hold a number that is not finite; wanted numbers")
        place = home(device, queries.nbytes + documents.nbytes)
        self._queries, self._documents = (torch.from_numpy(v).to(place) for v in (queries, documents))
        self._device = device

    def scores(self, queries: Rows, documents: Rows) -> torch.Tensor:
        """Dot products. float[Q, N]."""
        return self._rows(self._queries, queries) @ self._rows(self._documents, documents).T

    def vectors(self, documents: Rows) -> torch.Tensor:
        """Stored vectors, float32[N, H]."""
        return self._rows(self._documents, documents)

    def _rows(self, vectors: torch.Tensor, rows: Rows) -> torch.Tensor:
        return vectors[moved(rows, vectors.device)].to(self._device, non_blocking=True).float()


class SparseVectors:
    """Dot products of stored sparse vectors, one row a text.

    Args:
        queries: rows as in `TrainingData.queries`.
        documents: rows as in `TrainingData.documents`.
        device: where products are taken; the vectors lie there too if they fit.

    Raises:
        TrainingError: the widths differ.
    """

    def __init__(self, queries: SparseMatrix, documents: SparseMatrix, device: torch.device = CPU) -> None:
        _require_one_width(queries.dim, documents.dim)
        self._queries, self._documents, self._dim = _Lists(queries, device), _Lists(documents, device), queries.dim

    def scores(self, queries: Rows, documents: Rows) -> torch.Tensor:
        """Dot products over the terms that occur in the queries, the only ones that matter. float[Q, N]."""
        terms, weights = self._queries.padded(queries)
        used = torch.zeros(self._dim + 1, dtype=torch.bool, device=terms.device)
        used[:-1].index_fill_(0, terms.flatten(), True)
        width = min(self._dim, int(self._queries.lengths[queries].sum()) + 1)
        column = torch.where(used, used.cumsum(0) - 1, width)
        return _dense(column[terms], weights, width) @ _dense(*self._documents.columns(documents, column), width).T

    def vectors(self, documents: Rows) -> torch.Tensor:
        """Stored vectors, float32[N, V]."""
        return _dense(*self._documents.padded(documents), self._dim)


class _Lists:
    """The rows of a sparse matrix as tensors."""

    def __init__(self, matrix: SparseMatrix, device: torch.device) -> None:
        self._device, place = device, home(device, 8 * matrix.nnz)
        self._rows, self.lengths = Ragged(matrix.indptr, place), np.diff(matrix.indptr)
        filler = np.zeros(int(matrix.nnz == 0), np.int32)
        self._terms = torch.from_numpy(np.concatenate([matrix.terms.astype(np.int32), filler])).to(place)
        self._weights = torch.from_numpy(np.concatenate([matrix.values, filler.astype(np.float32)])).to(place)

    def padded(self, rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
        """Terms int64[R, L] and weights float32[R, L] of ``rows``; what fills up weighs 0."""
        places, inside = self._rows.padded(rows, max(1, int(self.lengths[rows].max(initial=1))))
        terms, weights = self._terms[places], self._weights[places].masked_fill_(~inside, 0)
        return terms.to(self._device).long(), weights.to(self._device)

    def columns(self, rows: Rows, column: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """`padded` with the column of each term."""
        terms, weights = self.padded(rows)
        return column[terms], weights


def _dense(columns: torch.Tensor, weights: torch.Tensor, width: int) -> torch.Tensor:
    """Rows float32[R, width]; column ``width`` is thrown away."""
    dense = torch.zeros(len(columns), width + 1, device=columns.device)
    return dense.scatter_add_(1, columns, weights)[:, :width]


def _require_one_width(queries: int, documents: int) -> None:
    if queries != documents:
        raise TrainingError(
            f"query vectors have {queries:,} columns, document vectors {documents:,}; wanted vectors of one encoder"
        )


def stored(documents: Vectors, queries: Vectors, device: torch.device = CPU) -> Teacher:
    """A teacher that has given its vectors of documents and of queries, sparse or dense; it scores on ``device``."""
    if isinstance(queries, SparseMatrix) and isinstance(documents, SparseMatrix):
        return SparseVectors(queries, documents, device)
    return DenseVectors(np.asarray(queries), np.asarray(documents), device)


class Ensemble:
    """Weighted mean of normalised scores (arXiv 2411.04403, section 3.3); a recipe multiplies it by its scale.

    An entry is the mean over the teachers that have an opinion on it. An infinite score stays infinite.

    Args:
        teachers: one or more.
        weights: of each; None means equal.
        normaliser: "minmax" to [0, 1] a query, "z" to mean 0 and deviation 1 a query, "affine" to mean and deviation of
            the first teacher a query (SPLADE-v3, section 2), "none".
        targets: vectors of the first teacher as the student shall have them; None where they are the same.

    Raises:
        TrainingError: weights that do not fit the teachers.
    """

    def __init__(
        self,
        teachers: Sequence[Teacher],
        weights: Sequence[float] | None = None,
        normaliser: Normaliser = "minmax",
        targets: Vectored | None = None,
    ) -> None:
        self._weights = [1.0] * len(teachers) if weights is None else list(weights)
        if len(self._weights) != len(teachers) or not teachers or min(self._weights) <= 0:
            raise TrainingError(
                f"{len(self._weights)} weights for {len(teachers)} teachers: wanted one above 0 for each"
            )
        self._teachers, self._normaliser, self._targets = teachers, normaliser, targets

    def scores(self, queries: Rows, documents: Rows) -> torch.Tensor:
        """The teachers together. float[Q, N]."""
        given = [teacher.scores(queries, documents).float() for teacher in self._teachers]
        total, mean = torch.zeros_like(given[0]), torch.zeros_like(given[0])
        for scores, weight in zip(given, self._weights, strict=True):
            known = ~scores.isnan()
            total += weight * known
            brought = normalised(scores, self._normaliser, given[0]).masked_fill(~known, 0)
            mean += weight * torch.where(scores.isinf(), scores, brought)
        return (mean / total).masked_fill(total == 0, torch.nan)

    def vectors(self, documents: Rows) -> torch.Tensor | StemWeights:
        """What the first teacher says of documents, float32[N, V], or what `targets` does.

        Raises:
            TrainingError: it has no vectors.
        """
        if self._targets:
            return self._targets.vectors(documents)
        if not isinstance(teacher := self._teachers[0], DenseVectors | SparseVectors):
            raise TrainingError("loss 'sparse_mse' copies vectors: wanted the folder of an encoder as first teacher")
        return teacher.vectors(documents)


def normalised(scores: torch.Tensor, kind: Normaliser, model: torch.Tensor) -> torch.Tensor:
    """``scores`` [Q, N] brought to one scale a query; NaN stays NaN and counts for nothing.

    ``scores`` and ``model`` are float[Q, N].
    """
    if kind == "none":
        return scores
    if kind == "minmax":
        unknown = scores.isnan()
        low = scores.masked_fill(unknown, torch.inf).amin(1, keepdim=True)
        high = scores.masked_fill(unknown, -torch.inf).amax(1, keepdim=True)
        return (scores - low) / (high - low + EPSILON)
    centre, spread = _mean_and_deviation(scores)
    unit = (scores - centre) / (spread + EPSILON)
    if kind == "z":
        return unit
    centre, spread = _mean_and_deviation(model)
    return unit * spread + centre


def _mean_and_deviation(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    known = ~scores.isnan()
    count = known.sum(1, keepdim=True).clamp(min=1)
    mean = scores.masked_fill(~known, 0).sum(1, keepdim=True) / count
    return mean, ((scores - mean).masked_fill(~known, 0).square().sum(1, keepdim=True) / count).sqrt()
