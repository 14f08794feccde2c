"""Which documents are best, with every one of them scored? The oracle."""

from __future__ import annotations

from lsr.index.allowed import Allowed
from lsr.index.kernels import Forward, search_exact
from lsr.index.results import TopK, check_queries, dense_query, empty_results, mask_of
from lsr.sparse import SparseMatrix


class ExactIndex:
    """Scores every document; needs nothing but the document vectors.

    Args:
        documents: the vectors, one row a document.
    """

    def __init__(self, documents: SparseMatrix) -> None:
        self._documents = documents
        self._forward = Forward(documents.indptr, documents.terms, documents.weights)

    def search(self, queries: SparseMatrix, k: int, allowed: Allowed | None = None) -> TopK:
        """The best k documents of each query by inner product, ties by row.

        Args:
            queries: one row a query.
            k: at least 1.
            allowed: the documents that may be found; None means all.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k below 1.
        """
        check_queries(queries, self._documents.dim, k)
        mask = mask_of(allowed, len(self._documents))
        found = empty_results(len(queries), k)
        for i in range(len(queries)):
            dense = dense_query(queries, i, self._documents.scale)
            search_exact(dense, self._forward, mask, found.scores[i], found.rows[i])
        return found
