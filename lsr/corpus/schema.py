"""Which type has each field of the documents, and does a value fit it? Inferred from values, or declared."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from operator import itemgetter
from typing import Any, NamedTuple

import msgspec
import numpy as np

from lsr.corpus.dense import DenseType, dense_type
from lsr.corpus.values import MisfitError, is_unicode, shown
from lsr.errors import InputError

LONGEST_KEYWORD = 512  # characters; longer texts are stored, not filtered by
MOST_FIELDS, LONGEST_NAME, DEEPEST = 1000, 200, 16
INT64 = 2**63
WHOLE = re.compile(r"[+-]?(0|[1-9]\d{0,18})")  # no leading zeros: 00123 is a keyword
NUMBER = re.compile(r"[+-]?(?=\.?\d)(0|[1-9]\d*)?(\.\d+)?([eE][+-]?\d+)?")
TIME = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d)?)?")
TRUTH = {"true": True, "false": False}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = datetime.min.replace(tzinfo=UTC) - EPOCH, datetime.max.replace(tzinfo=UTC) - EPOCH


class Cell(str):
    """A text of a table, where numbers and truth values are text too."""

    __slots__ = ()


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
    if not FIRST <= since <= LAST:  # a zone can lead out of the years that a time may have
        raise MisfitError
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
        return msgspec.json.encode(str(value) if isinstance(value, Cell) else value).decode()
    except (msgspec.MsgspecError, TypeError, UnicodeError, OverflowError, RecursionError):
        raise MisfitError from None


# In the order in which an unknown field tries them; dense vectors are only declared.
DENSE = "vector", "vector_int8"
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
        *(FieldType(name, DenseType(name).wanted, DenseType(name).take) for name in DENSE),
    )
}
INFERRED = frozenset(TYPES.keys() - {*DENSE})
# Types that may hold a value of a class of Python; texts of tables may be anything.
FITTING = {
    bool: frozenset({"boolean", "json"}),
    int: frozenset({"integer", "float", "keyword", "keywords", "json"}),
    float: frozenset({"float", "json"}),
    list: frozenset({"keywords", "json"}),
    str: frozenset({"datetime", "keyword", "keywords", "json"}),
    Cell: INFERRED,
}
# Classes of Python whose values are stored as they are.
AS_THEY_ARE = {
    "boolean": {bool, type(None)},
    "integer": {int, type(None)},
    "float": {float, type(None)},
    "keyword": {str, type(None)},
}
PLAIN = {str, int, float, bool, list, dict, type(None), Cell}
LISTS = {list, type(None)}
ONLY_STORED = frozenset({"json"})
KNOWN = 2**16  # texts of a field whose values are kept


class Schema:
    """Types of fields by name; unknown ones are inferred from the values that `see` is shown.

    Args:
        declared: types that are known.
        fixed: whether they are those of a collection, which stay; otherwise another type may be declared.

    Raises:
        InputError: a type that is none.
    """

    def __init__(self, declared: Mapping[str, str] | None = None, fixed: bool = False) -> None:
        for name, kind in (declared or {}).items():
            if not is_type(kind):
                raise InputError(f"field {name!r}: unknown type {kind!r:.60}: wanted one of {', '.join(TYPES)}")
        self.declared, self._fixed = dict(declared or {}), fixed
        self._possible: dict[str, frozenset[str]] = {}

    def see(self, columns: Mapping[str, Sequence[Any]]) -> None:
        """Take note of the values of some documents by field, None for nothing.

        Raises:
            InputError: more fields than a schema holds.
        """
        for name, values in columns.items():
            if name in self.declared:
                continue
            possible = self._possible.get(name)
            if possible is None:
                possible = self._new(name)
            if possible is not ONLY_STORED:
                self._possible[name] = _still(possible, values)

    def types(self) -> dict[str, str]:
        """The type of every field, declared ones first."""
        inferred = {name: next(kind for kind in TYPES if kind in kinds) for name, kinds in self._possible.items()}
        return self.declared | inferred

    def stored(self, name: str, values: Sequence[Any], documents: Sequence[str]) -> list[Any]:
        """The values of a field as they are stored, None for nothing; ``documents`` are the ids, for messages.

        Raises:
            InputError: a value that does not fit; names document, field, value and type.
        """
        kind = self.types()[name]
        if AS_THEY_ARE.get(kind) and name not in self.declared and not set(map(type, values)) - AS_THEY_ARE[kind]:
            return list(values)
        if kind == "keywords" and name not in self.declared and set(map(type, values)) <= LISTS:
            return list(values)
        if kind in DENSE:
            kind = self._with_length(name, kind, values)
        type_, known = type_of(kind), dict[Any, Any]()
        found: list[Any] = []
        try:
            for value in values:
                found.append(None if value is None else _taken(type_.take, known, value))
        except MisfitError:
            document, value = documents[len(found)], values[len(found)]
            raise InputError(
                f"document {document!r:.80}, field {name!r:.80}: found {_described(value, kind)}, wanted "
                f"{type_.wanted} ({type_.name}); {self._way_out(name, value)}"
            ) from None
        return found

    def _way_out(self, name: str, value: Any) -> str:
        """What to do about a value that does not fit."""
        kinds = (kind for kind in ("float", "keyword", "keywords") if _holds(kind, value))
        other = f"--field {name}:{next(kinds, 'json')}"
        if self._fixed:
            return f"correct the value, or index everything again with {other}"
        return f"declare another type, as {other}, or correct the value"

    def _with_length(self, name: str, kind: str, values: Sequence[Any]) -> str:
        """The type of a field of dense vectors, whose length is from now on that of the first value."""
        first, own = next((value for value in values if value is not None), None), DenseType(kind)
        with contextlib.suppress(MisfitError):
            self.declared[name] = own.name if first is None else own.with_length_of(own.take(first)).name
        return self.declared[name]

    def _new(self, name: str) -> frozenset[str]:
        if len(self._possible) + len(self.declared) >= MOST_FIELDS:
            raise InputError(f"field {name!r:.60}: more than {MOST_FIELDS:,} fields; keep some, with --store")
        return INFERRED


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
        value = value if type(value) in PLAIN else _plain(value)
        parts = flattened(value, f"{name}.", depth + 1) if isinstance(value, dict) else {name: value or _or(value)}
        if twice := found.keys() & parts.keys():
            raise InputError(f"two fields are called {min(twice)!r}: rename one")
        found |= parts
    return found


def is_type(name: str) -> bool:
    """Whether a type is called so."""
    return name in TYPES or dense_type(name) is not None


def type_of(name: str) -> FieldType:
    """The type that is called so; that of dense vectors may have a length, as "vector(384)"."""
    dense = dense_type(name)
    return TYPES[name] if dense is None else FieldType(name, dense.wanted, dense.take)


def is_only_stored(name: str) -> bool:
    """Whether values of a type are given back, but not filtered, sorted or counted by."""
    return name in ONLY_STORED or dense_type(name) is not None


def parse_types(words: Iterable[str]) -> dict[str, str]:
    """Declared types from words like "price:float".

    Raises:
        InputError: another form, an unknown type, or a field declared twice.
    """
    declared: dict[str, str] = {}
    for word in words:
        name, colon, kind = word.rpartition(":")
        if not colon or not name or not is_type(kind):
            raise InputError(f"--field {word!r:.60}: wanted NAME:TYPE, the type one of {', '.join(TYPES)}")
        if declared.setdefault(name, kind) != kind:
            raise InputError(f"--field {word!r:.60}: {name!r} was declared as {declared[name]}")
    return declared


def _plain(value: Any) -> Any:
    """Arrays and numbers of numpy as lists and numbers, times as texts; all else as it is."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _or(value: Any) -> Any:
    """What an empty value is: an empty text says nothing, 0 and false do."""
    return None if value == "" else value


