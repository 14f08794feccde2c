"""How do the values of one field lie in memory and on the disk? A column a field: numbers, vectors, codes of words.

A segment keeps its columns in one Arrow file, read in place. Keywords are dictionary-encoded with a sorted dictionary,
so that a comparison of texts is one of numbers. A document without a value has a null.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lsr.corpus.dense import DenseType, dense_type
from lsr.corpus.values import NOT_JSON
from lsr.errors import StorageError

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
KIND = b"lsr.type"  # metadata of an Arrow field
Mask = NDArray[np.bool_]


class Column(ABC):
    """The values of one field of n documents.

    Attributes:
        kind: its type, as in `lsr.corpus.schema.TYPES`.
        there: bool[n], which documents have a value.
    """

    kind: str
    there: Mask

    def __len__(self) -> int:
        return self.there.size

    @abstractmethod
    def value(self, row: int) -> Any:
        """What the document at ``row`` has, as JSON has it; None for nothing."""

    @abstractmethod
    def arrow(self) -> pa.Array:
        """The column as it is stored."""


class NumberColumn(Column):
    """Integers, floats, truth values, or times in microseconds since 1970.

    Args:
        kind: its type.
        values: int64[n], float64[n] or bool[n]; whatever is there for a null is not looked at.
        there: bool[n].
    """

    ARROW: ClassVar[dict[str, pa.DataType]] = {
        "integer": pa.int64(),
        "float": pa.float64(),
        "boolean": pa.bool_(),
        "datetime": pa.timestamp("us", "UTC"),
    }
    NUMPY: ClassVar[dict[str, str]] = {"integer": "int64", "float": "float64", "boolean": "bool", "datetime": "int64"}

    def __init__(self, kind: str, values: NDArray[Any], there: Mask) -> None:
        self.kind, self.values, self.there = kind, values, there

    @classmethod
    def of(cls, kind: str, values: Sequence[Any]) -> NumberColumn:
        """A column of ``values``, None for nothing."""
        there = np.array([value is not None for value in values], np.bool_)
        filled = [0 if value is None else value for value in values]
        return cls(kind, np.array(filled, cls.NUMPY[kind]), there)

    @classmethod
    def read(cls, kind: str, array: pa.Array) -> NumberColumn:
        """A column of an Arrow array."""
        if kind == "datetime":
            array = array.view(pa.int64())
        values = array.fill_null(False if kind == "boolean" else 0) if array.null_count else array
        return cls(kind, values.to_numpy(zero_copy_only=False), _there(array))

    def value(self, row: int) -> Any:
        """See `Column.value`; a time is a text in ISO 8601."""
        if not self.there[row]:
            return None
        found = self.values[row].item()
        return as_time(found) if self.kind == "datetime" else found

    def arrow(self) -> pa.Array:
        """See `Column.arrow`."""
        array = pa.array(self.values, mask=~self.there)
        return array.view(self.ARROW[self.kind]) if self.kind == "datetime" else array


class WordColumn(Column):
    """One word a document, by its place among the sorted words.

    Args:
        codes: int32[n], -1 for nothing.
        words: sorted, each once.
    """

    kind = "keyword"

    def __init__(self, codes: NDArray[np.int32], words: Sequence[str]) -> None:
        self.codes, self.words, self.there = codes, words, codes >= 0

    @classmethod
    def of(cls, values: Sequence[str | None]) -> WordColumn:
        """A column of ``values``, None for nothing."""
        words = sorted({value for value in values if value is not None})
        place = {word: code for code, word in enumerate(words)}
        return cls(np.array([-1 if value is None else place[value] for value in values], np.int32), words)

    @classmethod
    def read(cls, array: pa.Array) -> WordColumn:
        """A column of an Arrow array."""
        codes = array.indices.fill_null(-1) if array.null_count else array.indices
        return cls(codes.to_numpy(zero_copy_only=False), array.dictionary.to_pylist())

    def value(self, row: int) -> str | None:
        """See `Column.value`."""
        return self.words[self.codes[row]] if self.codes[row] >= 0 else None

    def arrow(self) -> pa.Array:
        """See `Column.arrow`."""
        indices = pa.array(self.codes, mask=~self.there)
        return pa.DictionaryArray.from_arrays(indices, pa.array(self.words, pa.string()))


class WordsColumn(Column):
    """Any number of words a document, by their places among the sorted words.

    Args:
        ends: int32[n + 1], where the words of each document begin and end.
        codes: int32[ends[-1]].
        words: sorted, each once.
        there: bool[n]; an empty list is a value.
    """

    kind = "keywords"

    def __init__(self, ends: NDArray[np.int32], codes: NDArray[np.int32], words: Sequence[str], there: Mask) -> None:
        self.ends, self.codes, self.words, self.there = ends, codes, words, there

    @classmethod
    def of(cls, values: Sequence[Sequence[str] | None]) -> WordsColumn:
        """A column of ``values``, None for nothing."""
        words = sorted({word for own in values for word in own or ()})
        place = {word: code for code, word in enumerate(words)}
        codes = np.array([place[word] for own in values for word in own or ()], np.int32)
        ends = np.zeros(len(values) + 1, np.int32)
        np.cumsum([len(own or ()) for own in values], out=ends[1:])
        return cls(ends, codes, words, np.array([own is not None for own in values], np.bool_))

    @classmethod
    def read(cls, array: pa.Array) -> WordsColumn:
        """A column of an Arrow array."""
        there, inner = _there(array), array.values
        ends = array.offsets.to_numpy(zero_copy_only=False)
        return cls(ends, inner.indices.to_numpy(zero_copy_only=False), inner.dictionary.to_pylist(), there)

    def value(self, row: int) -> list[str] | None:
        """See `Column.value`."""
        own = self.codes[self.ends[row] : self.ends[row + 1]].tolist()
        return [self.words[code] for code in own] if self.there[row] else None

    def arrow(self) -> pa.Array:
        """See `Column.arrow`."""
        inner = pa.DictionaryArray.from_arrays(pa.array(self.codes), pa.array(self.words, pa.string()))
        return pa.ListArray.from_arrays(pa.array(self.ends), inner, mask=pa.array(~self.there))


class StoredColumn(Column):
    """JSON that is given back and not looked into.

    Args:
        texts: Arrow's array of JSON texts.
    """

    kind = "json"

    def __init__(self, texts: pa.Array) -> None:
        self._texts, self.there = texts, _there(texts)

    @classmethod
    def of(cls, values: Sequence[str | None]) -> StoredColumn:
        """A column of JSON texts, None for nothing."""
        return cls(pa.array(values, pa.large_string()))

    def value(self, row: int) -> Any:
        """See `Column.value`.

        Raises:
            StorageError: damage.
        """
        text = self._texts[row].as_py()
        try:
            return None if text is None else msgspec.json.decode(text)
        except NOT_JSON as error:
            raise StorageError(f"a field of type json is damaged ({error}): index the documents again") from None

    def texts(self, rows: NDArray[np.int64]) -> list[str | None]:
        """The JSON at ``rows``, int64[m]."""
        found: list[str | None] = self._texts.take(pa.array(rows)).to_pylist()
        return found

    def arrow(self) -> pa.Array:
        """See `Column.arrow`."""
        return self._texts


class DenseColumn(Column):
    """A dense vector a document.

    Args:
        type_: of the vectors; without a length no document has one.
        values: float16[n, d] or int8[n, d]; 0 for nothing.
        there: bool[n].
    """

    def __init__(self, type_: DenseType, values: NDArray[Any], there: Mask) -> None:
        self.type, self.kind, self.values, self.there = type_, type_.name, values, there

    @classmethod
    def of(cls, type_: DenseType, values: Sequence[bytes | None]) -> DenseColumn:
        """A column of the bytes of numbers, None for nothing."""
        there = np.array([value is not None for value in values], np.bool_)
        nothing = bytes(type_.length * type_.dtype.itemsize)
        content = b"".join(nothing if value is None else value for value in values)
        return cls(type_, np.frombuffer(content, type_.dtype).reshape(len(values), type_.length), there)

    @classmethod
    def read(cls, type_: DenseType, array: pa.Array) -> DenseColumn:
        """A column of an Arrow array, whose memory it shares."""
        first = array.offset * type_.length
        numbers = array.values.slice(first, len(array) * type_.length)
        if numbers.null_count:
            raise ValueError("vectors with missing numbers")
        return cls(type_, numbers.to_numpy().reshape(len(array), type_.length), _there(array))

    @staticmethod
    def arrow_type(type_: DenseType) -> pa.DataType:
        """As Arrow has it."""
        return pa.list_(pa.from_numpy_dtype(type_.dtype), type_.length)

    def value(self, row: int) -> list[Any] | None:
        """See `Column.value`."""
        found: list[Any] | None = self.values[row].tolist() if self.there[row] else None
        return found

    def arrow(self) -> pa.Array:
        """See `Column.arrow`."""
        if not self.type.length:
            return pa.nulls(len(self), self.arrow_type(self.type))
        numbers = pa.array(self.values.reshape(-1))
        return pa.FixedSizeListArray.from_arrays(numbers, self.type.length, mask=pa.array(~self.there))


STORED = {  # classes of values as `Schema.stored` gives them
    "boolean": bool,
    "integer": int,
    "float": float,
    "datetime": int,
    "keyword": str,
    "keywords": list,
    "json": str,
}


def column_of(kind: str, values: Sequence[Any]) -> Column:
    """A column of type ``kind`` with ``values`` as `lsr.corpus.schema.Schema.stored` gives them, None for nothing."""
    if dense := dense_type(kind):
        return DenseColumn.of(dense, values)
    if kind in NumberColumn.ARROW:
        return NumberColumn.of(kind, values)
    columns: dict[str, Any] = {"keyword": WordColumn, "keywords": WordsColumn, "json": StoredColumn}
    found: Column = columns[kind].of(values)
    return found


def columns_of(types: Mapping[str, str], rows: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """A column for each field of ``types``, a row for each document."""
    return {name: column_of(kind, [row.get(name) for row in rows]) for name, kind in types.items()}


def as_batch(columns: Mapping[str, Column]) -> pa.RecordBatch:
    """Columns as one batch of Arrow, their types in its metadata."""
    fields, arrays = [], []
    for name, column in columns.items():
        array = column.arrow()
        arrays.append(array)
        fields.append(pa.field(name, array.type, metadata={KIND: column.kind.encode()}))
    return pa.record_batch(arrays, schema=pa.schema(fields))


def of_batch(batch: pa.RecordBatch) -> dict[str, Column]:
    """The columns that `as_batch` wrote, without those of dense vectors that no document has.

    Raises:
        ValueError: a column of another kind.
    """
    found = {field.name: _column(field, batch.column(at)) for at, field in enumerate(batch.schema)}
    return {name: column for name, column in found.items() if not _is_empty(column)}


def _is_empty(column: Column) -> bool:
    """Whether it is of dense vectors without a length, which hold nothing."""
    return isinstance(column, DenseColumn) and not column.type.length


def first_at_least(words: Sequence[str], word: str) -> int:
    """Place of the first of sorted ``words`` that is ``word`` or comes after it."""
    return bisect_left(words, word)


def as_time(microseconds: int) -> str:
    """A time in ISO 8601, UTC.

    Raises:
        StorageError: a time that is none.
    """
    try:
        return (EPOCH + timedelta(microseconds=microseconds)).isoformat().replace("+00:00", "Z")
    except OverflowError as error:
        raise StorageError(f"a field of type datetime is damaged ({error}): index the documents again") from None


def _column(field: pa.Field, array: pa.Array) -> Column:
    kind = (field.metadata or {}).get(KIND, b"").decode()
    array.validate(full=True)
    if kind in NumberColumn.ARROW and array.type == NumberColumn.ARROW[kind]:
        return NumberColumn.read(kind, array)
    if kind == "keyword" and pa.types.is_dictionary(array.type):
        return WordColumn.read(array)
    if kind == "keywords" and pa.types.is_list(array.type):
        return WordsColumn.read(array)
    if kind == "json" and array.type == pa.large_string():
        return StoredColumn(array)
    dense = dense_type(kind)
    if dense and array.type == DenseColumn.arrow_type(dense):
        return DenseColumn.read(dense, array)
    raise ValueError(f"column {field.name!r} of {array.type}, which is no {kind or 'type of field'}")


def _there(array: pa.Array) -> Mask:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False), np.bool_)
