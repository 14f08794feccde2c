"""How does a collection become exactly what its source says? Only what differs is encoded, written and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, SeenIds
from lsr.errors import InputError
from lsr.index import Allowed, Generation
from lsr.index.storage.ids import id_hashes
from lsr.retrieval.preparing import BATCH, Source, batches_of, difference, prepared

if TYPE_CHECKING:
    from lsr.retrieval.collection import Changes, Collection

WAITING = 8192  # documents that differ, and are written together


def sync(
    collection: Collection, source: Source, dry_run: bool = False, progress: Callable[[int], None] | None = None
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

    def __init__(self, collection: Collection, dry_run: bool) -> None:
        from lsr.retrieval.collection import Changes

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
            self._done = self._done.plus(type(self._done)(*counts))
            return
        self._waiting += [documents[at] for at in differ]
        if len(self._waiting) >= WAITING:
            self._write()

    def finish(self) -> Changes:
        """Write what waits, and delete what the source does not name; what was done."""
        if not self.documents:
            raise InputError("no documents: the source is empty, and syncing to it would delete everything; use delete")
        current = self._collection.store.current
        gone = _without(current, np.unique(np.concatenate(self._seen)))
        if self._dry_run:
            return self._done._replace(deleted=current.count(Allowed.of_rows(gone, current.rows)))
        self._write()
        if gone.size:  # the rows may have other numbers now
            current = self._collection.store.current
            gone = _without(current, np.unique(np.concatenate(self._seen)))
            self._done = self._done.plus(self._collection.delete_rows(gone, "sync"))
        return self._done

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
