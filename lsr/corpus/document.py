"""What is a document? An id, a title and a text."""

from __future__ import annotations

from typing import NamedTuple

from lsr.corpus.values import identifier, plain_text
from lsr.errors import InputError


class Document(NamedTuple):
    """One document as its source gave it."""

    id: str
    title: str = ""
    text: str = ""

    @property
    def full_text(self) -> str:
        """What encoders see: title, a space, text (the BEIR "flat" layout)."""
        return f"{self.title} {self.text}".strip() if self.title else self.text


def checked(document: object) -> Document:
    """``document`` where it is one; its id may be a whole number, and title or text may be None.

    Raises:
        InputError: not a `Document`, or with an id, a title or a text that is none; nothing names the place.
    """
    if not isinstance(document, Document):
        raise InputError(
            f"found a {type(document).__name__}, wanted lsr.Document(id, title, text); lsr.DocumentReader reads files"
        )
    name, title, text = document
    return Document(identifier(name), plain_text(title, "the title"), plain_text(text, "the text"))
