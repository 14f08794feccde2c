"""What does a kernel know of each segment? One row of numbers, the addresses of its arrays among them.

So one call searches any number of segments, and takes no longer to begin than over one. Whoever hands over a table
keeps the arrays alive as long as the call takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.allowed import Allowed
from lsr.index.intrinsics import array_at
from lsr.index.windowed.build import Windows, shape_of
from lsr.kernel import kernel
from lsr.sparse import SparseMatrix


class Columns(NamedTuple):
    """Places of the numbers in a row of the table."""

    start: int = 0  # row of the collection that the first document is
    documents: int = 1
    nonzeros: int = 2
    dim: int = 3
    signs: int = 4
    windows: int = 5
    width: int = 6
    heads: int = 7
    groups: int = 8
    n_groups: int = 9
    ids: int = 10
    steps: int = 11
    indptr: int = 12
    terms: int = 13
    weights: int = 14
    mask: int = 15  # 0 where all documents may be found
    chosen: int = 16
    n_chosen: int = 17


AT = Columns()


class Part(NamedTuple):
    """A segment, as kernels see it; ``heads`` is flat, two numbers a window of a list.

    ``mask`` is int8[n], -1 where a document may be found and 0 elsewhere, or int8[0] for all.
    """

    start: int
    dim: int
    signs: int
    windows: int
    width: int
    heads: NDArray[np.uint32]
    groups: NDArray[np.uint32]
    ids: NDArray[np.uint16]
    steps: NDArray[np.float32]
    indptr: NDArray[np.int64]
    terms: NDArray[Any]
    weights: NDArray[Any]
    mask: NDArray[np.int8]


def address_of(array: NDArray[Any]) -> int:
    """Where the first number of an array [N], or [N, M], lies."""
    found: int = array.__array_interface__["data"][0]
    return found


def described(documents: SparseMatrix, windows: Windows) -> NDArray[np.int64]:
    """The row int64[C] of one segment, that of the arrays given: they must be in one piece, and outlive it."""
    row, (n_windows, width) = np.zeros(len(AT), np.int64), shape_of(len(documents))
    signs = windows.steps.size // documents.dim
    row[: AT.heads] = 0, len(documents), documents.nnz, documents.dim, signs, n_windows, width
    row[AT.n_groups] = windows.groups.size
    for name, array in windows._asdict().items():
        row[getattr(AT, name)] = address_of(array)
    for name in ("indptr", "terms", "weights"):
        row[getattr(AT, name)] = address_of(getattr(documents, name))
    return row


def with_masks(table: NDArray[np.int64], allowed: Sequence[Allowed | None]) -> NDArray[np.int64]:
    """The table int64[S, C] with the choice that is made in each segment."""
    found = table.copy()
    found[:, AT.mask] = [0 if one is None else one.address for one in allowed]
    return found


def with_chosen(table: NDArray[np.int64], chosen: Sequence[NDArray[np.uint32]]) -> NDArray[np.int64]:
    """The table int64[S, C] with the rows, counted within each segment, that are to be scored."""
    found = table.copy()
    found[:, AT.chosen] = [address_of(rows) for rows in chosen]
    found[:, AT.n_chosen] = [rows.size for rows in chosen]
    return found


@kernel
def part_of(table: Any, s: int, like: Any) -> Any:
    """Segment s of the table; ``like`` is (terms, weights), arrays of the types that all segments have."""
    row = table[s]
    n, nonzeros, n_lists = row[AT.documents], row[AT.nonzeros], row[AT.dim] * row[AT.signs]
    return Part(
        row[AT.start],
        row[AT.dim],
        row[AT.signs],
        row[AT.windows],
        row[AT.width],
        array_at(row[AT.heads], 2 * (n_lists * row[AT.windows] + 1), np.uint32),
        array_at(row[AT.groups], row[AT.n_groups], np.uint32),
        array_at(row[AT.ids], nonzeros, np.uint16),
        array_at(row[AT.steps], n_lists, np.float32),
        array_at(row[AT.indptr], n + 1, np.int64),
        array_at(row[AT.terms], nonzeros, like[0].dtype),
        array_at(row[AT.weights], nonzeros, like[1].dtype),
        array_at(row[AT.mask], n if row[AT.mask] else 0, np.int8),
    )


@kernel
def chosen_of(table: Any, s: int) -> Any:
    """The rows uint32[m] that are to be scored in segment s."""
    return array_at(table[s, AT.chosen], table[s, AT.n_chosen], np.uint32)
