"""Which rows of a segment are documents now, and what do their fields hold now? A segment at one generation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.corpus.dense import dense_type
from lsr.index.allowed import Allowed
from lsr.index.fields.changes import patched
from lsr.index.fields.columns import Column
from lsr.index.live.recent import RecentSegment
from lsr.index.storage.segment import Segment

Patches = Mapping[str, list[tuple[NDArray[np.uint32], list[Any]]]]  # new values of fields by name, in order


class Part:
    """A segment without the documents that were deleted since it was written, and with fields as they are now.

    Args:
        segment: that is searched.
        alive: bool[n], which rows are documents; None for all.
        types: of fields by name.
        patches: values that came later.
        columns: those that hold them already.
    """

    def __init__(
        self,
        segment: Segment | RecentSegment,
        alive: NDArray[np.bool_] | None,
        types: Mapping[str, str],
        patches: Patches | None = None,
        columns: Mapping[str, Column | None] | None = None,
    ) -> None:
        self.segment, self.types = segment, types
        self.alive = None if alive is None or alive.all() else alive
        self.patches, self._columns = patches or {}, dict(columns or {})

    def __len__(self) -> int:
        return len(self.segment)

    @cached_property
    def count(self) -> int:
        """How many rows are documents."""
        return len(self) if self.alive is None else int(np.count_nonzero(self.alive))

    @cached_property
    def allowed(self) -> Allowed | None:
        """The rows that are documents; None for all."""
        return None if self.alive is None else Allowed(self.alive)

    @property
    def mask(self) -> NDArray[np.bool_]:
        """bool[n], which rows are documents."""
        return np.ones(len(self), np.bool_) if self.alive is None else self.alive

    def column(self, name: str) -> Column | None:
        """A field as it is now; None where no document of the segment has it.

        Raises:
            StorageError: damage.
        """
        if name not in self._columns:
            self._columns[name] = self._patched(
                name, self.segment.column(name, self.types[name]), self.patches, self.types
            )
        return self._columns[name]

    def columns(self, names: Sequence[str]) -> dict[str, Column]:
        """Some fields by name; those that no document has are left out."""
        found = {name: self.column(name) for name in names}
        return {name: column for name, column in found.items() if column is not None}

    @cached_property
    def _without_dense(self) -> list[str]:
        """Names of the fields that hold no dense vectors."""
        return [name for name, kind in self.types.items() if not dense_type(kind)]

    def document(self, row: int, dense: bool = True) -> Document:
        """The document at ``row``, with its fields; those of dense vectors may be left out."""
        names = [*self.types] if dense else self._without_dense
        return _with_fields(self.segment.documents[row], row, self.columns(names))

    def documents(self, rows: NDArray[np.int64], names: Sequence[str]) -> Iterator[Document]:
        """The documents at ``rows``, int64[n], with these of their fields."""
        columns = self.columns(names)
        for row, document in zip(rows.tolist(), self.segment.documents.documents(rows), strict=True):
            yield _with_fields(document, row, columns)

    def changed(self, alive: NDArray[np.bool_] | None, types: Mapping[str, str], patches: Patches) -> Part:
        """The same segment at a later generation: other rows are documents, and fields have got new values."""
        done = {name: self._patched(name, column, patches, types) for name, column in dict(self._columns).items()}
        left = {name: [*self.patches.get(name, []), *patches.get(name, [])] for name in {*self.patches, *patches}}
        return Part(self.segment, alive, types, left, done)

    def _patched(self, name: str, column: Column | None, patches: Patches, types: Mapping[str, str]) -> Column | None:
        for rows, values in patches.get(name, []):
            column = patched(column, len(self), rows.astype(np.int64), values, types[name])
        return column


def _with_fields(document: Document, row: int, columns: Mapping[str, Column]) -> Document:
    values = {name: value for name, column in columns.items() if (value := column.value(row)) is not None}
    return document._replace(fields=values) if values else document
