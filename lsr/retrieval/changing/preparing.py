"""How do documents become what a store takes? Checked, with fields of known types, encoded where their text is new."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, DocumentReader, Fields
from lsr.corpus.document import checked
from lsr.corpus.fields import names_of
from lsr.corpus.in_memory import Records, Table
from lsr.corpus.passages import as_passages
from lsr.corpus.schema import Schema, columns_of
from lsr.corpus.text_parts import PARTS
from lsr.errors import InputError
from lsr.index import Generation
from lsr.index.storage.ids import text_hashes

Source = Iterable[Document | Mapping[str, Any]] | Table
BATCH = 1024  # documents that are looked at together


class Prepared(NamedTuple):
    """Documents as rows of a collection: each is one, or as many as it has passages.

    Attributes:
        documents: as they were given.
        rows: in order.
        owner: int64[rows], the place of the document of each.
        columns: fields of the rows as they are stored, None for nothing.
        types: of fields that the collection does not have, or of whose dense vectors it knows no length.
    """

    documents: Sequence[Document]
    rows: Sequence[Document]
    owner: NDArray[np.int64]
    columns: dict[str, list[Any]]
    types: dict[str, str]

    def rows_of(self, documents: Sequence[int]) -> list[int]:
        """Places of the rows of some documents, rising."""
        if len(self.rows) == len(self.documents):
            return sorted(documents)
        return np.flatnonzero(np.isin(self.owner, documents)).tolist()


class Difference(NamedTuple):
    """How some documents differ from those of a generation.

    Attributes:
        there: rows of each document now, rising; none for those that are not there.
        rows: int64[rows], where each row of them is now, where it has a counterpart; -1 elsewhere.
        new: places of documents that are not there.
        changed: places of those whose title or text differs, or the weights in it.
        updated: places of those of which only fields differ.
    """

    there: Sequence[Sequence[int]]
    rows: NDArray[np.int64]
    new: list[int]
    changed: list[int]
    updated: list[int]

    @property
    def unchanged(self) -> int:
        """How many documents are there as they are."""
        return len(self.there) - len(self.new) - len(self.changed) - len(self.updated)

    @property
    def replaced(self) -> NDArray[np.int64]:
        """Rows of the documents that changed, int64[n]."""
        return np.array([row for at in self.changed for row in self.there[at]], np.int64)


def batches_of(source: Source, fields: Fields, size: int = BATCH) -> Iterator[list[Document]]:
    """The documents of a source, checked, some at a time; ``fields`` are those of dicts and tables.

    Raises:
        InputError: what is no document, with its place.
    """
    documents = source if isinstance(source, DocumentReader) else Records(source, fields)
    found = _placed(documents)
    while batch := list(islice(found, size)):
        yield batch


def _placed(documents: Iterable[Any]) -> Iterator[Document]:
    for number, found in enumerate(documents, 1):
        try:
            yield checked(found)
        except InputError as fault:
            raise InputError(f"{getattr(documents, 'place', f'document {number}')}: {fault}") from None


def stored_columns(
    documents: Sequence[Document], known: Mapping[str, str]
) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """The fields of documents as they are stored, by field, None for nothing; and types that are new.

    Raises:
        InputError: a value that does not fit its field's type; names document, field, value and type.
    """
    given = columns_of([document.fields for document in documents])
    given = {name: values for name, values in given.items() if any(value is not None for value in values)}
    schema = Schema(known, fixed=True)
    schema.see(given)
    ids = [document.id for document in documents]
    columns = {name: schema.stored(name, values, ids) for name, values in given.items()}
    return columns, {name: kind for name, kind in schema.types().items() if known.get(name) != kind}


def prepared(documents: Sequence[Document], known: Mapping[str, str], passages: Sequence[int] = ()) -> Prepared:
    """Documents as rows: whole, or as passages of so many words, and overlap.

    Raises:
        InputError: a value that does not fit its field's type.
    """
    rows, owner = documents, np.arange(len(documents), dtype=np.int64)
    if passages:
        pieces = [as_passages(document, *passages) for document in documents]
        rows, owner = [row for own in pieces for row in own], np.repeat(owner, [len(own) for own in pieces])
    return Prepared(documents, rows, owner, *stored_columns(rows, known))


def difference(generation: Generation, given: Prepared) -> Difference:
    """How documents differ from those of a generation with the same ids."""
    there = generation.rows_of([document.id for document in given.documents])
    rows = _counterparts(there, given)
    at = np.flatnonzero(rows >= 0)
    other, updated = rows < 0, np.zeros(rows.size, np.bool_)
    other[at] = generation.texts_of(rows[at]) != text_hashes([given.rows[i] for i in at.tolist()])
    names = {*generation.fields, *given.columns}
    updated[at] = _fields_differ(generation, given.columns, rows[at], at.tolist(), names)
    other[at] |= _fields_differ(generation, given.columns, rows[at], at.tolist(), names & {PARTS})
    is_there = np.array([bool(own) for own in there], np.bool_)
    changed, fields = (np.bincount(given.owner, mask, is_there.size) > 0 for mask in (other, updated))
    return Difference(
        there,
        rows,
        np.flatnonzero(~is_there).tolist(),
        np.flatnonzero(is_there & changed).tolist(),
        np.flatnonzero(is_there & fields & ~changed).tolist(),
    )


def _counterparts(there: Sequence[Sequence[int]], given: Prepared) -> NDArray[np.int64]:
    """Where each row is now, int64[rows]; -1 for those of documents that are new, or had another number of passages."""
    sizes = np.bincount(given.owner, minlength=len(there)).tolist()
    found = [own if len(own) == size else [-1] * size for own, size in zip(there, sizes, strict=True)]
    return np.array([row for own in found for row in own], np.int64)


def _fields_differ(
    generation: Generation,
    columns: Mapping[str, list[Any]],
    rows: NDArray[np.int64],
    places: Sequence[int],
    names: Iterable[str],
) -> NDArray[np.bool_]:
    """Whether the fields ``names`` at ``rows``, int64[n], are not those of ``columns`` at ``places``; bool[n]."""
    found = np.zeros(rows.size, np.bool_)
    for name in names:
        own = columns.get(name)
        before = generation.values_of(name, rows) if name in generation.fields else [None] * rows.size
        for i, (at, old) in enumerate(zip(places, before, strict=True)):
            if old != (own[at] if own else None):
                found[i] = True
    return found


def check_ids(documents: Sequence[Document]) -> None:
    """Refuse documents of which two have one id.

    Raises:
        InputError: they do.
    """
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise InputError(f"the id {document.id!r:.80} was given twice: every document needs an id of its own")
        seen.add(document.id)


def check_updates(fields: Mapping[str, Mapping[str, Any]], source: Fields, known: Mapping[str, str]) -> None:
    """Refuse new values that are none of fields, by id; ``source`` says what the documents were made of.

    ``known`` are the fields that there are.

    Raises:
        InputError: they are.
    """
    fixed = {name for names in (source.id, source.title, source.text) for name in names_of(names)}
    fixed |= {"id", "title", "text"} - known.keys()
    for name, values in fields.items() if isinstance(fields, Mapping) else [("fields", fields)]:
        if not isinstance(values, Mapping):
            raise InputError(
                f"update of {name!r:.80}: found {values!r:.60}, wanted fields, as {{'id': {{'price': 3}}}}"
            )
        if wrong := fixed & set(values):
            raise InputError(f"update of {name!r:.80}: {min(wrong)!r} is its id, title or text: use upsert")


def at_places(columns: Mapping[str, list[Any]], places: Sequence[int]) -> dict[str, list[Any]]:
    """Some values of columns; those of which nothing is left go."""
    found = {name: [values[at] for at in places] for name, values in columns.items()}
    return {name: values for name, values in found.items() if any(value is not None for value in values)}
