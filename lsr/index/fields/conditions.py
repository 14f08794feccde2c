"""What may be asked of the fields of a document? Conditions, and how they are written as JSON.

A document without the field meets no comparison; ``not`` turns that around, so ``not brand = "a"`` finds documents
without a brand too, and so does ``brand != "a"``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from lsr.errors import InputError

COMPARISONS = {"eq": "=", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
DEEPEST, MOST_CONDITIONS, MOST_VALUES = 32, 256, 10_000
NOW = re.compile(r"now(?:([+-])(\d{1,6})([smhdwy]))?")
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_557_600}  # seconds


@dataclass(frozen=True)
class Comparison:
    """``field op value`` with op one of = < <= > >=; a list of keywords is equal to each word that it holds."""

    field: str
    op: str
    value: Any


@dataclass(frozen=True)
class In:
    """The field equals one of the values."""

    field: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Exists:
    """The document has the field."""

    field: str


@dataclass(frozen=True)
class Prefix:
    """A keyword begins with these characters."""

    field: str
    value: str


@dataclass(frozen=True)
class Contains:
    """A keyword has these characters somewhere."""

    field: str
    value: str


@dataclass(frozen=True)
class And:
    """All of them."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Or:
    """One of them at least."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class Not:
    """Not this one."""

    part: Condition


Condition = Comparison | In | Exists | Prefix | Contains | And | Or | Not


def from_json(value: Any) -> Condition:
    """The condition that JSON writes.

    ``{"price": {"lt": 20}, "brand": "a"}`` wants both; ``{"or": [...]}``, ``{"and": [...]}`` and ``{"not": {...}}``
    hold conditions; a field has ``eq``, ``lt``, ``lte``, ``gt``, ``gte``, ``in``, ``exists``, ``prefix`` or
    ``contains``, several of them for a range; a value alone is ``eq``, a list alone ``in``.

    Raises:
        InputError: another form, or more conditions than a filter holds.
    """
    return checked(_from_json(value, 0))


def checked(condition: Condition) -> Condition:
    """``condition``, unless it is larger than a filter may be.

    Raises:
        InputError: more conditions, or more values of one, than a filter holds.
    """
    count = 0
    left = [condition]
    while left:
        one = left.pop()
        count += 1
        if count > MOST_CONDITIONS:
            raise InputError(f"the filter has more than {MOST_CONDITIONS} conditions")
        if isinstance(one, In) and len(one.values) > MOST_VALUES:
            raise InputError(f"the filter has {len(one.values):,} values for {one.field!r}: at most {MOST_VALUES:,}")
        left += one.parts if isinstance(one, And | Or) else [one.part] if isinstance(one, Not) else []
    return condition


def time_of(text: str, now: datetime | None = None) -> str | datetime:
    """A time relative to now, as now, now-7d or now+12h (s, m, h, d, w, y); any other text as it is.

    Raises:
        InputError: a time before the year 1 or after 9999.
    """
    if not (found := NOW.fullmatch(text)):
        return text
    sign, count, unit = found.groups()
    now = now or datetime.now(UTC)
    try:
        shift = timedelta(seconds=int(count) * UNITS[unit]) if unit else timedelta()
        return now - shift if sign == "-" else now + shift
    except OverflowError:
        raise InputError(f"the filter asks for {text}: wanted a time in the years 1 to 9999") from None


def _from_json(value: Any, depth: int) -> Condition:
    if depth > DEEPEST:
        raise InputError(f"the filter is nested more than {DEEPEST} deep")
    if not isinstance(value, Mapping) or not value:
        raise InputError(f'the filter holds {value!r:.60}: wanted an object, as {{"price": {{"lt": 20}}}}')
    parts = [_entry(str(key), one, depth) for key, one in value.items()]
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _entry(key: str, value: Any, depth: int) -> Condition:
    if key in ("and", "or"):
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InputError(f"the filter has {key!r} of {value!r:.60}: wanted a list of conditions")
        parts = tuple(_from_json(one, depth + 1) for one in value)
        return And(parts) if key == "and" else Or(parts)
    if key == "not":
        return Not(_from_json(value, depth + 1))
    if isinstance(value, Mapping):
        parts = tuple(_of_field(key, op, one) for op, one in value.items())
        if not parts:
            raise InputError(f"the filter asks nothing of {key!r}: wanted {', '.join((*COMPARISONS, *OTHERS))}")
        return parts[0] if len(parts) == 1 else And(parts)
    return _of_field(key, "in" if isinstance(value, list | tuple) else "eq", value)


def _of_field(field: str, op: str, value: Any) -> Condition:
    if op in COMPARISONS:
        if isinstance(value, Mapping | list) or value is None:
            raise InputError(f"the filter compares {field!r} with {value!r:.60}: wanted one value")
        return Comparison(field, COMPARISONS[op], value)
    if op in OTHERS:
        return OTHERS[op](field, value)
    raise InputError(f"the filter asks {op!r:.60} of {field!r}: wanted {', '.join((*COMPARISONS, *OTHERS))}")


def _in(field: str, value: Any) -> Condition:
    if not isinstance(value, Sequence) or isinstance(value, str) or any(isinstance(one, Mapping) for one in value):
        raise InputError(f"the filter has 'in' of {value!r:.60} for {field!r}: wanted a list of values")
    return In(field, tuple(value))


def _exists(field: str, value: Any) -> Condition:
    if not isinstance(value, bool):
        raise InputError(f"the filter has 'exists' of {value!r:.60} for {field!r}: wanted true or false")
    return Exists(field) if value else Not(Exists(field))


def _prefix(field: str, value: Any) -> Condition:
    return Prefix(field, _text(field, "prefix", value))


def _contains(field: str, value: Any) -> Condition:
    return Contains(field, _text(field, "contains", value))


def _text(field: str, op: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise InputError(f"the filter has {op!r} of {value!r:.60} for {field!r}: wanted a text")
    return value


OTHERS: dict[str, Callable[[str, Any], Condition]] = {
    "in": _in,
    "exists": _exists,
    "prefix": _prefix,
    "contains": _contains,
}
