"""How does a person write a filter? ``price < 20 and in_stock and brand in ["a", "b"] and not tags = "old"``.

Words are fields; ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=`` compare, ``in [..]``, ``exists``, ``prefix`` and
``contains`` ask more, a field alone is true; ``and``, ``or``, ``not`` and round brackets combine. Texts stand in single
or double quotes, fields with odd names in backquotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from lsr.errors import InputError
from lsr.index.fields.conditions import (
    DEEPEST,
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
)

LONGEST = 65_536  # characters of a filter
TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<name>`[^`]+`)
    |(?P<op><=|>=|!=|==|=|<|>)
    |(?P<mark>[()\[\],])
    |(?P<word>[^\s()\[\],<>=!"'`]+)
    )""",
    re.VERBOSE,
)
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
LONGEST_NUMBER = 400  # characters; Python refuses to read very long ones
LEADING_ZERO = re.compile(r"[+-]?0\d")
JOINS = ("and", "or", "not")
EXAMPLE = 'price < 20 and brand in ["a", "b"] and not tags = "old"'


class Token(NamedTuple):
    """One word, text, operator or bracket, and where it begins."""

    kind: str
    text: str
    at: int


def parse_filter(text: str) -> Condition:
    """The condition that ``text`` writes.

    Raises:
        InputError: says at which character what was found and what was wanted.
    """
    if len(text) > LONGEST:
        raise InputError(f"the filter has {len(text):,} characters: at most {LONGEST:,}")
    parser = _Parser(text)
    condition = parser.any_of(0)
    parser.end()
    return checked(condition)


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens, self._at = [*_tokens(text)], 0

    def any_of(self, depth: int) -> Condition:
        """Conditions joined by "or"."""
        if depth > DEEPEST:
            raise InputError(f"the filter is nested more than {DEEPEST} deep")
        parts = [self._all_of(depth)]
        while self._word("or"):
            parts.append(self._all_of(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def end(self) -> None:
        """Nothing may be left."""
        if self._next.kind != "end":
            raise self._fault("and, or, or the end")

    def _all_of(self, depth: int) -> Condition:
        parts = [self._one(depth)]
        while self._word("and"):
            parts.append(self._one(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _one(self, depth: int) -> Condition:
        if self._word("not"):
            if depth > DEEPEST:
                raise InputError(f"the filter is nested more than {DEEPEST} deep")
            return Not(self._one(depth + 1))
        if self._mark("("):
            condition = self.any_of(depth + 1)
            if not self._mark(")"):
                raise self._fault("a closing bracket")
            return condition
        return self._of_field(self._field())

    def _of_field(self, field: str) -> Condition:
        if self._next.kind == "op":
            op = self._take().text
            value = self._value()
            equal = Comparison(field, "=" if op in ("==", "!=") else op, value)
            return Not(equal) if op == "!=" else equal
        if self._word("in"):
            return In(field, self._list())
        if self._word("exists"):
            return Exists(field)
        if self._word("prefix"):
            return Prefix(field, str(self._value()))
        if self._word("contains"):
            return Contains(field, str(self._value()))
        return Comparison(field, "=", True)

    def _field(self) -> str:
        token = self._next
        if token.kind == "name":
            return self._take().text[1:-1]
        if token.kind != "word" or token.text.lower() in JOINS:
            raise self._fault("the name of a field")
        return self._take().text

    def _value(self) -> Any:
        token = self._next
        if token.kind == "text":
            return re.sub(r"\\(.)", r"\1", self._take().text[1:-1])
        if token.kind != "word":
            raise self._fault("a value")
        return _word_value(self._take().text)

    def _list(self) -> tuple[Any, ...]:
        if not self._mark("["):
            raise self._fault("a list in square brackets")
        values: list[Any] = []
        while not self._mark("]"):
            if values and not self._mark(","):
                raise self._fault("a comma or a closing bracket")
            values.append(self._value())
        return tuple(values)

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        self._at += 1
        return self._tokens[self._at - 1]

    def _word(self, word: str) -> bool:
        found = self._next.kind == "word" and self._next.text.lower() == word
        self._at += found
        return found

    def _mark(self, mark: str) -> bool:
        found = self._next.kind == "mark" and self._next.text == mark
        self._at += found
        return found

    def _fault(self, wanted: str) -> InputError:
        token = self._next
        found = "the end" if token.kind == "end" else f"{token.text!r:.60}"
        return InputError(f"the filter at character {token.at + 1}: found {found}, wanted {wanted}; as in {EXAMPLE}")


def _tokens(text: str) -> Iterator[Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = TOKEN.match(text, at)
        if found is None:
            at += len(text[at:]) - len(text[at:].lstrip())
            raise InputError(f"the filter at character {at + 1}: found {text[at : at + 20]!r}; as in {EXAMPLE}")
        kind = str(found.lastgroup)
        yield Token(kind, found[kind], found.start(kind))
        at = found.end()
    yield Token("end", "", len(text))


def _word_value(word: str) -> Any:
    """A word that is no text: true, false, a number; or a text without quotes, as a time."""
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    if (
        len(word) <= LONGEST_NUMBER and NUMBER.fullmatch(word) and not LEADING_ZERO.match(word)
    ):  # 00123 is a keyword, as in documents
        return int(word) if word.lstrip("+-").isdigit() else float(word)
    return word
