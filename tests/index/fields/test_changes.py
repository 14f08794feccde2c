"""Rows taken, columns joined and values replaced are what lists would be."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.dense import dense_type
from lsr.errors import StorageError
from lsr.index.fields.changes import joined, patched, raw_values, taken
from lsr.index.fields.columns import DenseColumn, WordColumn, WordsColumn, as_batch, as_time, column_of, of_batch
from lsr.index.storage.fields import NAME, mapped, read_fields, write_fields
from tests.index.fields.test_filters import KINDS, VALUES


def dense(kind):
    """Bytes of numbers, as vectors of a type are stored."""
    type_ = dense_type(kind)
    assert type_ is not None
    numbers = st.integers(-128, 127) if type_.dtype == np.int8 else st.floats(-65504, 65504, width=16)
    return st.lists(numbers, min_size=type_.length, max_size=type_.length).map(type_.take)


KIND_VALUES = {kind: st.none() | VALUES[name] for name, kind in KINDS.items()}
KIND_VALUES |= {kind: st.none() | dense(kind) for kind in ("vector(3)", "vector_int8(2)")}
KIND_VALUES["json"] = st.none() | st.sampled_from(['{"a":1}', "[1,2]", '"x"'])
kinds = st.sampled_from(list(KIND_VALUES))


def lists(kind, most=10):
    return st.lists(KIND_VALUES[kind], max_size=most)


def seen(kind, values):
    """Values as `Column.value` gives them."""
    ways: dict[str, Callable[[Any], Any]] = {"datetime": as_time, "json": json.loads, "float": float}
    if type_ := dense_type(kind):
        ways[kind] = lambda value: np.frombuffer(value, type_.dtype).tolist()
    return [None if value is None else ways[kind](value) if kind in ways else value for value in values]


def check(column, kind, values):
    """The column is that of the list, in memory, on the disk, and without words that nobody has."""
    again = of_batch(as_batch({"x": column}))["x"]
    for one in (column, again):
        assert one.kind == kind
        assert one.there.tolist() == [value is not None for value in values]
        assert [one.value(row) for row in range(len(one))] == seen(kind, values)
    if isinstance(column, WordColumn | WordsColumn):
        assert list(column.words) == sorted({word for word in flat(values) if word is not None})
    assert column.arrow().equals(column_of(kind, values).arrow())


@given(st.data(), kinds)
@settings(max_examples=100, deadline=None)
def test_raw_values_make_the_same_column(data, kind):
    values = data.draw(lists(kind))
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=12) if values else st.just([]))
    column = of_batch(as_batch({"x": column_of(kind, values)}))["x"]
    assert raw_values(column, np.array(rows, np.int64)) == [values[row] for row in rows]


def flat(values):
    return [word for value in values for word in (value if isinstance(value, list) else [value])]


@given(st.data(), kinds)
@settings(max_examples=300, deadline=None)
def test_rows_are_taken_as_from_a_list(data, kind):
    values = data.draw(lists(kind))
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=12) if values else st.just([]))
    column = of_batch(as_batch({"x": column_of(kind, values)}))["x"]
    check(taken(column, np.array(rows, np.int64)), kind, [values[row] for row in rows])


@given(st.data(), kinds)
@settings(max_examples=300, deadline=None)
def test_columns_are_joined_as_lists(data, kind):
    narrower = {"float": "integer", "keywords": "keyword"}.get(kind)
    parts, whole = [], []
    for _ in range(data.draw(st.integers(0, 4))):
        own = data.draw(st.sampled_from([None, kind, narrower or kind]))
        values = data.draw(st.integers(0, 3).map(lambda n: [None] * n) if own is None else lists(own))
        parts.append(None if own is None else column_of(own, values))
        as_list = kind == "keywords" and own == "keyword"
        whole.append([[value] if as_list and value is not None else value for value in values])
    check(joined(parts, [*map(len, whole)], kind), kind, [value for values in whole for value in values])


@given(st.data(), kinds)
@settings(max_examples=300, deadline=None)
def test_values_are_replaced_as_in_a_list(data, kind):
    values = data.draw(lists(kind))
    column = data.draw(st.sampled_from([None, column_of(kind, values)]))
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=6) if values else st.just([]))
    new = data.draw(st.lists(KIND_VALUES[kind], min_size=len(rows), max_size=len(rows)))
    wanted = [None] * len(values) if column is None else list(values)
    for row, value in zip(rows, new, strict=True):
        wanted[row] = value
    check(patched(column, len(values), np.array(rows, np.int64), new, kind), kind, wanted)
    if column is not None:
        check(column, kind, values)  # it is a copy


def test_dense_vectors_are_read_in_place(tmp_path):
    type_ = dense_type("vector(8)")
    assert type_ is not None
    rows = [type_.take(np.arange(8) + row) for row in range(100)]
    write_fields(tmp_path, {"x": column_of("vector(8)", rows)})
    assert (tmp_path / NAME).stat().st_size < 100 * 8 * 2 + 1500
    memory = mapped(tmp_path / NAME)
    column = read_fields(memory, tmp_path / NAME)["x"]
    assert isinstance(column, DenseColumn)
    values = column.values
    assert np.shares_memory(values, np.frombuffer(memory, np.uint8))
    assert values.dtype == np.float16
    assert values.tolist() == [[float(row + i) for i in range(8)] for row in range(100)]


def test_dense_vectors_without_a_length_hold_nothing():
    column = column_of("vector", [None, None])
    assert [column.value(row) for row in range(2)] == [None, None]
    assert of_batch(as_batch({"x": column})) == {}
    check(patched(column, 2, np.array([1]), [bytes(4)], "vector(2)"), "vector(2)", [None, bytes(4)])
    for wrong in ("vector(3)", "vector_int8(2)"):
        with pytest.raises(StorageError, match=r"of type vector\(2\) cannot become one of type"):
            joined([column_of("vector(2)", [bytes(4)])], [1], wrong)


def test_types_that_say_something_else_are_refused():
    for one, kind in (("float", "integer"), ("keywords", "keyword"), ("boolean", "integer"), ("json", "keyword")):
        with pytest.raises(StorageError, match=f"a column of type {one} cannot become one of type {kind}"):
            joined([column_of(one, [None])], [1], kind)
    with pytest.raises(StorageError, match="a column of 1 values for 2 documents"):
        joined([column_of("float", [1.0])], [2], "float")


@pytest.mark.parametrize("kind", KINDS.values())
def test_rows_that_are_none_are_refused(kind):
    column = column_of(kind, [None, None])
    for rows in ([2], [-1, 0]):
        with pytest.raises(StorageError, match="of a column: wanted 0 to 1"):
            taken(column, np.array(rows))
        with pytest.raises(StorageError, match="of a column: wanted 0 to 1"):
            patched(column, 2, np.array(rows), [None] * len(rows), kind)


def test_joined_columns_come_back_from_their_file(tmp_path):
    parts = [column_of("keyword", ["b", None]), None, column_of("keyword", ["a", "b"])]
    write_fields(tmp_path, {"x": joined(parts, [2, 1, 2], "keyword")})
    column = read_fields(mapped(tmp_path / NAME), tmp_path / NAME)["x"]
    assert [column.value(row) for row in range(5)] == ["b", None, None, "a", "b"]
    write_fields(tmp_path / "nowhere", {})  # nothing to write
