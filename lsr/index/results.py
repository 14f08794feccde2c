"""What does a search give back?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, MismatchError
from lsr.index.allowed import EVERYTHING, Allowed
from lsr.sparse import SparseMatrix, check_summable

WHOLE = int, np.integer


class TopK(NamedTuple):
    """The best k documents of each of n queries, best first, ties by row; k is cut to the number of documents.

    Attributes:
        rows: int64[n, k] document rows, -1 where fewer than k documents score above 0.
        scores: float32[n, k] inner products, 0 where rows is -1.
    """

    rows: NDArray[np.int64]
    scores: NDArray[np.float32]


def empty_results(n: int, k: int) -> TopK:
    """Room for the results of n queries."""
    return TopK(np.full((n, k), -1, np.int64), np.zeros((n, k), np.float32))


def merge(parts: Sequence[TopK], offsets: Sequence[int], k: int) -> TopK:
    """The best k over several segments; ``offsets`` turn the rows of each into rows of the collection."""
    if len(parts) == 1:
        return parts[0]
    shifted = [np.where(part.rows < 0, -1, part.rows + by) for part, by in zip(parts, offsets, strict=True)]
    rows, scores = np.concatenate(shifted, axis=1), np.concatenate([part.scores for part in parts], axis=1)
    order = np.lexsort((rows, -scores), axis=1)[:, :k]
    return TopK(np.take_along_axis(rows, order, axis=1), np.take_along_axis(scores, order, axis=1))


def checked_k(queries: SparseMatrix, documents: SparseMatrix, k: int) -> int:
    """``k``, cut to the number of documents: nobody needs room for more.

    Raises:
        MismatchError: another vocabulary size.
        InputError: k below 1.
        VectorError: weights so large that scores could be infinite.
    """
    check_queries(queries, documents.dim, k)
    check_summable(queries, "query {}".format)
    return min(k, max(1, len(documents)))


def check_queries(queries: SparseMatrix, dim: int, k: int) -> None:
    """Refuse queries that do not fit an index over ``dim`` terms.

    Raises:
        MismatchError: another vocabulary size.
        InputError: k below 1, or queries that are no `SparseMatrix`.
    """
    try:
        found = queries.dim
    except AttributeError:
        raise InputError(
            f"the queries are {queries!r:.60}: wanted a SparseMatrix; SparseMatrix.from_scipy makes one"
        ) from None
    if found != dim:
        raise MismatchError(
            f"query vectors over {queries.dim:,} terms, index over {dim:,}: encode queries with the index's own encoder"
        )
    if k is True or not isinstance(k, WHOLE) or k < 1:
        raise InputError(f"k is {k!r:.40}: wanted a whole number, at least 1")


def mask_of(allowed: Allowed | None, n: int) -> NDArray[np.int8]:
    """What kernels take for a choice among ``n`` documents: int8[n], -1 where one may be found; int8[0] for all.

    Raises:
        MismatchError: a choice among another number of documents.
        InputError: something that is no choice.
    """
    if allowed is None:
        return EVERYTHING
    if not isinstance(allowed, Allowed):
        raise InputError(f"allowed is {allowed!r:.60}: wanted Allowed(mask), one bool a document")
    if len(allowed) != n:
        raise MismatchError(f"a choice among {len(allowed):,} documents, index of {n:,}: give one byte a document")
    return allowed.mask
