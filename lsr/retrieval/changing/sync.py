"""How does a collection become exactly what its source says? Only what differs is encoded, written and deleted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, Fields, SeenIds
from lsr.errors import InputError
from lsr.index import About, Allowed, Generation, Store
from lsr.index.storage.ids import id_hashes
from lsr.retrieval.changing.changes import Changes
from lsr.retrieval.changing.preparing import BATCH, Source, batches_of, difference, prepared

WAITING = 8192  # documents that differ, and are written together


class Target(Protocol):
    """What syncing needs of a collection."""

    @property
    def store(self) -> Store:
        """Of the documents and vectors."""

    @property
    def about(self) -> About:
        """What holds for all generations."""

    @property
    def source_fields(self) -> Fields:
        """Which fields of records become documents."""

    def put(self, verb: str, documents: Sequence[Document]) -> Changes:
        """Add documents in place of those with the same ids."""

    def delete_rows(self, choose: Callable[[Generation], NDArray[np.int64]], verb: str) -> Changes:
        """Delete documents by row, int64[n]."""


def sync(
    collection: Target, source: Source, dry_run: bool = False, progress: Callable[[int], None] | None = None
) -> Changes:
    """See `Collection.sync`."""
    run = Sync(collection, dry_run)
    if not dry_run:
        with collection.store.changing():
            pass  # another writer shows now, not after reading
    for documents in batches_of(source, collection.source_fields, BATCH):
        run.read(documents)
        if progress:
            progress(run.documents)
    return run.finish()


class Sync:
    """One run, batch by batch.

    Args:
        collection: that is changed.
        dry_run: whether it is only looked at.
    """

    def __init__(self, collection: Target, dry_run: bool) -> None:
        self._collection, self._dry_run = collection, dry_run
        self._ids, self._seen = SeenIds(), [np.zeros(0, np.uint64)]
        self._waiting: list[Document] = []
        self._done, self.documents = Changes(), 0
        self._types = dict(collection.store.current.fields)

    def read(self, documents: list[Document]) -> None:
        """Look at some documents of the source; those that differ wait to be written.

        Raises:
            InputError: an id that was read before, or a value that does not fit its field's type.
        """
        names = [document.id for document in documents]
        for at in self._ids.add(names):
            raise InputError(f"the id {names[at]!r:.80} was read before: every document needs an id of its own")
        self.documents += len(documents)
        self._seen.append(id_hashes(names))
        current = self._collection.store.current
        given = prepared(documents, self._types, self._collection.about.passages)
        self._types |= given.types
        found = difference(current, given)
        self._done = self._done._replace(unchanged=self._done.unchanged + found.unchanged)
        differ = sorted([*found.new, *found.changed, *found.updated])
        if self._dry_run:
            counts = len(found.new), len(found.changed), len(found.updated)
            self._done = self._done.plus(Changes(*counts))
            return
        self._waiting += [documents[at] for at in differ]
        if len(self._waiting) >= WAITING:
            self._write()

    def finish(self) -> Changes:
        """Write what waits, and delete what the source does not name; what was done.

        Raises:
            InputError: the source had no documents.
        """
        if not self.documents:
            raise InputError("no documents: the source is empty, and syncing to it would delete everything; use delete")
        if self._dry_run:
            current = self._collection.store.current
            return self._done._replace(deleted=current.count(Allowed.of_rows(self._gone(current), current.rows)))
        self._write()
        self._done = self._done.plus(self._collection.delete_rows(self._gone, "sync"))
        return self._done

    def _gone(self, generation: Generation) -> NDArray[np.int64]:
        """The rows of documents that the source does not name."""
        return _without(generation, np.unique(np.concatenate(self._seen)))

    def _write(self) -> None:
        if self._waiting:
            self._done = self._done.plus(self._collection.put("sync", self._waiting))
            self._waiting = []


def _without(generation: Generation, seen: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows of documents whose ids were not ``seen``, by their sorted hashes."""
    found, first = [np.zeros(0, np.int64)], 0
    for part in generation.parts:
        hashes = id_hashes(part.segment.documents.ids())
        at = np.minimum(np.searchsorted(seen, hashes), seen.size - 1)
        found.append(first + np.flatnonzero((seen[at] != hashes) & part.mask))
        first += len(part)
    return np.concatenate(found)
