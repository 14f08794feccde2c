"""How is a filter given? As text, as JSON, or as a condition; checked against the fields of an index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lsr.errors import InputError
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
    checked,
    from_json,
)
from lsr.index.fields.filter_text import parse_filter
from lsr.index.fields.matching import check_fields

Filter = str | Mapping[str, Any] | Condition
KINDS = And, Comparison, Contains, Exists, In, Not, Or, Prefix


def as_condition(value: Filter, types: Mapping[str, str]) -> Condition:
    """The condition that ``value`` stands for, over fields of these ``types``.

    Raises:
        InputError: no filter, an unknown field, or a value that does not fit its type.
    """
    if isinstance(value, str):
        condition = parse_filter(value)
    elif isinstance(value, KINDS):
        condition = checked(value)
    elif isinstance(value, Mapping):
        condition = from_json(value)
    else:
        raise InputError(f"the filter is {value!r:.60}: wanted a text, JSON, or a condition")
    check_fields(condition, types)
    return condition


def is_relative(condition: Condition) -> bool:
    """Whether it asks for times relative to now, so that it means something else tomorrow."""
    if isinstance(condition, And | Or):
        return any(map(is_relative, condition.parts))
    if isinstance(condition, Not):
        return is_relative(condition.part)
    values = condition.values if isinstance(condition, In) else (getattr(condition, "value", None),)
    return any(isinstance(value, str) and value.startswith("now") for value in values)


def fields_of(condition: Condition) -> set[str]:
    """Names of the fields that a condition looks at."""
    if isinstance(condition, And | Or):
        return {name for part in condition.parts for name in fields_of(part)}
    return fields_of(condition.part) if isinstance(condition, Not) else {condition.field}
