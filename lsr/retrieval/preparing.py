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
from lsr.corpus.schema import Schema, columns_of
from lsr.errors import InputError
from lsr.index import Generation
from lsr.index.storage.ids import text_hashes

Source = Iterable[Document | Mapping[str, Any]] | Table
BATCH = 1024  # documents that are looked at together
NOTHING = object()


class Difference(NamedTuple):
    """How some documents differ from those of a generation, by their place among them.

    Attributes:
        rows: int64[n], where each is now; -1 for those that are not there.
        new: places of documents that are not there.
        changed: places of those whose title or text differs.
        updated: places of those of which only fields differ.
    """

    rows: NDArray[np.int64]
    new: list[int]
    changed: list[int]
    updated: list[int]

    @property
    def unchanged(self) -> int:
        """How many are there as they are."""
        return self.rows.size - len(self.new) - len(self.changed) - len(self.updated)


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
    """The fields of documents as they are stored, by field, None for nothing; and types of those that are new.

    Raises:
        InputError: a value that does not fit its field's type; names document, field, value and type.
    """
    given = columns_of([document.fields for document in documents])
    given = {name: values for name, values in given.items() if any(value is not None for value in values)}
    schema = Schema(known, fixed=True)
    schema.see(given)
    types, ids = schema.types(), [document.id for document in documents]
    columns = {name: schema.stored(name, values, ids) for name, values in given.items()}
    return columns, {name: kind for name, kind in types.items() if name not in known}


def difference(generation: Generation, documents: Sequence[Document], columns: Mapping[str, list[Any]]) -> Difference:
    """How documents with their stored ``columns`` differ from those of a generation with the same ids."""
    rows = np.array([own[0] if own else -1 for own in generation.rows_of([d.id for d in documents])], np.int64)
    there = np.flatnonzero(rows >= 0)
    changed = np.zeros(rows.size, np.bool_)
    changed[there] = generation.texts_of(rows[there]) != text_hashes([documents[at] for at in there.tolist()])
    updated = np.zeros(rows.size, np.bool_)
    for name in {*generation.fields, *columns}:
        own = columns.get(name)
        before = generation.values_of(name, rows[there]) if name in generation.fields else [None] * there.size
        for at, old in zip(there.tolist(), before, strict=True):
            if old != (own[at] if own else None):
                updated[at] = True
    return Difference(
        rows,
        np.flatnonzero(rows < 0).tolist(),
        np.flatnonzero(changed).tolist(),
        np.flatnonzero(updated & ~changed).tolist(),
    )


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


def check_updates(fields: Mapping[str, Mapping[str, Any]], source: Fields) -> None:
    """Refuse new values that are none of fields, by id; ``source`` says what the documents were made of.

    Raises:
        InputError: they are.
    """
    fixed = {name for names in (source.id, source.title, source.text) for name in names_of(names)}
    fixed = fixed or {"id", "title", "text"}
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
