"""Who finds documents that look like answers, and scores them? Encoders, over all documents of the training data."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder
from lsr.errors import MissingExtraError
from lsr.index import TopK, WindowedIndex
from lsr.index.work import spread
from lsr.sparse import SparseMatrix
from lsr.training.mining.kernels import score_candidates
from lsr.training.teachers.vector_cache import Count, document_vectors, ignore, query_vectors

TILE = 2**14  # documents of one matrix product
Rows = NDArray[np.int64]
Scores = NDArray[np.float32]


class Miner(Protocol):
    """Searches and scores one set of documents; ``queries`` are vectors that `encode` gave."""

    def encode(self, texts: Sequence[str]) -> Any:
        """Vectors of queries."""

    def find(self, queries: Any, depth: int) -> TopK:
        """The best ``depth`` documents of each query, best first; row -1 where there are fewer."""

    def score(self, queries: Any, candidates: Rows) -> Scores:
        """Scores float32[n, k] of documents int64[n, k]; of no meaning where a row is below 0."""


def miner(encoder: Encoder, documents: Sequence[str], count: Count = ignore) -> Miner:
    """The miner that suits ``encoder``, which encodes all ``documents`` now."""
    vectors = document_vectors(encoder, documents, count)
    return SparseMiner(encoder, vectors) if isinstance(vectors, SparseMatrix) else DenseMiner(encoder, vectors)


class SparseMiner:
    """Searches with our own index, on all cores, approximately.

    Args:
        encoder: of queries.
        documents: one row a document.
    """

    def __init__(self, encoder: Encoder, documents: SparseMatrix) -> None:
        self._encoder, self._documents = encoder, documents
        self._index = WindowedIndex.build(documents)
        self._threads = os.cpu_count() or 1

    def encode(self, texts: Sequence[str]) -> SparseMatrix:
        """Vectors of queries."""
        return self._encoder.encode_queries(texts)

    def find(self, queries: SparseMatrix, depth: int) -> TopK:
        """The best documents by inner product."""
        return self._index.search(queries, depth, threads=self._threads)

    def score(self, queries: SparseMatrix, candidates: Rows) -> Scores:
        """Inner products."""
        found = np.empty(candidates.shape, np.float32)
        query_vectors = queries.indptr, queries.terms, queries.values
        forward = self._documents.indptr, self._documents.terms, self._documents.values

        def work(span: tuple[int, int]) -> None:
            score_candidates(span, query_vectors, forward, candidates, np.zeros(queries.dim, np.float32), found)

        spread(work, len(queries), self._threads)
        return found


class DenseMiner:
    """Exact products of dense vectors, a tile of documents at a time, on a GPU where there is one.

    Args:
        encoder: of queries.
        documents: float32[N, H].

    Raises:
        MissingExtraError: torch is not installed.
    """

    def __init__(self, encoder: Encoder, documents: Scores) -> None:
        try:
            import torch
        except ImportError:
            raise MissingExtraError("torch", "torch", "mining with a dense encoder") from None
        self._encoder, self._torch = encoder, torch
        self._documents = torch.from_numpy(documents)
        self._device = "cuda" if torch.cuda.is_available() else "cpu"

    def encode(self, texts: Sequence[str]) -> Scores:
        """Vectors of queries."""
        return np.asarray(query_vectors(self._encoder, texts))

    def find(self, queries: Scores, depth: int) -> TopK:
        """The best documents by inner product."""
        query_vectors = self._torch.from_numpy(queries).to(self._device)
        scores = query_vectors.new_full((len(queries), depth), -np.inf)
        rows = self._torch.full((len(queries), depth), -1, device=self._device)
        for start in range(0, len(self._documents), TILE):
            tile = query_vectors @ self._documents[start : start + TILE].to(self._device).T
            best, at = tile.topk(min(depth, tile.shape[1]))
            scores, kept = self._torch.cat([scores, best], 1).topk(depth)
            rows = self._torch.cat([rows, at + start], 1).gather(1, kept)
        return TopK(rows.cpu().numpy(), scores.cpu().numpy())

    def score(self, queries: Scores, candidates: Rows) -> Scores:
        """Inner products."""
        query_vectors = self._torch.from_numpy(queries)
        columns = [
            (query_vectors * self._documents[self._torch.from_numpy(rows.clip(min=0))]).sum(1) for rows in candidates.T
        ]
        return np.asarray(self._torch.stack(columns, 1).numpy())
