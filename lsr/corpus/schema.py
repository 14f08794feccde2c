"""Which type has each field of the documents, and does a value fit it? Inferred from values, or declared."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from lsr.corpus.values import is_unicode, shown
from lsr.errors import InputError

LONGEST_KEYWORD = 512  # characters; longer texts are stored, not filtered by
MOST_FIELDS, LONGEST_NAME, DEEPEST = 1000, 200, 16
INT64 = 2**63
WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,18})")  # no leading zeros: 00123 is a keyword
NUMBER = re.compile(r"[+-]?(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
TRUTH = {"true": True, "false": False}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Cell(str):
    """A text of a table, where numbers and truth values are text too."""

    __slots__ = ()


class MisfitError(ValueError):
    """A value that a type does not hold."""


class FieldType(NamedTuple):
    """One type of field.

    Attributes:
        name: as schemas call it.
        wanted: its values in words, for messages.
        take: a value as it is stored, from one as its source gave it; `MisfitError` where it does not fit.
    """

    name: str
    wanted: str
    take: Callable[[Any], Any]


def boolean(value: Any) -> bool:
    """True or false; in tables "true" and "false", in any case.

    Raises:
        MisfitError: anything else.
    """
    found = TRUTH.get(value.lower()) if isinstance(value, str) else value
    if not isinstance(found, bool):
        raise MisfitError
    return found


def integer(value: Any) -> int:
    """A whole number of 64 bits, or its digits.

    Raises:
        MisfitError: anything else.
    """
    if isinstance(value, str) and WHOLE.fullmatch(value):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not -INT64 <= value < INT64:
        raise MisfitError
    return value


def number(value: Any) -> float:
    """A finite number, or its digits.

    Raises:
        MisfitError: anything else.
    """
    if isinstance(value, str) and value.strip("+-") and NUMBER.fullmatch(value):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MisfitError
    try:
        found = float(value)
    except OverflowError:
        raise MisfitError from None
    if not math.isfinite(found):
        raise MisfitError
    return found


def moment(value: Any) -> int:
    """Microseconds since 1970 of a time in ISO 8601; without a zone it is UTC, without a time midnight.

    Raises:
        MisfitError: anything else.
    """
    if isinstance(value, datetime):
        found = value
    elif isinstance(value, str) and TIME.fullmatch(value):
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            raise MisfitError from None
    else:
        raise MisfitError
    since = (found if found.tzinfo else found.replace(tzinfo=UTC)) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def keyword(value: Any) -> str:
    """A text of at most 512 characters; a whole number becomes its digits.

    Raises:
        MisfitError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str) or len(value) > LONGEST_KEYWORD or "\0" in value or not is_unicode(value):
        raise MisfitError
    return str(value)


def keywords(value: Any) -> list[str]:
    """A list of keywords; one alone is a list of one.

    Raises:
        MisfitError: anything else.
    """
    return [keyword(one) for one in value] if isinstance(value, list | tuple) else [keyword(value)]


def stored(value: Any) -> str:
    """Any JSON value, as JSON: it is given back with a hit, and cannot be filtered by.

    Raises:
        MisfitError: what JSON cannot write.
    """
    try:
        return msgspec.json.encode(value).decode()
    except (msgspec.MsgspecError, TypeError, UnicodeError, OverflowError, RecursionError):
        raise MisfitError from None


# In the order in which an unknown field tries them.
TYPES = {
    kind.name: kind
    for kind in (
        FieldType("boolean", "true or false", boolean),
        FieldType("integer", "a whole number of 64 bits", integer),
        FieldType("float", "a finite number", number),
        FieldType("datetime", "a time in ISO 8601, as 2024-05-01 or 2024-05-01T12:00:00Z", moment),
        FieldType("keyword", f"a text of at most {LONGEST_KEYWORD} characters", keyword),
        FieldType("keywords", "a list of keywords", keywords),
        FieldType("json", "a JSON value", stored),
    )
}
OF_TEXT = frozenset({"boolean", "integer", "float"})  # that a text may be in a table, where everything is text
TEXTUAL = frozenset({"datetime", "keyword", "keywords", "json"})
FITTING = {
    bool: frozenset({"boolean", "json"}),
    int: frozenset({"integer", "float", "keyword", "keywords", "json"}),
    float: frozenset({"float", "json"}),
    list: frozenset({"keywords", "json"}),
}
ONLY_STORED = frozenset({"json"})


