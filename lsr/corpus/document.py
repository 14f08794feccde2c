"""What is a document? An id, a title and a text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from lsr.errors import InputError

ID_NAMES = ("_id", "id", "docid", "doc_id", "pid")
TEXT_NAMES = ("text", "contents", "content", "body", "passage")
TITLE_NAMES = ("title",)


class Document(NamedTuple):
    """One document as its source gave it."""

    id: str
    title: str
    text: str

    @property
    def full_text(self) -> str:
        """What encoders see: title, a space, text (the BEIR "flat" layout)."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


@dataclass(frozen=True)
class Fields:
    """Which fields of a record hold id, text and title; None takes the first known name that is there."""

    id: str | None = None
    text: str | None = None
    title: str | None = None

    def document(self, record: Mapping[str, Any]) -> Document:
        """The document in ``record``.

        Raises:
            InputError: a field is missing or holds neither text nor a number.
        """
        return Document(
            id=_value(record, _pick(record, self.id, ID_NAMES, "id"), wants_value=True),
            title=_value(record, _pick(record, self.title, TITLE_NAMES, "title", optional=self.title is None)),
            text=_value(record, _pick(record, self.text, TEXT_NAMES, "text")),
        )


def _pick(
    record: Mapping[str, Any], named: str | None, known: tuple[str, ...], role: str, optional: bool = False
) -> str:
    for name in (named,) if named else known:
        if name in record:
            return name
    if optional:
        return ""
    found = ", ".join(map(repr, record)) or "none"
    wanted = repr(named) if named else " or ".join(map(repr, known))
    raise InputError(f"no {role} field: found the fields {found}, wanted {wanted}; name yours with --{role}-field")


def _value(record: Mapping[str, Any], name: str, wants_value: bool = False) -> str:
    value = record.get(name) if name else None
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if value is None and not wants_value:
        return ""
    if not isinstance(value, str) or (wants_value and not value):
        raise InputError(f"field {name!r} holds {value!r:.60}: wanted {'a non-empty ' if wants_value else ''}text")
    return value
