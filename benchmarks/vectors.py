"""Vectors to measure with: a file of real ones, or random ones of the same shape.

A file is an .npz, also under .xz, with the arrays doc_nnz [n], doc_gap_lo and doc_gap_hi [nnz] (gaps between ascending
terms, the first counted from 0; the high byte apart), doc_weight uint8[nnz], query_nnz, query_term, query_weight.
"""

from __future__ import annotations

import io
import lzma
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from lsr.sparse import SparseMatrix, indptr_of

SCALE = 4 / 255
DIM = 30_522


@dataclass
class Vectors:
    """Documents and queries, and where they come from."""

    documents: SparseMatrix
    queries: SparseMatrix
    source: str

    @cached_property
    def single_queries(self) -> list[SparseMatrix]:
        """One matrix a query."""
        return [self.queries.slice(i, i + 1) for i in range(len(self.queries))]


def read_vectors(path: Path | None, queries: int) -> Vectors:
    """The vectors of a file, or 200,000 random documents; at most so many queries."""
    found = _read(path) if path else _random(200_000, max(queries, 1000))
    return Vectors(found.documents, found.queries.slice(0, min(queries, len(found.queries))), found.source)


def _read(path: Path) -> Vectors:
    content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    arrays = np.load(io.BytesIO(content), allow_pickle=False)
    indptr = indptr_of(arrays["doc_nnz"])
    running = np.cumsum(arrays["doc_gap_lo"].astype(np.int64) + (arrays["doc_gap_hi"].astype(np.int64) << 8))
    before = np.concatenate([[0], running])[indptr[:-1]]
    terms = (running - np.repeat(before, np.diff(indptr))).astype(np.uint16)
    documents = SparseMatrix(indptr, terms, arrays["doc_weight"], DIM, SCALE)
    query_indptr = indptr_of(arrays["query_nnz"])
    queries = SparseMatrix(query_indptr, arrays["query_term"].astype(np.uint16), arrays["query_weight"], DIM, SCALE)
    return Vectors(documents, queries, path.name)


def _random(documents: int, queries: int) -> Vectors:
    """Topics of 400 terms, frequent ones in many, and exponential weights: about 160 terms a document, 22 a query."""
    rng = np.random.default_rng(0)
    shares = 1 / np.arange(1, DIM + 1) ** 0.7
    topics = np.stack([rng.choice(DIM, 400, replace=False, p=shares / shares.sum()) for _ in range(2000)])
    parts = [_drawn(rng, topics, n, draws) for n, draws in ((documents, 204), (queries, 23))]
    return Vectors(parts[0], parts[1], "random vectors: figures say nothing about real ones")


def _drawn(rng: np.random.Generator, topics: np.ndarray, n: int, draws: int) -> SparseMatrix:
    chosen = topics[rng.integers(0, len(topics), n)[:, None], rng.integers(0, topics.shape[1], (n, draws))]
    keys = np.unique((np.arange(n)[:, None] * DIM + chosen).ravel())
    weights = np.clip(rng.exponential(50, keys.size), 1, 255).astype(np.uint8)
    return SparseMatrix(
        indptr_of(np.bincount(keys // DIM, minlength=n)), (keys % DIM).astype(np.uint16), weights, DIM, SCALE
    )
