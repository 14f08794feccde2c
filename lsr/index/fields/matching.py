"""Which documents meet a condition? One bool a document, column by column."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from lsr.corpus.schema import INT64, TYPES
from lsr.corpus.values import MisfitError
from lsr.errors import InputError
from lsr.index.fields.columns import Column, Mask, NumberColumn, WordColumn, WordsColumn, first_at_least
from lsr.index.fields.conditions import (
    And,
    Comparison,
    Condition,
    Contains,
    Exists,
    In,
    Not,
    Or,
    Prefix,
    time_of,
)

Ranged = tuple[int, int]  # codes from the first to before the second


def matches(condition: Condition, columns: Mapping[str, Column], n: int) -> Mask:
    """Which of ``n`` documents meet ``condition``, bool[n]; a column that is missing holds nothing.

    Raises:
        InputError: a value that the type of its field cannot be compared with.
    """
    if isinstance(condition, And | Or):
        found = [matches(part, columns, n) for part in condition.parts]
        combined: Mask = (np.logical_and if isinstance(condition, And) else np.logical_or).reduce(found)
        return combined
    if isinstance(condition, Not):
        return ~matches(condition.part, columns, n)
    column = columns.get(condition.field)
    return np.zeros(n, np.bool_) if column is None else _of_column(condition, column)


def check_fields(condition: Condition, types: Mapping[str, str]) -> None:
    """Refuse a filter of unknown fields, or values that their types are never compared with.

    Raises:
        InputError: names the field, and what there is.
    """
    if isinstance(condition, And | Or):
        for part in condition.parts:
            check_fields(part, types)
    elif isinstance(condition, Not):
        check_fields(condition.part, types)
    elif condition.field not in types:
        known = ", ".join(f"{name}: {kind}" for name, kind in sorted(types.items())) or "none"
        raise InputError(f"the filter asks for the field {condition.field!r:.60}: the index has {known:.500}")
    else:
        _of_column(condition, _empty(types[condition.field]))


def _empty(kind: str) -> Column:
    from lsr.index.fields.columns import column_of

    return column_of(kind, [])


def _of_column(condition: Comparison | In | Exists | Prefix | Contains, column: Column) -> Mask:
    if isinstance(condition, Exists):
        return column.there
    if isinstance(column, NumberColumn):
        return _of_numbers(condition, column)
    if isinstance(column, WordColumn | WordsColumn):
        return _of_words(condition, column)
    raise InputError(f"the field {condition.field!r} is stored only ({column.kind}): no filter can look into it")


def _of_numbers(condition: Comparison | In | Prefix | Contains, column: NumberColumn) -> Mask:
    if isinstance(condition, Prefix | Contains):
        raise InputError(f"the field {condition.field!r} is {column.kind}: {_name(condition)} is for keywords")
    if isinstance(condition, In):
        found = [_compared_numbers(Comparison(condition.field, "=", value), column) for value in condition.values]
        one_of: Mask = np.logical_or.reduce([np.zeros(len(column), np.bool_), *found])
        return one_of
    return _compared_numbers(condition, column)


def _compared_numbers(condition: Comparison, column: NumberColumn) -> Mask:
    value, op = _number(condition.field, condition.value, column.kind), condition.op
    if column.values.dtype == np.int64 and isinstance(value, float):
        value, op = _whole(value, op)
    compare = {"=": np.equal, "<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
    if op == "none":
        return np.zeros(len(column), np.bool_)
    if column.values.dtype == np.int64 and not -INT64 <= value < INT64:  # beyond every value
        return column.there & (op != "=" and (value < 0) == (op in (">", ">=")))
    found: Mask = column.there & compare[op](column.values, value)
    return found


def _whole(value: float, op: str) -> tuple[int, str]:
    """The comparison of whole numbers that says the same: those below 2.5 are those of at most 2."""
    if value.is_integer():
        return int(value), op
    if op == "=":
        return 0, "none"
    return (math.floor(value), "<=" if op in ("<", "<=") else ">")


def _number(field: str, value: Any, kind: str) -> Any:
    """A value as a column of ``kind`` holds it; whole numbers are compared with fractions too."""
    if kind == "datetime" and isinstance(value, str):
        value = time_of(value)
    if kind == "integer" and isinstance(value, float):
        kind = "float"
    try:
        return TYPES[kind].take(value)
    except MisfitError:
        raise InputError(
            f"the filter compares {field!r} with {value!r:.60}: the field is {kind}, wanted {TYPES[kind].wanted}"
        ) from None


def _of_words(condition: Comparison | In | Prefix | Contains, column: WordColumn | WordsColumn) -> Mask:
    words = column.words
    if isinstance(condition, Contains):
        return _with_codes(column, np.array([condition.value in word for word in words], np.bool_))
    if isinstance(condition, Prefix):
        return _between(column, _prefixed(words, condition.value))
    if isinstance(condition, In):
        chosen = np.zeros(len(words), np.bool_)
        for value in condition.values:
            chosen[slice(*_equal(words, _word(condition.field, value)))] = True
        return _with_codes(column, chosen)
    word = _word(condition.field, condition.value)
    return _between(column, _compared(words, condition.op, word))


def _word(field: str, value: Any) -> str:
    try:
        found: str = TYPES["keyword"].take(value)
    except MisfitError:
        raise InputError(f"the filter compares {field!r} with {value!r:.60}: the field holds keywords") from None
    return found


def _equal(words: Any, word: str) -> Ranged:
    first = first_at_least(words, word)
    return first, first + (first < len(words) and words[first] == word)


def _compared(words: Any, op: str, word: str) -> Ranged:
    first, after = _equal(words, word)
    ranges = {"=": (first, after), "<": (0, first), "<=": (0, after), ">": (after, len(words))}
    return ranges.get(op, (first, len(words)))


def _prefixed(words: Any, prefix: str) -> Ranged:
    first = last = first_at_least(words, prefix)
    high = len(words)
    while last < high:  # the prefixed words are neighbours: look for the first that is not
        middle = (last + high) // 2
        if words[middle].startswith(prefix):
            last = middle + 1
        else:
            high = middle
    return first, last


def _between(column: WordColumn | WordsColumn, codes: Ranged) -> Mask:
    first, after = codes
    inside: Mask = (column.codes >= first) & (column.codes < after)
    return inside if isinstance(column, WordColumn) else _any_of(column, inside)


def _with_codes(column: WordColumn | WordsColumn, chosen: Mask) -> Mask:
    """Documents with a word that is chosen; ``chosen`` is bool[words]."""
    inside = np.append(chosen, False)[column.codes]  # code -1 is the last
    return inside if isinstance(column, WordColumn) else _any_of(column, inside)


def _any_of(column: WordsColumn, inside: Mask) -> Mask:
    """Documents with a word inside; ``inside`` is bool[codes]."""
    counts = np.zeros(inside.size + 1, np.int64)
    np.cumsum(inside, out=counts[1:])
    found: Mask = counts[column.ends[1:]] > counts[column.ends[:-1]]
    return found


def _name(condition: Prefix | Contains) -> str:
    return "prefix" if isinstance(condition, Prefix) else "contains"
