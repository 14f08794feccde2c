"""Which documents are best, by adding up postings in order of impact? The default engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from pathlib import Path
from typing import Self

import numpy as np

from lsr.arrays import load_array, save_array
from lsr.index.allowed import Allowed
from lsr.index.results import TopK, checked_k, mask_of
from lsr.index.settings import WindowedSettings
from lsr.index.windowed.build import Windows, build_windows, check_windows
from lsr.index.windowed.group import WindowedGroup
from lsr.index.windowed.parts import AT, described
from lsr.sparse import SparseMatrix, check_summable

NUMBERS = count()  # of indexes in this process; none returns


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
        self._documents, self._windows = _in_one_piece(documents), windows
        self.settings = settings or WindowedSettings()
        self._alone = WindowedGroup(described(self._documents, windows)[None], documents)
        self.kind = "windowed", str(documents.terms.dtype), str(documents.weights.dtype), documents.scale
        self.number = next(NUMBERS)
        self._together: tuple[tuple[int, ...], WindowedGroup] | None = None

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
        k = checked_k(queries, self._documents, k)
        masks = () if allowed is None else (allowed,)
        return self._alone.search(queries, k, exact, masks, settings or self.settings, threads)

    def score(self, queries: SparseMatrix, k: int, allowed: Allowed) -> TopK:
        """As exact search over the documents allowed, each of them scored: the way when they are few.

        Raises:
            MismatchError, InputError: as for `search`.
        """
        k = checked_k(queries, self._documents, k)
        mask_of(allowed, len(self._documents))  # refuses one that does not fit
        return self._alone.score(queries, k, (allowed,))

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

    def together(self, indexes: Sequence[WindowedIndex]) -> WindowedGroup:
        """``indexes``, all of one `kind`, searched as one; kept until others are asked for."""
        key, found = tuple([index.number for index in indexes]), self._together
        if found is None or found[0] != key:
            table = np.concatenate([index._alone.table for index in indexes])
            table[1:, AT.start] = np.cumsum(table[:-1, AT.documents])
            found = self._together = key, WindowedGroup(table, self._documents)
        return found[1]


def _in_one_piece(documents: SparseMatrix) -> SparseMatrix:
    """The same matrix with arrays that kernels can read by address."""
    indptr, terms, weights = (
        np.require(array, requirements=["C", "A"]) for array in (documents.indptr, documents.terms, documents.weights)
    )
    return SparseMatrix.unchecked(indptr, terms, weights, documents.dim, documents.scale)