def columns_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Values by field of some documents, None for nothing."""
    if (alike := _columns_of_alike(rows)) is not None:
        return alike
    columns: dict[str, list[Any]] = {}
    for at, fields in enumerate(rows):
        for name, value in fields.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * len(rows)
            column[at] = value
    return columns


def _columns_of_alike(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]] | None:
    """Values by field of documents that have the same ones, which goes faster; None for others."""
    names = tuple(rows[0]) if rows else ()
    if len(names) < 2 or set(map(len, rows)) != {len(names)}:
        return None
    try:
        values = zip(*map(itemgetter(*names), rows), strict=True)
    except KeyError:
        return None
    return dict(zip(names, map(list, values), strict=True))


def _still(possible: frozenset[str], values: Sequence[Any]) -> frozenset[str]:
    """Those of the types that hold ``values`` too."""
    kinds = set(map(type, values)) - {type(None)}
    for kind in kinds:
        possible = possible & FITTING.get(kind, ONLY_STORED)
    if kinds == {bool} or not kinds or possible == ONLY_STORED:
        return possible or ONLY_STORED
    if kinds == {str}:
        return _of_texts(possible, {value for value in values if value is not None})
    if kinds == {list} and (words := _words(values)) is not None:
        return possible if not words or _of_texts(possible, words) != ONLY_STORED else ONLY_STORED
    if kinds == {float} and all(map(math.isfinite, filter(None, values))):
        return possible
    kept = {kind for kind in possible if all(_holds(kind, value) for value in values if value is not None)}
    return frozenset(kept) or ONLY_STORED


def _words(values: Sequence[Any]) -> set[str] | None:
    """The distinct words of lists, or None where something else is in them."""
    if set(map(type, chain.from_iterable(filter(None, values)))) - {str}:
        return None
    return set(chain.from_iterable(filter(None, values)))


def _of_texts(possible: frozenset[str], texts: set[str]) -> frozenset[str]:
    whole = "".join(texts)
    if max(map(len, texts)) > LONGEST_KEYWORD or "\0" in whole or not is_unicode(whole):
        return ONLY_STORED
    timed = "datetime" in possible and all(_holds("datetime", text) for text in texts)
    return possible if timed else possible - {"datetime"}


def _holds(kind: str, value: Any) -> bool:
    if kind == "keywords" and isinstance(value, list) and not all(isinstance(one, str) for one in value):
        return False  # numbers stay numbers
    try:
        TYPES[kind].take(value)
    except MisfitError:
        return False
    return True


def _described(value: Any, kind: str) -> str:
    """A value that does not fit, and how many numbers it has where these should be a vector."""
    count = f" ({len(value):,} values)" if dense_type(kind) and isinstance(value, list | tuple) else ""
    return f"{shown(value)}{count}"


def _taken(take: Callable[[Any], Any], known: dict[Any, Any], value: Any) -> Any:
    """A value as it is stored; texts that come again are not looked at again."""
    if isinstance(value, str) and value in known:
        return known[value]
    found = take(value)
    if isinstance(value, str) and len(known) < KNOWN:
        known[value] = found
    return found
