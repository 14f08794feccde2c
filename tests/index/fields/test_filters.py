"""Filters: text and JSON say the same, columns find what a loop over the documents finds."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus.schema import TYPES
from lsr.errors import InputError
from lsr.index.fields.columns import as_batch, columns_of, of_batch
from lsr.index.fields.conditions import (
    And,
    Comparison,
    Contains,
    Exists,
    In,
    Not,
    Or,
    Prefix,
    from_json,
    time_of,
)
from lsr.index.fields.filter_text import parse_filter
from lsr.index.fields.matching import check_fields, matches

KINDS = {"i": "integer", "f": "float", "b": "boolean", "t": "datetime", "k": "keyword", "w": "keywords", "j": "json"}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WORDS = ["", "a", "ab", "abc", "b", "ü", "zebra", "10"]
VALUES = {
    "i": st.integers(-5, 5) | st.sampled_from([2**62, -(2**63), 2**53, 2**53 + 1]),
    "f": st.floats(-3, 3) | st.integers(-3, 3).map(float),
    "b": st.booleans(),
    "t": st.integers(-(10**15), 10**15),
    "k": st.sampled_from(WORDS),
    "w": st.lists(st.sampled_from(WORDS), max_size=3),
    "j": st.just('{"a":1}'),
}
rows = st.lists(st.fixed_dictionaries({}, optional=VALUES), max_size=12)
OPS = ["=", "<", "<=", ">", ">="]
ASKED = {
    "i": VALUES["i"] | st.floats(-6, 6) | st.sampled_from([1e30, -1e30, 2.0**53]),
    "f": VALUES["f"] | VALUES["i"],
    "b": st.booleans(),
    "t": st.integers(-(10**15), 10**15).map(lambda us: (EPOCH + timedelta(microseconds=us)).isoformat()),
    "k": st.sampled_from(WORDS),
    "w": st.sampled_from(WORDS),
}


@st.composite
def simple(draw):
    field = draw(st.sampled_from("ifbtkw"))
    kind = draw(st.sampled_from(["compare", "in", "exists", "prefix", "contains"]))
    if kind == "exists":
        return Exists(draw(st.sampled_from("ifbtkwj")))
    if kind in ("prefix", "contains"):
        return (Prefix if kind == "prefix" else Contains)(draw(st.sampled_from("kw")), draw(st.sampled_from(WORDS[1:])))
    if kind == "in":
        return In(field, tuple(draw(st.lists(ASKED[field], max_size=3))))
    return Comparison(field, draw(st.sampled_from(OPS)), draw(ASKED[field]))


conditions = st.recursive(
    simple(),
    lambda inner: (
        st.builds(Not, inner)
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: And(tuple(parts)))
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: Or(tuple(parts)))
    ),
    max_leaves=6,
)


def holds(condition, row):
    """The obvious way."""
    if isinstance(condition, And):
        return all(holds(part, row) for part in condition.parts)
    if isinstance(condition, Or):
        return any(holds(part, row) for part in condition.parts)
    if isinstance(condition, Not):
        return not holds(condition.part, row)
    value = row.get(condition.field)
    if value is None:
        return False
    if isinstance(condition, Exists):
        return True
    each = value if isinstance(value, list) else [value]
    if isinstance(condition, Prefix):
        return any(one.startswith(condition.value) for one in each)
    if isinstance(condition, Contains):
        return any(condition.value in one for one in each)
    kind = KINDS[condition.field]

    def as_stored(asked):
        return asked if kind in ("integer", "float") else TYPES[kind.removesuffix("s")].take(asked)

    if isinstance(condition, In):
        return any(one == as_stored(asked) for one in each for asked in condition.values)
    asked = as_stored(condition.value)
    compare = {
        "=": lambda one: one == asked,
        "<": lambda one: one < asked,
        "<=": lambda one: one <= asked,
        ">": lambda one: one > asked,
        ">=": lambda one: one >= asked,
    }
    return any(compare[condition.op](one) for one in each)


@given(rows, conditions)
@settings(max_examples=400, deadline=None)
def test_columns_find_what_a_loop_over_documents_finds(rows, condition):
    columns = columns_of(KINDS, rows)
    check_fields(condition, KINDS)
    found = matches(condition, columns, len(rows))
    assert found.dtype == np.bool_
    assert found.tolist() == [holds(condition, row) for row in rows]
    again = of_batch(as_batch(columns))
    assert matches(condition, again, len(rows)).tolist() == found.tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("price < 20", {"price": {"lt": 20}}),
        ("price >= 1.5 and price<2e3", {"and": [{"price": {"gte": 1.5}}, {"price": {"lt": 2e3}}]}),
        ("in_stock", {"in_stock": True}),
        ("not in_stock", {"not": {"in_stock": True}}),
        ("brand in [\"a\", 'b', c]", {"brand": {"in": ["a", "b", "c"]}}),
        ('brand = "say \\"hi\\""', {"brand": 'say "hi"'}),
        ("a = 1 or b = 2 and c = 3", {"or": [{"a": 1}, {"and": [{"b": 2}, {"c": 3}]}]}),
        ("(a = 1 or b = 2) and c = 3", {"and": [{"or": [{"a": 1}, {"b": 2}]}, {"c": 3}]}),
        ("`odd name` != x", {"not": {"odd name": "x"}}),
        ("tags contains ol and name prefix 'B'", {"and": [{"tags": {"contains": "ol"}}, {"name": {"prefix": "B"}}]}),
        ("made exists", {"made": {"exists": True}}),
        ("made > now-7d", {"made": {"gt": "now-7d"}}),
        ("NOT (A = True)", {"not": {"A": True}}),
        ("a.b = 1", {"a.b": 1}),
    ],
)
def test_text_and_json_say_the_same(text, value):
    assert parse_filter(text) == from_json(json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "character 1: found the end, wanted the name of a field"),
        ("price <", "character 8: found the end, wanted a value"),
        ("price < 20 brand", "character 12: found 'brand', wanted and, or, or the end"),
        ("(a = 1", "wanted a closing bracket"),
        ("a in 1", "wanted a list in square brackets"),
        ("a in [1 2]", "wanted a comma or a closing bracket"),
        ("and = 1", "wanted the name of a field"),
        ('a = "open', "character 5: found '\"open'"),
        ("(" * 40 + "a = 1" + ")" * 40, "nested more than 32 deep"),
        ("not " * 40 + "a = 1", "nested more than 32 deep"),
        (" or ".join(["a = 1"] * 300), "more than 256 conditions"),
        ("x" * 70_000, "70,000 characters"),
    ],
)
def test_what_is_no_filter_says_where(text, match):
    with pytest.raises(InputError, match=match):
        parse_filter(text)


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        "price",
        {"and": {}},
        {"and": []},
        {"not": []},
        {"price": {}},
        {"price": {"near": 1}},
        {"price": None},
        {"price": {"lt": [1]}},
        {"price": {"in": "ab"}},
        {"price": {"exists": 1}},
        {"name": {"prefix": ""}},
    ],
)
def test_json_that_is_no_filter_is_refused(value):
    with pytest.raises(InputError, match="the filter"):
        from_json(value)


def test_json_nested_too_deeply_is_refused():
    value: dict[str, object] = {"a": 1}
    for _ in range(100):
        value = {"not": value}
    with pytest.raises(InputError, match="nested more than 32 deep"):
        from_json(value)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("colour = red", "asks for the field 'colour': the index has b: boolean, f: float, "),
        ("i = red", "compares 'i' with 'red': the field is integer"),
        ("b < 2", "compares 'b' with 2: the field is boolean"),
        ("t > soon", "compares 't' with 'soon': the field is datetime"),
        ("i prefix 1", "prefix is for keywords"),
        ("j = 1", "stored only"),
        ("k = true", "the field holds keywords"),
    ],
)
def test_a_filter_that_does_not_fit_the_schema_is_refused(text, match):
    with pytest.raises(InputError, match=match):
        check_fields(parse_filter(text), KINDS)


def test_times_may_be_relative_to_now():
    now = datetime(2024, 5, 10, tzinfo=UTC)
    assert time_of("now", now) == now
    assert time_of("now-7d", now) == datetime(2024, 5, 3, tzinfo=UTC)
    assert time_of("now+12h", now) == datetime(2024, 5, 10, 12, tzinfo=UTC)
    assert time_of("2024-05-01", now) == "2024-05-01"


@given(st.text(max_size=40))
def test_any_text_is_a_filter_or_one_clear_line(text):
    try:
        parse_filter(text)
    except InputError as fault:
        assert "\n" not in str(fault)  # noqa: PT017


def test_fractions_beside_whole_numbers_are_compared_exactly():
    columns = columns_of({"i": "integer"}, [{"i": 2**53 + 1}, {"i": 2}, {"i": 3}])
    assert matches(Comparison("i", "=", 2.0**53), columns, 3).tolist() == [False, False, False]
    assert matches(Comparison("i", "<", 2.5), columns, 3).tolist() == [False, True, False]
    assert matches(Comparison("i", ">=", 2.5), columns, 3).tolist() == [True, False, True]
