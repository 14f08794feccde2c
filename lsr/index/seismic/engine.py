"""Which documents are best, with only the promising ones scored? Blocked inverted lists with summaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsr.arrays import load_array, save_array
from lsr.errors import VectorError
from lsr.index.allowed import Allowed
from lsr.index.exact import ExactIndex
from lsr.index.kernels import Forward
from lsr.index.results import TopK, checked_k, mask_of
from lsr.index.seismic.build import aligned, build_blocks, build_records, records_in
from lsr.index.seismic.kernels import BINS, MOST_BLOCKS, RECORD, Blocks, Scratch, search_blocks
from lsr.index.settings import SeismicSettings
from lsr.index.work import Span, spread
from lsr.sparse import MOST_WEIGHT, SparseMatrix, check_summable

CHECKED_AT_ONCE = 2**17
DTYPES = "int64", "uint32", "uint32", "int64", "uint32", "uint16", "uint16", "float32"  # of `Blocks`


class SeismicIndex:
    """Approximate top-k: lists are pruned, clustered into blocks and summarised; scores stay exact.

    A query estimates all blocks of its heaviest terms from their summaries and opens them best first. Documents met
    get a first look at their heaviest terms; the best of these are scored exactly.

    Source: Bruch, Nardini, Rulli, Venturini, "Efficient Inverted Indexes for Approximate Retrieval over Learned
    Sparse Representations", SIGIR 2024, sections 4 and 5.
    """

    def __init__(
        self,
        documents: SparseMatrix,
        blocks: Blocks,
        records: NDArray[np.uint8],
        settings: SeismicSettings,
    ) -> None:
        self._documents, self._blocks, self.settings = documents, blocks, settings
        self._records = aligned(records)
        forward = Forward(documents.indptr, documents.terms, documents.weights)
        # Plain tuples of arrays reach a kernel three times as fast as named ones.
        self._arrays = tuple(forward), tuple(blocks), tuple(records_in(self._records))
        self._unit = np.float32(documents.scale)
        self._longest_list = int(np.diff(blocks.lists).max(initial=0))
        self._spare: dict[str, list[Scratch]] = {"uint8": [], "uint16": [], "uint32": []}

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: SeismicSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Index ``documents`` on all cores; equal for any number of them.

        Args:
            documents: the vectors, one row a document.
            settings: None takes the defaults.
            progress: called with (terms done, terms in all).

        Raises:
            InputError: more than 2^32 summary entries.
            VectorError: a weight is negative, or so large that scores could be infinite.
        """
        settings = settings or SeismicSettings()
        check_positive(documents)
        check_summable(documents)
        forward = Forward(documents.indptr, documents.terms, documents.weights)
        blocks = build_blocks(forward, documents.dim, settings, progress or (lambda done, total: None))
        return cls(documents, blocks, build_records(forward), settings)

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        allowed: Allowed | None = None,
        settings: SeismicSettings | None = None,
        threads: int = 1,
    ) -> TopK:
        """About the best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: one row a query.
            k: at least 1, cut to the number of documents.
            exact: ask `ExactIndex` in its place.
            allowed: the documents that may be found; None means all.
            settings: of this search; None takes those of the index.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k or threads below 1.
        """
        if exact:
            return ExactIndex(self._documents).search(queries, k, allowed=allowed)
        k = checked_k(queries, self._documents, k)
        mask = mask_of(allowed, len(self._documents))
        n = len(queries)
        found = TopK(np.empty((n, k), np.int64), np.empty((n, k), np.float32))
        arrays = queries.indptr, queries.terms.astype(np.int64), queries.values * self._unit
        spread(lambda span: self._run(span, arrays, mask, found, settings or self.settings), n, threads)
        return found

    def _run(self, span: Span, queries: Any, allowed: NDArray[np.int8], found: TopK, settings: SeismicSettings) -> None:
        """Search for a range of the queries on this thread."""
        indptr = queries[0]
        longest = int(indptr[-1]) if indptr.size == 2 else int((indptr[1:] - indptr[:-1]).max(initial=0))
        limits = settings.query_cut, settings.heap_factor, settings.first_look
        dtype = "uint8" if longest < 2**8 else "uint16" if longest < 2**16 else "uint32"
        scratch = self._take_scratch(dtype, min(settings.query_cut, longest), found.rows.shape[1])
        search_blocks(*span, queries, limits, self._arrays, allowed, tuple(scratch), tuple(found))
        self._spare[dtype].append(scratch)

    def _take_scratch(self, dtype: str, lists: int, k: int) -> Scratch:
        """Room for ``lists`` lists and k results: used before, or new where that is too small or lent."""
        blocks = min(self._blocks.starts.size - 1, lists * self._longest_list)
        try:
            kept = self._spare[dtype].pop()
        except IndexError:
            return _new_scratch(self._documents, dtype, blocks, k)
        if kept.best.size < k or kept.estimates.size < blocks:
            return _new_scratch(self._documents, dtype, blocks, k)
        return kept

    def save(self, folder: Path) -> None:
        """Write the arrays of the engine into ``folder``; the document vectors are saved by their owner."""
        arrays = {**self._blocks._asdict(), "records": self._records}
        for name, array in arrays.items():
            save_array(folder / f"blocks.{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: SeismicSettings) -> Self:
        """The index over ``documents`` that `save` wrote into ``folder``.

        Raises:
            ValueError, OSError: an array is missing, or points outside another one.
            VectorError: weights so large that scores could be infinite.
        """
        check_summable(documents)
        blocks = Blocks(
            *(
                load_array(folder / f"blocks.{name}.npy", dtype, columns=2 if name == "buckets" else None)
                for name, dtype in zip(Blocks._fields, DTYPES, strict=True)
            )
        )
        records = load_array(folder / "blocks.records.npy", "uint8", columns=RECORD)
        _check_borders(blocks, documents)
        if len(records) != len(documents):
            raise ValueError(f"records of {len(records):,} documents, wanted {len(documents):,}")
        return cls(documents, blocks, records, settings)


def check_positive(documents: SparseMatrix) -> None:
    """Refuse signed vectors: their summaries would not say how good a block can be.

    Raises:
        VectorError: a weight is negative.
    """
    if documents.signed:
        raise VectorError("documents with negative weights: the seismic engine takes none, use the windowed one")


def _new_scratch(documents: SparseMatrix, slots: str, blocks: int, k: int) -> Scratch:
    n, most_terms = len(documents), min(documents.dim, np.iinfo(slots).max)
    return Scratch(
        slots=np.zeros(documents.dim, slots),
        weights=np.zeros(most_terms + 1, np.float32),
        heaviest=np.zeros(most_terms, np.int64),
        table=np.zeros(2**16, np.uint8),
        epochs=np.zeros(n, np.uint8),
        epoch=np.zeros(1, np.int64),
        sums=np.zeros(blocks + MOST_BLOCKS, np.float32),
        estimates=np.zeros(blocks, np.float32),
        order=np.zeros(blocks, np.uint32),
        bins=np.zeros(BINS, np.int64),
        queue=np.zeros(n, np.uint32),
        looks=np.zeros(n, np.float32),
        best=np.zeros(k, np.float32),
        best_rows=np.zeros(k, np.int64),
    )


def _check_borders(blocks: Blocks, documents: SparseMatrix) -> None:
    """Raise ValueError unless every number that a kernel follows stays inside its array."""
    n_blocks, n_buckets = blocks.starts.size - 1, len(blocks.buckets) - 1
    borders = (
        (blocks.lists, documents.dim, n_blocks),
        (blocks.starts, n_blocks, blocks.postings.size),
        (blocks.tables, documents.dim, n_buckets),
        (blocks.buckets[:, 0], n_buckets, blocks.runs.size),
    )
    for starts, parts, end in borders:
        if starts.size != parts + 1 or starts[0] != 0 or starts[-1] != end or (starts[1:] < starts[:-1]).any():
            raise ValueError("block borders do not fit their arrays")
    _check_runs(blocks)
    if blocks.steps.size != documents.dim or not ((blocks.steps >= 0) & (blocks.steps <= MOST_WEIGHT)).all():
        raise ValueError(f"{blocks.steps.size} steps of summaries, wanted {documents.dim} numbers of 0 or more")
    if blocks.postings.size and int(blocks.postings.max()) >= len(documents):
        raise ValueError(f"a block points to {blocks.postings.max()}, beyond the last of {len(documents):,}")


def _check_runs(blocks: Blocks) -> None:
    """Raise ValueError unless the runs of every bucket end where its entries end; takes little memory."""
    runs, entries = blocks.buckets[:, 0].astype(np.int64), blocks.buckets[:, 1]
    if entries[0] != 0 or entries[-1] != blocks.entries.size:
        raise ValueError("runs of summary entries do not fit their array")
    for first in range(0, runs.size - 1, CHECKED_AT_ONCE):
        part = slice(first, first + CHECKED_AT_ONCE + 1)
        inside = blocks.runs[runs[part][0] : runs[part][-1]] & np.uint16(0xFF)
        ends = np.zeros(inside.size + 1, np.int64)
        np.cumsum(inside, dtype=np.int64, out=ends[1:])
        ends += np.arange(ends.size)  # a run holds one entry more than it says
        if not np.array_equal(ends[runs[part] - runs[first]] + entries[first], entries[part]):
            raise ValueError("runs of summary entries do not fit their buckets")
