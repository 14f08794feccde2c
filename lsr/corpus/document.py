"""What is a document? An id, a title, a text, and fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lsr.corpus.schema import flattened
from lsr.corpus.text_parts import PARTS, checked_parts, weighted
from lsr.corpus.values import identifier, plain_text
from lsr.errors import InputError

NO_FIELDS: Mapping[str, Any] = {}  # of every document without fields: not to be changed


class Document(NamedTuple):
    """One document as its source gave it; ``fields`` are what `lsr.corpus.schema` has types for, by name."""

    id: str
    title: str = ""
    text: str = ""
    fields: Mapping[str, Any] = NO_FIELDS

    def __hash__(self) -> int:
        return hash(self[:3])  # fields may be lists

    @property
    def full_text(self) -> str:
        """Title, a space, text (the BEIR "flat" layout)."""
        return f"{self.title} {self.text}".strip() if self.title else self.text

    @property
    def weighted_text(self) -> str:
        """What encoders see: `full_text`, as a `WeightedText` where parts of the text have weights."""
        parts = self.fields.get(PARTS)
        return weighted(self.title, self.text, parts) if parts else self.full_text


def checked(document: object) -> Document:
    """``document`` where it is one; its id may be a whole number, and title or text may be None; fields are flat.

    Raises:
        InputError: not a `Document`, or with an id, a title, a text or fields that are none; nothing names the place.
    """
    if not isinstance(document, Document):
        raise InputError(
            f"found a {type(document).__name__}, wanted lsr.Document(id, title, text); lsr.DocumentReader reads files"
        )
    name, title, text, fields = document
    if not isinstance(fields, Mapping):
        raise InputError(f"the fields are {fields!r:.60}: wanted a mapping of names to values")
    flat = flattened(fields) if fields else NO_FIELDS
    text = plain_text(text, "the text")
    if PARTS in flat:
        flat = {**flat, PARTS: checked_parts(flat[PARTS], text)}
    return Document(identifier(name), plain_text(title, "the title"), text, flat)
