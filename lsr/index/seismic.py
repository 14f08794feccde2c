"""Which documents are best, with only the promising ones scored? Blocked inverted lists with summaries."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.build_kernels import build_lists, count_postings, fill_postings, heaviest_entries
from lsr.index.kernels import Blocks, Forward, search_seismic
from lsr.index.results import TopK, check_queries, dense_query, empty_results
from lsr.index.work import Span, equal_spans, on_all_cores
from lsr.sparse import SparseMatrix, indptr_of

DOC_CUT = 15  # heaviest terms of a document that decide its cluster
FEWEST_POSTINGS = 64
LISTS_PER_TASK = 1024


@dataclass(frozen=True)
class SeismicSettings:
    """How an index is built and searched; names and meaning as in Seismic (Bruch et al., SIGIR 2024, section 4).

    Attributes:
        n_postings: postings kept for a term on average; 0 takes the square root of the number of documents, at
            least 64.
        max_fraction: no list is longer than this many times n_postings.
        centroid_fraction: clusters of a list, as a share of its postings.
        min_cluster_size: clusters of this size or smaller are dissolved.
        summary_energy: share of its mass that a block's summary keeps, in (0, 1].
        seed: of the random centroids.
        query_cut: heaviest query terms whose lists are read.
        heap_factor: a block is skipped when its estimate is below this times the worst score held; lower is safer
            and slower.
    """

    n_postings: int = 0
    max_fraction: float = 8.0
    centroid_fraction: float = 0.1
    min_cluster_size: int = 2
    summary_energy: float = 0.5
    seed: int = 42
    query_cut: int = 10
    heap_factor: float = 0.8

    def __post_init__(self) -> None:
        if self.n_postings < 0 or self.min_cluster_size < 0 or self.max_fraction <= 0 or self.query_cut < 1:
            raise InputError(f"{self}: wanted n_postings, min_cluster_size >= 0, max_fraction > 0 and query_cut >= 1")
        if not (0 < self.summary_energy <= 1 and 0 < self.centroid_fraction <= 1 and 0 <= self.heap_factor <= 1):
            raise InputError(f"{self}: wanted summary_energy, centroid_fraction in (0, 1] and heap_factor in [0, 1]")


class SeismicIndex:
    """Approximate top-k: lists are pruned, clustered into blocks and summarised; scores stay exact.

    Source: Bruch, Nardini, Rulli, Venturini, "Efficient Inverted Indexes for Approximate Retrieval over Learned
    Sparse Representations", SIGIR 2024, sections 4 and 5.
    """

    def __init__(self, documents: SparseMatrix, blocks: Blocks, settings: SeismicSettings) -> None:
        self._documents, self._blocks, self.settings = documents, blocks, settings
        self._forward = Forward(documents.indptr, documents.terms, documents.weights)

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: SeismicSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> SeismicIndex:
        """Index ``documents`` on all cores; equal for any number of them.

        Args:
            documents: the vectors, one row a document.
            settings: None takes the defaults.
            progress: called with (terms done, terms in all).
        """
        settings = settings or SeismicSettings()
        forward = Forward(documents.indptr, documents.terms, documents.weights)
        blocks = _build_blocks(forward, documents.dim, settings, progress or (lambda done, total: None))
        return cls(documents, blocks, settings)

    def search(self, queries: SparseMatrix, k: int) -> TopK:
        """About the best k documents of each query; scores are exact inner products.

        Raises:
            MismatchError: queries over another vocabulary.
            InputError: k below 1.
        """
        check_queries(queries, self._documents.dim, k)
        found = empty_results(len(queries), k)
        for i in range(len(queries)):
            self._search_one(queries, i, found)
        return found

    def _search_one(self, queries: SparseMatrix, i: int, found: TopK) -> None:
        terms, values = queries.row(i)
        heaviest = np.argsort(-values, kind="stable")[: self.settings.query_cut]
        search_seismic(
            dense_query(queries, i, self._documents.scale),
            terms[heaviest].astype(np.int64),
            np.float32(self.settings.heap_factor),
            self._forward,
            self._blocks,
            np.zeros(len(self._documents), np.uint8),
            found.scores[i],
            found.rows[i],
        )

    def save(self, folder: Path) -> None:
        """Write the block arrays into ``folder``; the document vectors are saved by their owner."""
        for name, array in self._blocks._asdict().items():
            np.save(folder / f"blocks.{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: SeismicSettings) -> SeismicIndex:
        """The index over ``documents`` that `save` wrote into ``folder``.

        Raises:
            ValueError, OSError: an array is missing, or points outside another one.
        """
        arrays = (np.load(folder / f"blocks.{name}.npy", allow_pickle=False) for name in Blocks._fields)
        blocks = Blocks(*arrays)
        _check_borders(blocks, documents)
        return cls(documents, blocks, settings)


def _check_borders(blocks: Blocks, documents: SparseMatrix) -> None:
    """Raise ValueError unless every number that a kernel follows stays inside its array."""
    n_blocks = blocks.low.size
    borders = (
        (blocks.lists, documents.dim, n_blocks),
        (blocks.starts, n_blocks, blocks.postings.size),
        (blocks.summary_starts, n_blocks, blocks.summary_terms.size),
    )
    for starts, parts, end in borders:
        if starts.size != parts + 1 or starts[0] != 0 or starts[-1] != end or (np.diff(starts) < 0).any():
            raise ValueError("block borders do not fit their arrays")
    if blocks.summary_codes.size != blocks.summary_terms.size or blocks.step.size != n_blocks:
        raise ValueError("block summaries have arrays of different lengths")
    for values, end in ((blocks.postings, len(documents)), (blocks.summary_terms, documents.dim)):
        if values.size and int(values.max()) >= end:
            raise ValueError(f"a block points to {values.max()}, beyond the last of {end:,}")


def _build_blocks(
    forward: Forward, dim: int, settings: SeismicSettings, progress: Callable[[int, int], None]
) -> Blocks:
    n = forward.indptr.size - 1
    n_postings = settings.n_postings or max(FEWEST_POSTINGS, math.isqrt(n))
    starts, postings, values = _inverted(forward, dim, n_postings)
    entries = np.empty((n, DOC_CUT), np.int64)
    heaviest_entries(forward, DOC_CUT, entries)
    longest = max(1, int(n_postings * settings.max_fraction))
    tail = (longest, settings.centroid_fraction, settings.min_cluster_size, settings.summary_energy, settings.seed)

    def build(span: Span) -> list[NDArray[Any]]:
        n_blocks, filled, coded = build_lists(*span, starts, postings, values, forward, entries, tail)
        return [array.copy() for array in (n_blocks, *filled, *coded)]  # without the room to grow

    parts = []
    for span, part in on_all_cores(build, equal_spans(starts, max(1, min(64, dim // LISTS_PER_TASK)))):
        parts.append(part)
        progress(span[1], dim)
    return _joined(parts)


def _inverted(forward: Forward, dim: int, n_postings: int) -> tuple[NDArray[np.int64], Any, Any]:
    """List starts [dim + 1], rows and weights of the heaviest dim * n_postings entries (ties all kept), by term."""
    nnz = forward.terms.size
    kept = min(dim * n_postings, nnz)
    threshold = forward.weights.dtype.type(0)
    if kept < nnz:
        threshold = np.partition(forward.weights, nnz - kept)[nnz - kept]
    counts = np.zeros(dim, np.int64)
    count_postings(forward.terms, forward.weights, threshold, counts)
    starts = indptr_of(counts)
    postings = np.empty(starts[-1], np.uint32)
    values = np.empty(starts[-1], forward.weights.dtype)
    fill_postings(forward, threshold, starts[:-1].copy(), postings, values)
    return starts, postings, values


def _joined(parts: list[list[NDArray[Any]]]) -> Blocks:
    """One set of blocks from the parts of consecutive ranges of terms, which are freed on the way."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    names = ("lists", "starts", "postings", "summary_starts", "summary_terms", "summary_codes", "low", "step")
    joined = {}
    for name in names:
        column = columns.pop(0)
        if name in ("starts", "summary_starts"):  # ends within each part
            column = [np.diff(part, prepend=0) for part in column]
        joined[name] = np.concatenate(column)
    borders = {name: indptr_of(joined[name]) for name in ("lists", "starts", "summary_starts")}
    return Blocks(**{**joined, **borders})
