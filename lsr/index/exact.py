"""Which documents are best, with every one of them scored? The oracle; it needs no compiler."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from lsr.index.allowed import Allowed
from lsr.index.results import TopK, checked_k, empty_results, mask_of
from lsr.index.work import check_threads
from lsr.sparse import SparseMatrix, check_summable

AT_ONCE = 2**18  # weights looked through: what is made on the way stays in cache
LANES = 4  # partial sums of a score, as kernels add up


class ExactIndex:
    """Scores every document; needs nothing but the document vectors.

    Args:
        documents: the vectors, one row a document.
    """

    def __init__(self, documents: SparseMatrix) -> None:
        self._documents = documents

    @classmethod
    def build(
        cls,
        documents: SparseMatrix,
        settings: None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> Self:
        """As `Engine.build`: there is nothing to build.

        Raises:
            VectorError: weights so large that scores could be infinite.
        """
        del settings, progress
        check_summable(documents)
        return cls(documents)

    def save(self, folder: Path) -> None:
        """As `Engine.save`: there is nothing to write."""

    @classmethod
    def load(cls, folder: Path, documents: SparseMatrix, settings: None = None) -> Self:
        """As `Engine.load`: nothing is read."""
        del folder
        return cls.build(documents, settings)

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = True,
        allowed: Allowed | None = None,
        settings: None = None,
        threads: int = 1,
    ) -> TopK:
        """The best k documents of each query by inner product, ties by row.

        Args:
            queries: one row a query.
            k: at least 1, cut to the number of documents.
            exact: whatever it says, so it is.
            allowed: the documents that may be found; None means all.
            settings: there are none.
            threads: one is used.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k or threads below 1.
        """
        check_threads(threads)
        k = checked_k(queries, self._documents, k)
        mask = mask_of(allowed, len(self._documents))
        found = empty_results(len(queries), k)
        for i in range(len(queries)):
            scores = self.scores(queries.slice(i, i + 1))
            rows = np.flatnonzero((scores > 0) & (mask != 0) if mask.size else scores > 0)
            best = rows[np.argsort(-scores[rows], kind="stable")[:k]]
            found.rows[i, : best.size], found.scores[i, : best.size] = best, scores[best]
        return found

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[n].

        Four partial sums of fixed order make the same floats as `lsr.index.kernels.score_documents`.
        """
        documents = self._documents
        dense = np.zeros(documents.dim, np.float32)
        dense[query.terms] = query.values * np.float32(documents.scale)
        places = self._places(dense != 0)
        rows = np.searchsorted(documents.indptr, places, side="right") - 1
        within, sizes = places - documents.indptr[rows], np.diff(documents.indptr)[rows]
        lanes = np.where(within < sizes // LANES * LANES, within % LANES, 0)
        sums = np.zeros((len(documents), LANES), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):  # as in machine code
            products = dense[documents.terms[places]] * documents.weights[places].astype(np.float32)
            np.add.at(sums.reshape(-1), rows * LANES + lanes, products)  # one by one, in order
            a, b, c, d = sums.T
            return np.asarray((a + b) + (c + d))

    def _places(self, query_terms: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Where terms that are asked for stand in the vectors, int64, rising."""
        terms = self._documents.terms
        starts = range(0, terms.size, AT_ONCE)
        parts = [first + np.flatnonzero(query_terms.take(terms[first : first + AT_ONCE])) for first in starts]
        return np.concatenate([np.zeros(0, np.int64), *parts])