class Schema:
    """Types of fields by name; unknown ones are inferred from the values that `see` is shown.

    Args:
        declared: types that are known.

    Raises:
        InputError: a type that is none.
    """

    def __init__(self, declared: Mapping[str, str] | None = None) -> None:
        for name, kind in (declared or {}).items():
            if kind not in TYPES:
                raise InputError(f"field {name!r}: unknown type {kind!r:.60}: wanted one of {', '.join(TYPES)}")
        self.declared = dict(declared or {})
        self._possible: dict[str, frozenset[str]] = {}

    def see(self, fields: Mapping[str, Any]) -> None:
        """Take note of the values of one document, flat.

        Raises:
            InputError: more fields than a schema holds.
        """
        for name, value in fields.items():
            if name in self.declared or value is None:
                continue
            possible = self._possible.get(name)
            if possible is None:
                possible = self._new(name)
            if possible is not ONLY_STORED:
                self._possible[name] = _still(possible, value)

    def types(self) -> dict[str, str]:
        """The type of every field, declared ones first."""
        inferred = {name: next(kind for kind in TYPES if kind in kinds) for name, kinds in self._possible.items()}
        return self.declared | inferred

    def row(self, fields: Mapping[str, Any], document: str) -> dict[str, Any]:
        """The values of one document as they are stored.

        Raises:
            InputError: a value that does not fit; names document, field, value and type.
        """
        types = self.types()
        return {name: _taken(types[name], value, name, document) for name, value in fields.items() if value is not None}

    def _new(self, name: str) -> frozenset[str]:
        if len(self._possible) + len(self.declared) >= MOST_FIELDS:
            raise InputError(f"field {name!r:.60}: more than {MOST_FIELDS:,} fields; keep some, with --store")
        return frozenset(TYPES)


def flattened(record: Mapping[str, Any], before: str = "", depth: int = 0) -> dict[str, Any]:
    """Fields of nested objects by names with dots: {"a": {"b": 1}} is {"a.b": 1}; empty texts are nothing.

    Raises:
        InputError: objects nested too deeply, a name that is too long, or two fields that get one name.
    """
    found: dict[str, Any] = {}
    for key, value in record.items():
        name = f"{before}{key}"
        if len(name) > LONGEST_NAME or depth > DEEPEST:
            raise InputError(f"the field {shown(name)} is too long or too deep: wanted {LONGEST_NAME} characters")
        parts = flattened(value, f"{name}.", depth + 1) if isinstance(value, dict) else {name: value or _or(value)}
        if twice := found.keys() & parts.keys():
            raise InputError(f"two fields are called {min(twice)!r}: rename one")
        found |= parts
    return found


def parse_types(words: Iterable[str]) -> dict[str, str]:
    """Declared types from words like "price:float".

    Raises:
        InputError: another form, an unknown type, or a field declared twice.
    """
    declared: dict[str, str] = {}
    for word in words:
        name, colon, kind = word.rpartition(":")
        if not colon or not name or kind not in TYPES:
            raise InputError(f"--field {word!r:.60}: wanted NAME:TYPE, the type one of {', '.join(TYPES)}")
        if declared.setdefault(name, kind) != kind:
            raise InputError(f"--field {word!r:.60}: {name!r} was declared as {declared[name]}")
    return declared


def _or(value: Any) -> Any:
    """What an empty value is: an empty text says nothing, 0 and false do."""
    return None if value == "" else value


def _still(possible: frozenset[str], value: Any) -> frozenset[str]:
    """Those of the types that hold ``value`` too."""
    if isinstance(value, str):
        kept = possible if type(value) is Cell else possible & TEXTUAL
        wrong = {kind for kind in kept & (OF_TEXT | {"datetime"}) if not _holds(kind, value)}
        if len(value) > LONGEST_KEYWORD or not _holds("keyword", value):
            return ONLY_STORED
        return kept - wrong if wrong else kept
    if isinstance(value, list) and not all(isinstance(one, str) for one in value):
        return ONLY_STORED
    kept = possible & FITTING.get(type(value), ONLY_STORED)
    if type(value) in (list, int, float) and not all(_holds(kind, value) for kind in kept):
        return frozenset(kind for kind in kept if _holds(kind, value))
    return kept


def _holds(kind: str, value: Any) -> bool:
    try:
        TYPES[kind].take(value)
    except MisfitError:
        return False
    return True


def _taken(kind: str, value: Any, name: str, document: str) -> Any:
    try:
        return TYPES[kind].take(value)
    except MisfitError:
        raise InputError(
            f"document {document!r:.80}, field {name!r:.80}: found {shown(value)}, wanted {TYPES[kind].wanted} "
            f"({kind}); declare another type, as --field {name}:keyword, or mend the value"
        ) from None
