"""In which order are documents with a value of a field? By the value, then by score; those without come last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.fields.columns import Column, Mask, NumberColumn, WordColumn


def order_by(
    field: str, parts: Sequence[tuple[Column | None, Mask]], scores: NDArray[np.float32], descending: bool
) -> NDArray[np.int64]:
    """Places among the documents chosen, in order.

    Args:
        field: its name, for messages.
        parts: of each segment the column, or None where no document has the field, and bool[n] of its documents.
        scores: float32[m] of the documents chosen, in order of rows.
        descending: largest values first.

    Returns:
        int64[m].

    Raises:
        InputError: a field whose values have no order.
    """
    keys, there = _keys(field, parts)
    down = ~keys if keys.dtype.kind == "i" else -keys  # the negative of the least integer is itself
    keys = np.where(there, down if descending else keys, 0)
    return np.lexsort((np.arange(keys.size), -scores, keys, ~there)).astype(np.int64)


def _keys(field: str, parts: Sequence[tuple[Column | None, Mask]]) -> tuple[NDArray[Any], Mask]:
    """Numbers that rise with the values, and which documents have one."""
    columns = [column for column, _ in parts if column is not None]
    if any(not isinstance(column, NumberColumn | WordColumn) for column in columns):
        raise InputError(f"the field {field!r} is {columns[0].kind}: hits are sorted by numbers, times or one keyword")
    words = sorted({word for column in columns if isinstance(column, WordColumn) for word in column.words})
    place = {word: at for at, word in enumerate(words)}
    keys, there = [np.zeros(0)], [np.zeros(0, np.bool_)]
    floats = any(isinstance(column, NumberColumn) and column.kind == "float" for column in columns)
    nothing = np.float64 if floats else np.int64
    for column, mask in parts:
        there.append(np.zeros(int(mask.sum()), np.bool_) if column is None else column.there[mask])
        keys.append(np.zeros(int(mask.sum()), nothing) if column is None else _numbers(column, place)[mask])
    return np.concatenate([part for part in keys if part.size] or keys), np.concatenate(there)


def _numbers(column: Column, place: dict[str, int]) -> NDArray[Any]:
    if isinstance(column, WordColumn):
        places = np.array([*(place[word] for word in column.words), 0], np.int64)
        return places[column.codes]  # code -1 is the last
    assert isinstance(column, NumberColumn)  # noqa: S101
    return column.values.astype(np.int64) if column.kind == "boolean" else column.values
