"""Types of fields: inferred from all values, declared, and refused with document, field, value and type."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.schema import LONGEST_KEYWORD, TYPES, Cell, Schema, columns_of, flattened, parse_types
from lsr.errors import InputError


def inferred(*values):
    schema = Schema()
    for value in values:
        schema.see({"x": [value]})
    return schema.types().get("x") if any(value is not None for value in values) else None


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ((True, None), "boolean"),
        ((1, 2), "integer"),
        ((1, 2.5), "float"),
        ((2**70, 1), "float"),
        ((1, "a"), "keyword"),
        ((1.5, "a"), "json"),
        (("a", "b"), "keyword"),
        (("2024-05-01", "2024-05-01T12:00:00Z"), "datetime"),
        (("2024-05-01", "soon"), "keyword"),
        (("12", "3"), "keyword"),  # texts of JSON are texts
        ((["a"], []), "keywords"),
        ((["a"], "b"), "keywords"),
        (("a", True), "json"),
        (([1.5],), "json"),
        (([{"a": 1}],), "json"),
        (("x" * (LONGEST_KEYWORD + 1), "a"), "json"),
        ((None,), None),
    ],
)
def test_types_are_inferred_from_all_values(values, kind):
    assert inferred(*values) == kind
    assert inferred(*reversed(values)) == kind


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("1", "2"), "integer"),
        (("1", "2.5", ".5", "-1e3"), "float"),
        (("true", "False"), "boolean"),
        (("00123", "5"), "keyword"),
        (("1", ""), "integer"),
        (("2024-05-01", "2023-01-01"), "datetime"),
        (("+", "-"), "keyword"),
        (("nan", "1"), "keyword"),
    ],
)
def test_texts_of_tables_may_be_numbers(values, kind):
    schema = Schema()
    for value in values:
        schema.see({"x": [*flattened({"x": Cell(value)}).values()]})
    assert schema.types()["x"] == kind
    together = Schema()
    together.see({"x": [*map(Cell, filter(None, values)), None]})
    assert together.types()["x"] == kind


def test_long_texts_of_tables_are_stored():
    schema, texts = Schema(), [Cell("x" * (LONGEST_KEYWORD + 1)), Cell("1")]
    schema.see({"x": texts})
    assert schema.types() == {"x": "json"}
    assert schema.stored("x", texts, ["a", "b"]) == [f'"{text}"' for text in texts]


def test_a_value_that_does_not_fit_names_document_field_value_and_type():
    schema = Schema({"price": "float"})
    with pytest.raises(
        InputError, match=r"document 'd1', field 'price': found 'cheap', wanted a finite number \(float"
    ):
        schema.stored("price", [1.5, "cheap"], ["d0", "d1"])
    assert schema.stored("price", ["19.90", None, 3], ["a", "b", "c"]) == [19.9, None, 3.0]


def stored(kind, *values):
    schema = Schema({"e": kind})
    schema.see({"e": values})
    found = schema.stored("e", values, [f"d{at}" for at in range(len(values))])
    return found, schema.types()["e"]


@pytest.mark.parametrize("way", [list, tuple, str, *map(np.dtype, ("f2", "f4", "f8", "i1", "i8"))])
def test_dense_vectors_are_bytes_of_their_numbers(way):
    value = np.array([1, -2, 3], way) if isinstance(way, np.dtype) else way([1, -2, 3])
    assert stored("vector", None, value) == ([None, np.array([1, -2, 3], "<f2").tobytes()], "vector(3)")
    assert stored("vector_int8", value) == ([b"\x01\xfe\x03"], "vector_int8(3)")
    assert stored("vector(3)", value, None)[1] == "vector(3)"


def test_dense_vectors_are_rounded_and_have_one_zero():
    one, other = stored("vector", [0.1, -0.0], [np.float16(0.1), 0])[0]
    assert one == other


@pytest.mark.parametrize("kind", ["vector", "vector_int8", "vector(2)", "vector_int8(2)"])
@pytest.mark.parametrize(
    "value",
    [
        [],
        [1, None],
        [1, float("nan")],
        [float("inf"), 1],
        [1, 70_000],
        [1, -(2**63)],
        [1, 2**70],
        [True, 1],
        ["1", "2"],
        [[1, 2], [3, 4]],
        [[1], 2],
        [1] * 4097,
        "1, 2",
        "[1, 2",
        "5",
        5,
        {"a": 1},
        b"12",
        np.zeros((2, 2)),
        np.array([1j, 2]),
        np.array([True, False]),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_what_is_no_dense_vector_is_refused(kind, value):
    base = kind.partition("(")[0]
    with pytest.raises(InputError, match=rf"(?s)document 'd0', field 'e': found .*, wanted a list of .* \({base}"):
        stored(kind, value)


@pytest.mark.parametrize("value", [[1, 2.5], [1, 128], [-129, 1], np.array([0.5, 1])])
def test_small_whole_numbers_alone_are_int8(value):
    assert stored("vector", value)[1] == "vector(2)"
    with pytest.raises(InputError, match="wanted a list of 1 to 4,096 whole numbers from -128 to 127 "):
        stored("vector_int8", value)


def test_dense_vectors_of_a_field_have_the_length_of_the_first():
    message = (
        r"document 'd2', field 'e': found \[1, 2, 3\] \(3 values\), wanted a list of 2 numbers from -65,504 to 65,504 "
        r"\(vector\(2\)\); declare another type, as --field e:json, or correct the value"
    )
    with pytest.raises(InputError, match=message):
        stored("vector", None, [1, 2], [1, 2, 3])
    schema = Schema({"e": "vector"})
    schema.stored("e", [None, [1, 2]], ["a", "b"])
    with pytest.raises(InputError, match=r"wanted a list of 2 numbers"):
        schema.stored("e", [[1]], ["c"])


def test_lists_and_arrays_of_numbers_are_dense_vectors_only_where_that_is_declared():
    schema = Schema({"e": "vector"})
    values = flattened({"e": np.ones(2), "f": np.ones(2), "g": [1, 2], "h": np.float32(2), "i": {"j": np.arange(2)}})
    schema.see({name: [value] for name, value in values.items()})
    assert schema.types() == {"e": "vector", "f": "json", "g": "json", "h": "float", "i.j": "json"}
    assert schema.stored("f", [values["f"]], ["d"]) == ["[1.0,1.0]"]


def test_declared_types_are_parsed_and_checked():
    assert parse_types(["price:float", "a:b:keyword"]) == {"price": "float", "a:b": "keyword"}
    assert parse_types(["a:vector", "b:vector_int8", "c:vector(384)"]) == {
        "a": "vector",
        "b": "vector_int8",
        "c": "vector(384)",
    }
    for word in ("price", ":float", "price:", "price:money", "a:vector(0)", "a:vector(5000)", "a:float(2)"):
        with pytest.raises(InputError, match="wanted NAME:TYPE"):
            parse_types([word])
    with pytest.raises(InputError, match="was declared as float"):
        parse_types(["price:float", "price:integer"])
    with pytest.raises(InputError, match="unknown type 'money'"):
        Schema({"price": "money"})


def test_nested_objects_flatten_with_dots():
    assert flattened({"a": {"b": 1, "c": {"d": [2]}}, "e": "", "f": 0}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
        "f": 0,
    }
    with pytest.raises(InputError, match=r"two fields are called 'a\.b'"):
        flattened({"a": {"b": 1}, "a.b": 2})
    deep: dict[str, object] = {}
    for _ in range(30):
        deep = {"a": deep}
    with pytest.raises(InputError, match="too long or too deep"):
        flattened({"x": deep | {"y": 1}} if deep else {})


def test_too_many_fields_are_refused():
    with pytest.raises(InputError, match="more than 1,000 fields"):
        Schema().see({f"f{i}": [i] for i in range(1001)})


@pytest.mark.parametrize("zone", [0, 2, -8])
def test_times_are_stored_as_utc(zone):
    when = datetime(2024, 5, 1, 12, 30, 15, 250, tzinfo=UTC)
    text = f"2024-05-01T{12 + zone:02d}:30:15.000250{'Z' if not zone else f'{zone:+03d}:00'}"
    assert TYPES["datetime"].take(text) == round((when - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(json_values, max_size=6))
def test_whatever_was_seen_fits_the_type_that_is_inferred(values):
    one, other = Schema(), Schema()
    for value in values:
        one.see({"x": [value]})
    other.see({"x": values})
    if values:
        assert one.types() == other.types()
        found = one.stored("x", values, ["d"] * len(values))
        assert [value is None for value in found] == [value is None for value in values]


@given(st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys("abc", json_values)), max_size=5))
def test_columns_hold_what_rows_held(rows):
    columns = columns_of(rows)
    back = [{name: values[at] for name, values in columns.items()} for at in range(len(rows))]
    assert [{name: row.get(name) for name in columns} for row in rows] == back
