"""Where do names go that a matrix cannot hold? Beside it: ``FILE.ids`` and ``FILE.terms``, one a line.

A file without them has the ids 0, 1, 2, ... and numbers for terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.formats.vectors import VectorBatch, Vocabulary

IDS, TERMS = ".ids", ".terms"


class RowIds:
    """The ids of the rows of ``path`` in order, from ``path.ids`` or counted."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(path.name + IDS)
        self._lines = _lines(self._path) if self._path.is_file() else None
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
    for number, name in enumerate(_lines(beside), 1):
        if name in names:
            raise InputError(f"{beside}, line {number}: the term {name!r} was given before; each stands once")
        names[name] = None
    return list(names)


@contextmanager
def beside(path: Path, vocabulary: Vocabulary) -> Iterator[IO[str]]:
    """A file for the ids of ``path``; at the end the terms are written too, where they have names."""
    with path.with_name(path.name + IDS).open("w", encoding="utf-8", newline="\n") as ids:
        yield ids
    if vocabulary.named:
        with path.with_name(path.name + TERMS).open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{_one_line('term', term)}\n" for term in vocabulary)


def write_ids(file: IO[str], batch: VectorBatch) -> None:
    """One line a document.

    Raises:
        InputError: an id with a line break.
    """
    file.writelines(f"{_one_line('id', document.id)}\n" for document in batch.documents)


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="\n") as file:
        try:
            for line in file:
                yield line.removesuffix("\n")
        except UnicodeDecodeError:
            raise InputError(f"{path} is not UTF-8; convert it") from None


def _one_line(what: str, name: str) -> str:
    if "\n" in name:
        raise InputError(f"the {what} {name!r} has a line break, but names are kept one a line: choose another format")
    return name
