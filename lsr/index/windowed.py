"""Which documents are best, by adding up postings in order of impact? The default engine."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.kernels import Forward
from lsr.index.results import TopK, check_queries
from lsr.index.windowed_kernels import (
    COLUMNS,
    LEVELS,
    Scratch,
    Windows,
    count_terms,
    group,
    invert,
    search_windows,
)
from lsr.index.work import Span, equal_spans, on_all_cores
from lsr.sparse import SparseMatrix, indptr_of

TASKS = 64  # of building
WIDEST = 2**16  # rows of a window are uint16
MOST_TERMS = 2**15  # of a query: their rounding must fit in uint16 sums
MOST_TERMS_IN_BYTES = 64  # longer queries add up in uint16: rounding in uint8 would hide their small terms
EXACT_SPARE = 10  # documents above k that are scored before the bound is drawn
EXACT_CUT = 0.02  # of the largest contribution; the rest is covered by the bound


@dataclass(frozen=True)
class WindowedSettings:
    """How much an approximate search leaves out.

    Attributes:
        cut: contributions below this share of the query's largest possible one are not added up, in [0, 1).
        effort: about effort * (30 + 2k) documents with the largest sums are scored exactly.
    """

    cut: float = 0.12
    effort: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.cut < 1 and self.effort > 0):
            raise InputError(f"{self}: wanted cut in [0, 1) and effort above 0")

    def wanted(self, k: int) -> int:
        """Documents to score exactly, at least."""
        return max(1, int(self.effort * (30 + 2 * k)))


class WindowedIndex:
    """Postings by term, window of documents and falling weight; sums in bytes choose who is scored exactly.

    A query adds up, window by window, the weights of its terms, heaviest first, quantised to 32 levels a term and
    summed in uint8 counters that stay in cache; small contributions are left out. The documents with the largest
    sums are scored exactly. Exact search sums upper bounds in uint16 instead, and scores every document that the
    bounds leave in the race.

    After score-at-a-time processing with impact-ordered postings (Lin and Trotman, "Anytime Ranking for
    Impact-Ordered Indexes", ICTIR 2015) and windows with exact re-scoring (SINDI, ICDE 2026).
    """

    def __init__(self, documents: SparseMatrix, windows: Windows, settings: WindowedSettings | None = None) -> None:
        self._documents, self._windows = documents, windows
        self.settings = settings or WindowedSettings()
        self._forward = Forward(documents.indptr, documents.terms, documents.weights)
        self._shape = _shape(len(documents))
        self._unit = np.float32(documents.scale)
        self._local = threading.local()

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: WindowedSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> WindowedIndex:
        """Index ``documents`` on all cores; equal for any number of them.

        Args:
            documents: the vectors, one row a document.
            settings: of the search; None takes the defaults.
            progress: called with (terms done, terms in all).
        """
        return cls(documents, _build(documents, progress or (lambda done, total: None)), settings)

    def search(self, queries: SparseMatrix, k: int, exact: bool = False, threads: int = 1) -> TopK:
        """The best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: one row a query.
            k: at least 1.
            exact: leave nothing out that could matter; then equal to `ExactIndex.search`.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary.
            InputError: k or threads below 1, or a query of more than 32,768 terms.
        """
        check_queries(queries, self._documents.dim, k)
        n = len(queries)
        found = TopK(np.empty((n, k), np.int64), np.empty((n, k), np.float32))
        arrays = queries.indptr, queries.terms.astype(np.int64), queries.values * self._unit
        limits = (EXACT_CUT, k + EXACT_SPARE, True) if exact else (self.settings.cut, self.settings.wanted(k), False)
        if threads == 1 or n == 1:
            self._run(0, n, arrays, limits, found)
        else:
            _spread(lambda first, last: self._run(first, last, arrays, limits, found), n, threads)
        return found

    def _run(self, first: int, last: int, arrays: Any, limits: Any, found: TopK) -> None:
        """Search for the queries first:last on this thread."""
        indptr = arrays[0]
        longest = indptr[last] if last - first == 1 else (indptr[1:] - indptr[:-1]).max(initial=0)
        if longest > MOST_TERMS:
            raise InputError(f"a query has {longest:,} terms: at most {MOST_TERMS:,}; keep its heaviest")
        scratch = self._scratch("uint16" if limits[2] or longest > MOST_TERMS_IN_BYTES else "uint8")
        search_windows(first, last, arrays, self._windows, self._shape, self._forward, limits, scratch, found)

    def save(self, folder: Path) -> None:
        """Write the posting arrays into ``folder``; the document vectors are saved by their owner."""
        for name, array in self._windows._asdict().items():
            np.save(folder / f"windows.{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: WindowedSettings) -> WindowedIndex:
        """The index over ``documents`` that `save` wrote into ``folder``.

        Raises:
            ValueError, OSError: an array is missing, or points outside another one.
        """
        windows = Windows(*(np.load(folder / f"windows.{name}.npy", allow_pickle=False) for name in Windows._fields))
        _check(windows, documents)
        return cls(documents, windows, settings)

    def _scratch(self, dtype: str) -> Scratch:
        """Room of this thread for sums of type ``dtype``, made on first use."""
        kept: Scratch | None = getattr(self._local, dtype, None)
        if kept is None:
            n_windows, width = self._shape
            kept = Scratch(
                slots=np.zeros(self._documents.dim, dtype),
                weights=np.zeros(np.iinfo(dtype).max + 1, np.float32),
                sums=np.zeros(n_windows * width, dtype),
                maxima=np.zeros(n_windows * COLUMNS, dtype),
                candidates=np.zeros(n_windows * width, np.uint32),
            )
            setattr(self._local, dtype, kept)
        return kept


def _shape(n: int) -> tuple[int, int]:
    """Number of windows and rows of each, a multiple of COLUMNS."""
    n_windows = max(1, -(-n // WIDEST))
    return n_windows, max(1, -(-n // (n_windows * COLUMNS))) * COLUMNS


def _spread(run: Callable[[int, int], None], n: int, threads: int) -> None:
    """Call ``run`` for ranges of 0 to n on ``threads`` threads; small ranges even out slow queries."""
    if threads < 1:
        raise InputError(f"threads is {threads}: wanted at least 1")
    step = max(1, n // (threads * 8))
    with ThreadPoolExecutor(threads) as pool:
        for task in [pool.submit(run, first, min(n, first + step)) for first in range(0, n, step)]:
            task.result()


def _build(documents: SparseMatrix, progress: Callable[[int, int], None]) -> Windows:
    dim, nnz = documents.dim, documents.nnz
    forward = Forward(documents.indptr, documents.terms, documents.weights)
    counts, largest = np.zeros(dim, np.int64), np.zeros(dim, np.float32)
    count_terms(documents.terms, documents.weights, counts, largest)
    steps = np.nextafter(np.maximum(largest, np.float32(1e-30)) / np.float32(LEVELS), np.float32(np.inf))
    lists, rows, levels = indptr_of(counts), np.empty(nnz, np.uint32), np.empty(nnz, np.uint8)
    invert(forward, steps, lists[:-1].copy(), rows, levels)
    ids, shape = np.empty(nnz, np.uint16), _shape(len(documents))
    heads = np.zeros((dim * shape[0] + 1, 2), np.uint32)
    parts: list[NDArray[np.uint32]] = []

    def order(span: Span) -> NDArray[np.uint32]:
        return np.copy(group(*span, lists, rows, levels, shape, ids, heads))  # without the room that was not needed

    for (first, last), part in on_all_cores(order, equal_spans(lists, TASKS)):
        heads[first * shape[0] : last * shape[0], 0] += sum(map(len, parts))
        parts.append(part)
        progress(last, dim)
    groups = np.concatenate(parts)
    heads[-1] = groups.size, nnz
    return Windows(heads, groups, ids, steps)


def _check(windows: Windows, documents: SparseMatrix) -> None:
    """Raise ValueError unless every number that a kernel follows stays inside its array."""
    n_windows, width = _shape(len(documents))
    sizes = windows.heads.shape, windows.steps.size, windows.ids.size
    wanted = (documents.dim * n_windows + 1, 2), documents.dim, documents.nnz
    if sizes != wanted:
        raise ValueError(f"posting arrays of lengths {sizes}, wanted {wanted}")
    ends = np.zeros(windows.groups.size + 1, np.int64)
    np.cumsum((windows.groups & np.uint32(0xFFFF)) + 1, out=ends[1:])
    first_groups, first_postings = windows.heads[:, 0].astype(np.int64), windows.heads[:, 1]
    if first_groups[-1] != windows.groups.size or (np.diff(first_groups) < 0).any() or first_groups[0] != 0:
        raise ValueError("posting borders do not fit their arrays")
    if not np.array_equal(ends[first_groups], first_postings):
        raise ValueError("posting groups do not fit their borders")
    if windows.ids.size and int(windows.ids.max()) >= width:
        raise ValueError(f"a posting points to row {windows.ids.max()} of a window of {width:,}")
