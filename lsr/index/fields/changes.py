"""How does a column become another one? Some of its rows taken, those of segments joined, values at rows replaced.

Words that no row has any more leave the dictionary of the new column. Nothing loops over rows in Python.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lsr.corpus.dense import dense_type
from lsr.errors import StorageError
from lsr.index.fields.columns import (
    STORED,
    Column,
    DenseColumn,
    NumberColumn,
    StoredColumn,
    WordColumn,
    WordsColumn,
    column_of,
)

Codes = NDArray[np.int32]


def taken(column: Column, rows: NDArray[np.int64]) -> Column:
    """The values at ``rows``, int64[m], in that order.

    Raises:
        StorageError: a row that is none.
    """
    _check_rows(rows, len(column))
    if isinstance(column, NumberColumn):
        return NumberColumn(column.kind, column.values[rows], column.there[rows])
    if isinstance(column, DenseColumn):
        return DenseColumn(column.type, column.values[rows], column.there[rows])
    if isinstance(column, WordColumn):
        return _compact(WordColumn(column.codes[rows], column.words))
    if isinstance(column, WordsColumn):
        return _compact(_taken_words(column, rows))
    assert isinstance(column, StoredColumn)  # noqa: S101  there are no others
    return StoredColumn(column.arrow().take(pa.array(rows, pa.int64())))


def joined(parts: Sequence[Column | None], sizes: Sequence[int], kind: str) -> Column:
    """Columns of several segments as one.

    Args:
        parts: of each segment the column, or None where no document has the field.
        sizes: documents of each segment.
        kind: type of the new column; integers become floats, and one keyword a list of one.

    Raises:
        StorageError: a column of another type or size.
    """
    columns = [
        _nothing(kind, size) if part is None else _as_kind(part, kind) for part, size in zip(parts, sizes, strict=True)
    ]
    if wrong := [(len(column), size) for column, size in zip(columns, sizes, strict=True) if len(column) != size]:
        raise StorageError(f"a column of {wrong[0][0]:,} values for {wrong[0][1]:,} documents: index them again")
    there = np.concatenate([np.zeros(0, np.bool_), *(column.there for column in columns)])
    if kind in NumberColumn.ARROW:
        empty = np.zeros(0, NumberColumn.NUMPY[kind])
        return NumberColumn(kind, np.concatenate([empty, *(_values(column) for column in columns)]), there)
    if dense := dense_type(kind):
        none = DenseColumn.of(dense, []).values
        return DenseColumn(dense, np.concatenate([none, *(_values(column) for column in columns)]), there)
    if kind == "json":
        return StoredColumn(pa.concat_arrays([pa.array([], pa.large_string()), *(one.arrow() for one in columns)]))
    codes, words = _one_dictionary([_compact(column) for column in columns])
    if kind == "keyword":
        return WordColumn(codes, words)
    lengths = [np.diff(column.ends) for column in columns if isinstance(column, WordsColumn)]
    return WordsColumn(_ends(np.concatenate([np.zeros(0, np.int32), *lengths])), codes, words, there)


def patched(column: Column | None, size: int, rows: NDArray[np.int64], values: Sequence[Any], kind: str) -> Column:
    """A copy with other values at some rows.

    Args:
        column: of ``size`` documents; None where none of them has the field.
        size: number of documents.
        rows: int64[m]; of a row that comes twice the last value stays.
        values: m, as `column_of` takes them; None leaves nothing.
        kind: type of the new column.

    Raises:
        StorageError: a row that is none, or a column of another type or size.
    """
    _check_rows(rows, size)
    both = joined([column, column_of_record(kind, values)], [size, len(values)], kind)
    order = np.arange(size)
    order[rows] = size + np.arange(rows.size)
    return taken(both, order)


def column_of_record(kind: str, values: Sequence[Any]) -> Column:
    """`column_of`, of values that somebody has stored.

    Raises:
        StorageError: values of another type.
    """
    wrong = {type(value) for value in values if value is not None} - {STORED.get(kind, bytes)}
    if kind == "keywords":
        wrong |= set(map(type, chain.from_iterable(value for value in values if type(value) is list))) - {str}
    try:
        if not wrong:
            return column_of(kind, values)
    except (ValueError, OverflowError):  # vectors of another length, numbers beyond 64 bits
        pass
    raise StorageError(f"a field of type {kind} is damaged (it holds something else): index the documents again")


def _check_rows(rows: NDArray[np.int64], size: int) -> None:
    if rows.size and not 0 <= rows.min() <= rows.max() < size:
        raise StorageError(f"rows {rows.min()} to {rows.max()} of a column: wanted 0 to {size - 1:,}")


def _as_kind(column: Column, kind: str) -> Column:
    """The same values as another type has them."""
    if column.kind == kind:
        return column
    if isinstance(column, DenseColumn) and not column.type.length and kind.startswith(f"{column.kind}("):
        return _nothing(kind, len(column))
    if isinstance(column, NumberColumn) and (column.kind, kind) == ("integer", "float"):
        return NumberColumn(kind, column.values.astype(np.float64), column.there)
    if isinstance(column, WordColumn) and kind == "keywords":
        return WordsColumn(_ends(column.there), column.codes[column.there], column.words, column.there)
    raise StorageError(f"a column of type {column.kind} cannot become one of type {kind}: index the documents again")


def _nothing(kind: str, size: int) -> Column:
    """A column without a value."""
    there = np.zeros(size, np.bool_)
    if dense := dense_type(kind):
        return DenseColumn(dense, np.zeros((size, dense.length), dense.dtype), there)
    if kind in NumberColumn.ARROW:
        return NumberColumn(kind, np.zeros(size, NumberColumn.NUMPY[kind]), there)
    if kind == "keyword":
        return WordColumn(np.full(size, -1, np.int32), [])
    if kind == "keywords":
        return WordsColumn(_ends(there), np.zeros(0, np.int32), [], there)
    return StoredColumn(pa.nulls(size, pa.large_string()))


def _values(column: Column) -> NDArray[Any]:
    assert isinstance(column, NumberColumn | DenseColumn)  # noqa: S101  `_as_kind` says so
    return column.values


def _ends(lengths: NDArray[Any]) -> Codes:
    """Where parts of ``lengths``, [n], begin and end: int32[n + 1]."""
    ends = np.zeros(lengths.size + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    if ends[-1] >= 2**31:
        raise StorageError(f"{ends[-1]:,} keywords in one column of a segment: wanted fewer than {2**31:,}")
    return ends.astype(np.int32)


def _taken_words(column: WordsColumn, rows: NDArray[np.int64]) -> WordsColumn:
    starts, there = column.ends[rows].astype(np.int64), column.there[rows]
    lengths = np.where(there, column.ends[rows + 1] - starts, 0)
    ends = _ends(lengths)
    places = np.arange(ends[-1]) + np.repeat(starts - ends[:-1], lengths)
    return WordsColumn(ends, column.codes[places], column.words, there)


def _compact(column: Column) -> WordColumn | WordsColumn:
    """The column without the words that no row has, and without codes that no row has."""
    if isinstance(column, WordsColumn) and column.ends[-1] != column.codes.size:
        column = _taken_words(column, np.arange(len(column)))
    assert isinstance(column, WordColumn | WordsColumn)  # noqa: S101  the others have no words
    used = np.zeros(len(column.words) + 1, np.bool_)
    used[column.codes] = True  # code -1 is the last
    if used[:-1].all():
        return column
    places = np.append(np.cumsum(used[:-1], dtype=np.int32) - 1, -1).astype(np.int32)
    words = [column.words[code] for code in np.flatnonzero(used[:-1]).tolist()]
    return _recoded(column, places[column.codes], words)


def _recoded(column: WordColumn | WordsColumn, codes: Codes, words: Sequence[str]) -> WordColumn | WordsColumn:
    if isinstance(column, WordColumn):
        return WordColumn(codes, words)
    return WordsColumn(column.ends, codes, words, column.there)


def _one_dictionary(columns: Sequence[WordColumn | WordsColumn]) -> tuple[Codes, list[str]]:
    """The codes of all columns, one after the other, as places among the sorted words of all."""
    words = list(dict.fromkeys(sorted(chain.from_iterable(column.words for column in columns))))
    place = {word: code for code, word in enumerate(words)}
    codes = [np.zeros(0, np.int32)]
    for column in columns:
        places = np.array([*map(place.__getitem__, column.words), -1], np.int32)
        codes.append(places[column.codes])
    return np.concatenate(codes), words


def raw_values(column: Column, rows: NDArray[np.int64]) -> list[Any]:
    """The values at ``rows``, int64[m], as `column_of` takes them; None for nothing."""
    there = column.there[rows].tolist()
    if isinstance(column, NumberColumn):
        values = column.values[rows].tolist()
        return [value if own else None for value, own in zip(values, there, strict=True)]
    if isinstance(column, DenseColumn):
        return [column.values[row].tobytes() if own else None for row, own in zip(rows.tolist(), there, strict=True)]
    if isinstance(column, StoredColumn):
        return column.texts(rows)
    return [column.value(row) for row in rows.tolist()]
