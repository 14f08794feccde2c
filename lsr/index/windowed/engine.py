"""Which documents are best, by adding up postings in order of impact? The default engine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from lsr.arrays import load_array, save_array
from lsr.errors import InputError
from lsr.index.allowed import Allowed
from lsr.index.plan import scores_directly
from lsr.index.results import TopK, checked_k, mask_of
from lsr.index.settings import WindowedSettings
from lsr.index.windowed.build import COLUMNS, Windows, build_windows, check_windows, shape_of
from lsr.index.windowed.kernels import SHORT, Scratch, score_rows, search_windows
from lsr.index.work import Span, check_threads, spread
from lsr.sparse import SparseMatrix, check_summable, term_dtype

MOST_LISTS = 2**15 - 2  # of a query: their rounding must fit in uint16 sums
MOST_LISTS_IN_BYTES = 64  # longer queries add up in uint16: rounding in uint8 would hide their small terms
EXACT_SPARE = 10  # documents above k that are scored before the bound is drawn
EXACT_CUT = 0.02  # of the largest contribution; the rest is covered by the bound


class WindowedIndex:
    """Postings by term, window of documents and falling weight; sums in bytes choose who is scored exactly.

    A query adds up, window by window, the weights of its terms, heaviest first, quantised to 24 levels a term and
    summed in uint8 counters that stay in cache; small contributions are left out. The documents with the largest
    sums are scored exactly. Exact search sums upper bounds in uint16 instead, and scores every document that the
    bounds leave in the race. Negative weights lie in posting lists of their own and take from the sums.

    After score-at-a-time processing with impact-ordered postings (Lin and Trotman, "Anytime Ranking for
    Impact-Ordered Indexes", ICTIR 2015) and windows with exact re-scoring (SINDI, ICDE 2026).
    """

    def __init__(self, documents: SparseMatrix, windows: Windows, settings: WindowedSettings | None = None) -> None:
        self._documents, self._windows = documents, windows
        self.settings = settings or WindowedSettings()
        self._shape = shape_of(len(documents))
        self._signs = windows.steps.size // documents.dim
        # Plain tuples of arrays reach a kernel three times as fast as named ones.
        self._arrays = tuple(windows), (*self._shape, documents.dim)
        self._forward = documents.indptr, documents.terms, documents.weights
        self._unit, self._terms = np.float32(documents.scale), term_dtype(documents.dim)
        self._spare: dict[str, list[Any]] = {"uint8": [], "uint16": []}

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: WindowedSettings | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """Index ``documents`` on all cores; equal for any number of them.

        Args:
            documents: the vectors, one row a document.
            settings: of the search; None takes the defaults.
            progress: called with (steps done, steps in all).

        Raises:
            VectorError: weights so large that scores could be infinite.
        """
        check_summable(documents)
        return cls(documents, build_windows(documents, progress or (lambda done, total: None)), settings)

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        allowed: Allowed | None = None,
        settings: WindowedSettings | None = None,
        threads: int = 1,
    ) -> TopK:
        """The best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: one row a query.
            k: at least 1, cut to the number of documents.
            exact: leave nothing out that could matter; then equal to `ExactIndex.search`.
            allowed: the documents that may be found; None means all. Few of them are all scored, which is exact.
            settings: of this search; None takes those of the index.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k or threads below 1, or a query of more than 32,766 terms.
        """
        mask = mask_of(allowed, len(self._documents))
        if allowed is not None and scores_directly(len(self._documents), allowed.count, exact):
            check_threads(threads)
            return self.score(queries, k, allowed)
        k = checked_k(queries, self._documents, k)
        limits = self._limits(k, exact, settings or self.settings)
        n = len(queries)
        found = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
        arrays = self._of(queries)
        spread(lambda span: self._run(span, arrays, limits, mask, found), n, threads)
        return TopK(*found)

    def score(self, queries: SparseMatrix, k: int, allowed: Allowed) -> TopK:
        """As exact search over the documents allowed, each of them scored: the way when they are few.

        Raises:
            MismatchError, InputError: as for `search`.
        """
        k = checked_k(queries, self._documents, k)
        mask_of(allowed, len(self._documents))  # refuses one that does not fit
        found = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        arrays = self._of(queries)
        _check_length(longest := _longest(queries.indptr, (0, len(queries))))
        dtype = "uint16" if longest > MOST_LISTS_IN_BYTES else "uint8"
        scratch = self._take_scratch(dtype)
        score_rows((0, len(queries)), arrays, allowed.rows, self._forward, scratch, found)
        self._spare[dtype].append(scratch)
        return TopK(*found)

    def save(self, folder: Path) -> None:
        """Write the posting arrays into ``folder``; the document vectors are saved by their owner."""
        for name, array in self._windows._asdict().items():
            save_array(folder / f"windows.{name}.npy", array)

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: WindowedSettings) -> Self:
        """The index over ``documents`` that `save` wrote into ``folder``.

        Raises:
            ValueError, OSError: an array is missing, or points outside another one.
            VectorError: weights so large that scores could be infinite.
        """
        check_summable(documents)
        windows = Windows(
            load_array(folder / "windows.heads.npy", "uint32", columns=2),
            load_array(folder / "windows.groups.npy", "uint32"),
            load_array(folder / "windows.ids.npy", "uint16"),
            load_array(folder / "windows.steps.npy", "float32"),
        )
        check_windows(windows, documents)
        return cls(documents, windows, settings)

    def _of(self, queries: SparseMatrix) -> Any:
        """What kernels take of queries; one type of terms, so that a kernel is compiled once."""
        return queries.indptr, queries.terms.astype(self._terms, copy=False), queries.values, self._unit

    def _limits(self, k: int, exact: bool, settings: WindowedSettings) -> tuple[float, int, bool]:
        return (EXACT_CUT, k + EXACT_SPARE, True) if exact else (settings.cut, settings.wanted(k), False)

    def _run(self, span: Span, queries: Any, limits: Any, mask: Any, found: Any) -> None:
        """Search for the queries span[0]:span[1] on this thread."""
        longest = _longest(queries[0], span) * self._signs
        _check_length(longest)
        dtype = "uint16" if limits[2] or longest > MOST_LISTS_IN_BYTES else "uint8"
        scratch = self._take_scratch(dtype)
        windows, shape = self._arrays
        search_windows(span, queries, windows, shape, mask, self._forward, limits, scratch, found)
        self._spare[dtype].append(scratch)
        if span[1] - span[0] > 1 or found[0][span[0], -1] < -1:
            self._complete(span, queries, mask, found)

    def _complete(self, span: Span, queries: Any, mask: Any, found: Any) -> None:
        """Search exactly for those queries of a span that the kernel could not answer."""
        short = span[0] + np.flatnonzero(found[0][span[0] : span[1], -1] == SHORT)
        for q in short.tolist():
            self._run((q, q + 1), queries, self._limits(found[0].shape[1], True, self.settings), mask, found)

    def _take_scratch(self, dtype: str) -> Any:
        """Room for sums of type ``dtype``: used before, or new. Whoever takes it gives it back."""
        try:
            return self._spare[dtype].pop()
        except IndexError:
            return tuple(self._new_scratch(dtype))

    def _new_scratch(self, dtype: str) -> Scratch:
        n_windows, width = self._shape
        room = n_windows * width
        most = MOST_LISTS if dtype == "uint16" else MOST_LISTS_IN_BYTES
        return Scratch(
            slots=np.zeros(self._documents.dim, dtype),
            weights=np.zeros(most + 1, np.float32),
            terms=np.empty(most, np.int64),
            lists=np.empty(most, np.int64),
            gains=np.empty(most, np.float32),
            left=np.empty(most, np.float32),
            sums=np.zeros(room if dtype == "uint16" else width, dtype),  # exact search keeps all
            maxima=np.zeros(n_windows * COLUMNS, dtype),
            histogram=np.zeros(256, np.int64),
            candidates=np.zeros(room, np.uint32),
            found=np.zeros(room, dtype),
        )


def _longest(indptr: Any, span: Span) -> int:
    """Most terms of the queries of a span."""
    if span[1] - span[0] == 1:
        return int(indptr[span[1]] - indptr[span[0]])
    return int(np.diff(indptr[span[0] : span[1] + 1]).max(initial=0))


def _check_length(longest: int) -> None:
    if longest > MOST_LISTS:
        raise InputError(f"a query reads {longest:,} posting lists: at most {MOST_LISTS:,}; keep its heaviest terms")
