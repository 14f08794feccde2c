"""Which documents of several windowed segments are best? One call of a kernel answers for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.allowed import Allowed
from lsr.index.plan import scores_directly
from lsr.index.results import TopK, mask_of
from lsr.index.settings import WindowedSettings
from lsr.index.windowed.build import COLUMNS
from lsr.index.windowed.kernels import PEAKS, SHORT, Scratch, score_rows, search_windows
from lsr.index.windowed.parts import AT, with_chosen, with_masks
from lsr.index.work import Span, check_threads, spread
from lsr.sparse import SparseMatrix, term_dtype

MOST_LISTS = 2**15 - 2  # of a query: their rounding must fit in uint16 sums
MOST_LISTS_IN_BYTES = 64  # longer queries add up in uint16: rounding in uint8 would hide their small terms
EXACT_SPARE = 10  # documents above k that are scored before the bound is drawn
EXACT_CUT = 0.02  # of the largest contribution; the rest is covered by the bound


class WindowedGroup:
    """Segments whose vectors have one type and scale, searched together. Rows count on from one to the next.

    Holds addresses, not arrays: whoever searches keeps the segments alive.

    Args:
        table: int64[S, C], a row a segment, as `lsr.index.windowed.parts.described` makes it.
        like: documents of one of the segments.
    """

    def __init__(self, table: NDArray[np.int64], like: SparseMatrix) -> None:
        self.table = table
        self._sizes: list[int] = table[:, AT.documents].tolist()
        self._n = sum(self._sizes)
        self.dim = int(table[:, AT.dim].max())
        self._signs, self._widest = int(table[:, AT.signs].max()), int(table[:, AT.width].max())
        self._windows = int(table[:, AT.windows].sum())
        self._rows = int((table[:, AT.windows] * table[:, AT.width]).sum())
        self._like = np.empty(0, like.terms.dtype), np.empty(0, like.weights.dtype)
        self._unit = np.float32(like.scale)
        self._spare: dict[str, list[Any]] = {"uint8": [], "uint16": []}

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        exact: bool,
        allowed: Sequence[Allowed | None],
        settings: WindowedSettings,
        threads: int,
    ) -> TopK:
        """The best k documents of each query, as `WindowedIndex.search`; terms that no segment knows are ignored.

        Args:
            queries: one row a query, summable.
            k: at least 1, cut to the number of documents.
            exact: leave nothing out that could matter.
            allowed: the documents that may be found in each segment; empty means all.
            settings: of an approximate search.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: ``allowed`` for another number of documents.
            InputError: threads below 1, or a query of more than 32,766 terms.
        """
        table = self.table
        if allowed:
            if self._scores_directly(allowed, exact):
                check_threads(threads)
                return self.score(queries, k, allowed)
            table = with_masks(table, allowed)
        found = self._room(len(queries), k)
        limits = self._limits(found[0].shape[1], exact, settings)
        arrays = self._of(queries)
        spread(lambda span: self._run(span, arrays, table, limits, found), len(queries), threads)
        return TopK(*found)

    def score(self, queries: SparseMatrix, k: int, allowed: Sequence[Allowed | None]) -> TopK:
        """As exact search over the documents allowed, each of them scored: the way when they are few.

        Raises:
            InputError: a query of more than 32,766 terms.
        """
        found, arrays = self._room(len(queries), k), self._of(queries)
        chosen = [_rows(one, n) for one, n in zip(allowed, self._sizes, strict=True)]
        _check_length(longest := _longest(queries.indptr, (0, len(queries))))
        dtype = "uint16" if longest > MOST_LISTS_IN_BYTES else "uint8"
        scratch = self._take_scratch(dtype)
        score_rows((0, len(queries)), arrays, with_chosen(self.table, chosen), self._like, scratch, found)
        self._spare[dtype].append(scratch)
        return TopK(*found)

    def _scores_directly(self, allowed: Sequence[Allowed | None], exact: bool) -> bool:
        """Whether scoring each document allowed costs less than reading postings; refuses masks that do not fit."""
        count = 0
        for one, n in zip(allowed, self._sizes, strict=True):
            mask_of(one, n)
            count += n if one is None else one.count
        return scores_directly(self._n, count, exact)

    def _room(self, n: int, k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        k = min(k, max(1, self._n))
        return np.empty((n, k), np.int64), np.empty((n, k), np.float32)

    def _of(self, queries: SparseMatrix) -> Any:
        """What kernels take of queries; one type of terms, so that a kernel is compiled once."""
        terms = queries.terms.astype(term_dtype(queries.dim), copy=False)
        return queries.indptr, terms, queries.values, self._unit

    def _limits(self, k: int, exact: bool, settings: WindowedSettings) -> tuple[float, int, bool]:
        return (EXACT_CUT, k + EXACT_SPARE, True) if exact else (settings.cut, settings.wanted(k), False)

    def _run(self, span: Span, queries: Any, table: Any, limits: Any, found: Any) -> None:
        """Search for the queries span[0]:span[1] on this thread."""
        longest = _longest(queries[0], span) * self._signs
        _check_length(longest)
        dtype = "uint16" if limits[2] or longest > MOST_LISTS_IN_BYTES else "uint8"
        scratch = self._take_scratch(dtype)
        search_windows(span, queries, table, self._like, limits, scratch, found)
        self._spare[dtype].append(scratch)
        if span[1] - span[0] > 1 or found[0][span[0], -1] < -1:
            self._complete(span, queries, table, found)

    def _complete(self, span: Span, queries: Any, table: Any, found: Any) -> None:
        """Search exactly for those queries of a span that the kernel could not answer."""
        short = span[0] + np.flatnonzero(found[0][span[0] : span[1], -1] == SHORT)
        limits = self._limits(found[0].shape[1], True, WindowedSettings())
        for q in short.tolist():
            self._run((q, q + 1), queries, table, limits, found)

    def _take_scratch(self, dtype: str) -> Any:
        """Room for sums of type ``dtype``: used before, or new. Whoever takes it gives it back."""
        try:
            return self._spare[dtype].pop()
        except IndexError:
            return tuple(self._new_scratch(dtype))

    def _new_scratch(self, dtype: str) -> Scratch:
        most = MOST_LISTS if dtype == "uint16" else MOST_LISTS_IN_BYTES
        return Scratch(
            slots=np.zeros(self.dim, dtype),
            weights=np.zeros(most + 1, np.float32),
            terms=np.empty(most, np.int64),
            steps=np.empty(2 * most, np.float32),
            lists=np.empty(4 * most, np.int64),
            gains=np.empty(4 * most, np.float32),
            left=np.empty(4 * most, np.float32),
            sums=np.zeros(self._rows if dtype == "uint16" else self._widest, dtype),  # exact search keeps all
            maxima=np.zeros(self._windows * COLUMNS, dtype),
            peaks=np.zeros(PEAKS, dtype),
            histogram=np.zeros(256, np.int64),
            candidates=np.empty(self._rows, np.uint32),
            found=np.empty(self._rows, dtype),
            ends=np.zeros(len(self.table), np.int64),
        )


def _rows(allowed: Allowed | None, n: int) -> NDArray[np.uint32]:
    return np.arange(n, dtype=np.uint32) if allowed is None else allowed.rows


def _longest(indptr: Any, span: Span) -> int:
    """Most terms of the queries of a span."""
    if span[1] - span[0] == 1:
        return int(indptr[span[1]] - indptr[span[0]])
    return int(np.diff(indptr[span[0] : span[1] + 1]).max(initial=0))


def _check_length(longest: int) -> None:
    if longest > MOST_LISTS:
        raise InputError(f"a query reads {longest:,} posting lists: at most {MOST_LISTS:,}; keep its heaviest terms")
