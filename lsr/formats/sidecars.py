"""Where do names go that a matrix cannot hold? Beside it: ``FILE.ids`` and ``FILE.terms``, one a line.

A file without them has the ids 0, 1, 2, ... and numbers for terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from lsr.corpus import Document
from lsr.corpus.streams import open_file
from lsr.corpus.values import decoded, identifier
from lsr.errors import InputError
from lsr.formats.vectors import VectorBatch, Vocabulary

IDS, TERMS = ".ids", ".terms"
MARK = "\ufeff"
BREAKING = (
    ("\n", "has a line break"),
    ("\r", "has a line break"),
    ("\0", "has a NUL character"),
    (MARK, "begins with a byte order mark"),
)


class RowIds:
    """The ids of the rows of ``path`` in order, from ``path.ids`` or counted."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + IDS)
        self._lines = _lines(self._path, identifier) if self._path.is_file() else None
        self._next = 0

    def take(self, n: int) -> list[Document]:
        """Documents of the next ``n`` rows.

        Raises:
            InputError: fewer lines than rows.
        """
        first, self._next = self._next, self._next + n
        names = list(islice(self._lines, n)) if self._lines else [str(i) for i in range(first, first + n)]
        if len(names) < n:
            raise InputError(f"{self._path} ends after line {first + len(names)}, the matrix has more rows")
        return [Document(name, "", "") for name in names]

    def close(self) -> None:
        """Make sure that no line is left.

        Raises:
            InputError: more lines than rows.
        """
        if self._lines and next(self._lines, None) is not None:
            raise InputError(f"{self._path}, line {self._next + 1}: the matrix has {self._next:,} rows only")


def term_names(path: Path) -> list[str] | None:
    """The names in ``path.terms``; None where it is not there.

    Raises:
        InputError: a name is there twice.
    """
    beside = path.with_name(path.name + TERMS)
    if not beside.is_file():
        return None
    names: dict[str, None] = {}
    for number, name in enumerate(_lines(beside, str), 1):
        if name in names:
            raise InputError(f"{beside}, line {number}: the term {name!r} was given before; each occurs once")
        names[name] = None
    return list(names)


@contextmanager
def beside(path: Path, vocabulary: Vocabulary) -> Iterator[IO[str]]:
    """A file for the ids of ``path``; at the end the terms are written too, where they have names."""
    with path.with_name(path.name + IDS).open("w", encoding="utf-8", newline="\n") as ids:
        yield ids
    if vocabulary.named:
        with path.with_name(path.name + TERMS).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{one_line('term', term)}\n" for term in vocabulary)


def write_ids(file: IO[str], batch: VectorBatch) -> None:
    """One line a document.

    Raises:
        InputError: an id that is no line.
    """
    file.writelines(f"{one_line('id', document.id)}\n" for document in batch.documents)


def one_line(what: str, name: str) -> str:
    """``name``, which a file of lines can hold.

    Raises:
        InputError: it has a line break or a NUL character, or begins with a byte order mark, which readers take away.
    """
    for character, fault in BREAKING:
        if character in name and (character != MARK or name.startswith(MARK)):
            raise InputError(f"the {what} {name!r:.60} {fault}, but names are kept one a line: choose another format")
    return name


def _lines(path: Path, check: Callable[[str], str]) -> Iterator[str]:
    """The lines as ``check`` gives them."""
    for number, line in open_file(path).lines(blank=True):
        try:
            yield check(decoded(line).removesuffix("\n").removesuffix("\r"))
        except InputError as fault:
            raise InputError(f"{path}, line {number}: {fault}") from None
