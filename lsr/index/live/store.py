"""How are documents with vectors kept, changed and searched? One writer, any number of readers, in generations.

A change is one transaction of the catalogue: acknowledged once it is there. The newest documents are searched in memory
until `maintain` writes them into a segment; readers move on to the newest generation while they search.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import StorageError
from lsr.index.live import tiers
from lsr.index.live.contents import Contents
from lsr.index.live.folding import folded, to_write_anew, write_columns
from lsr.index.live.generation import Generation
from lsr.index.live.merging import Plan, Weights, carried, plan_of, write_merged
from lsr.index.live.opening import open_generation
from lsr.index.storage import catalogue, files, format_2, places
from lsr.index.storage.catalogue import Catalogue, Key
from lsr.index.storage.faults import writing
from lsr.index.storage.lock import WriterLock
from lsr.index.storage.records import (
    ABOUT,
    SCHEMA,
    About,
    Batch,
    Corpus,
    Deletions,
    GenerationInfo,
    Schema,
    SegmentInfo,
    Terms,
    Updates,
    encode,
)
from lsr.sparse import SparseMatrix

REFRESH = 1.0  # seconds after which a reader looks for a newer generation
Rows = NDArray[np.int64]


class Change(NamedTuple):
    """One change of a store, which is there as a whole or not at all.

    Attributes:
        verb: what was asked for.
        counts: of what was done, for the history.
        documents: new ones.
        columns: values of their fields as they are stored, by field, None for nothing.
        vectors: a row for each.
        deleted: rows of the newest generation.
        updates: by field, rows of the newest generation and their new values, None for nothing.
        types: of fields that are new, or known better.
        corpus: what an encoder that learns has to count.
        terms: new names of the vocabulary.
    """

    verb: str
    counts: dict[str, int]
    documents: Sequence[Document] = ()
    columns: Mapping[str, list[Any]] = {}
    vectors: SparseMatrix | None = None
    deleted: Rows = np.zeros(0, np.int64)
    updates: Mapping[str, tuple[Rows, list[Any]]] = {}
    types: Mapping[str, str] = {}
    corpus: Corpus | None = None
    terms: Sequence[str] = ()


class Store:
    """A folder of documents with vectors, open. Safe to use from several threads.

    Args:
        folder: of a collection of format 3, or an index of format 2.
        refresh: seconds after which a search looks for what other processes have changed.
        durability: "fsync" keeps what was acknowledged over a loss of power, "os" over a kill.

    Raises:
        StorageError: no collection, another format version, or damage.
    """

    def __init__(self, folder: Path, *, refresh: float = REFRESH, durability: str = "fsync") -> None:
        self._process = os.getpid()
        self.folder, self._refresh, self._durability = folder, refresh, durability
        self._writing, self._reading = threading.RLock(), threading.Lock()
        self._lock: WriterLock | None = None
        self._database = database_of(folder, durability)
        try:
            self._contents, self._current = self._opened()
            self._shown = self._contents.sums
        except BaseException:
            self.close()
            raise
        self._looked, self._version = time.monotonic(), self._database.version() if self._database else 0

    def close(self) -> None:
        """Let go of the folder; closing again does nothing."""
        with self._writing:
            if self._lock:
                self._lock.release()
                self._lock = None
            if self._database:
                self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def about(self) -> About:
        """What holds for all generations."""
        return self._contents.state.about

    @property
    def contents(self) -> Contents:
        """What the catalogue says."""
        return self._contents

    @property
    def current(self) -> Generation:
        """The newest generation, at most ``refresh`` seconds behind other processes."""
        if self._lock is None and time.monotonic() - self._looked > self._refresh:
            self.refresh()
        return self._current

    def refresh(self) -> None:
        """Move on to the newest generation; where another thread does that, it goes on meanwhile.

        Raises:
            StorageError: damage.
        """
        if self._lock is None and self._reading.acquire(blocking=False):
            try:
                self._look()
            finally:
                self._reading.release()

    def _look(self) -> None:
        """Follow others, unless this process has begun to write."""
        if self._lock is not None:
            return
        self._looked = time.monotonic()
        if self._database is None:
            if catalogue.is_there(self.folder):
                self._move_over(writing=False)
            return
        version = self._database.version()
        if version != self._version:
            self._follow()
            self._version = version

    def at(self, number: int) -> Generation:
        """A generation that is kept.

        Raises:
            InputError: no such generation.
            StorageError: damage.
        """
        current = self._current
        return current if number == current.number else open_generation(self._contents.frozen(), number, current)

    def history(self) -> dict[int, GenerationInfo]:
        """The generations that are kept, oldest first."""
        return dict(self._contents.state.generations)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Generation]:
        """The newest generation, which nobody else changes meanwhile.

        Raises:
            StorageError: another process writes there, or the folder cannot be written.
        """
        if self._process != os.getpid():
            raise StorageError(f"{self.folder} was opened before this process was forked: open it again in here")
        with self._writing, writing(self.folder):
            if self._lock is None:
                with self._reading:  # nobody follows others meanwhile
                    self._begin()
            elif self._shown is not self._contents.sums:  # it could not be opened after the last change
                self._show()
            yield self._current

    def apply(self, change: Change) -> Generation:
        """Make a change, inside `changing`; the new generation, acknowledged.

        Raises:
            StorageError: the disk is full or broken; nothing has changed then.
        """
        with self.changing():
            number = self._contents.state.newest + 1
            put = self._records(change, number)
            old = {Key("generation", old) for old in self.history() if old <= number - self.about.kept}
            self._contents.write(put, old)
            return self._show()

    def change_about(self, about: About, verb: str) -> None:
        """Keep something else for all generations, such as a measured frontier.

        Raises:
            StorageError: another process writes there, or the disk is full or broken.
        """
        with self.changing():
            number = self._contents.state.newest + 1
            self._contents.write({ABOUT: about, Key("generation", number): GenerationInfo(time.time(), verb)})
            self._show()

    @property
    def horizon(self) -> int:
        """The oldest generation that is kept: what was deleted up to it cannot be reached any more."""
        return min(self._contents.state.generations)

    def plan(self) -> Plan | None:
        """What should become one segment now; None where all is well."""
        contents = self._contents
        chosen = tiers.to_merge(contents, self.horizon, self._limit)
        if chosen is None:
            return None
        return plan_of(contents, chosen, contents.state.newest, self.horizon, places.new_segment(self.folder))

    def maintain(self) -> None:
        """Write the newest documents into a segment and merge segments, where there is reason to.

        Raises:
            StorageError: the disk is full or broken; nothing is lost then.
        """
        with self.changing():
            while plan := self.plan():
                self.publish(plan, write_merged(self._contents, plan))
            for name in to_write_anew(self._contents, self.horizon):
                self._replace(write_columns(self._contents, name, self.horizon))
                self._remove_leftovers()

    def publish(self, plan: Plan, info: SegmentInfo) -> None:
        """Let a segment that was written take the place of what it was made of.

        Raises:
            StorageError: the disk is full or broken; nothing has changed then.
        """
        with self.changing():
            files.sync_folder((self.folder / plan.target).parent)
            changed: dict[Key, msgspec.Struct | None] = dict.fromkeys(self._keys_of(plan))
            changed |= carried(self._contents, plan)
            if info.documents:
                changed[Key("segment", 0, plan.target)] = info
            self._replace(changed)
            self._replace(folded(self._contents, self.horizon))
            self._remove_leftovers()
            self._shrink()

    def compact(self, weights: Weights | None = None) -> None:
        """Give all room back: one segment, or a few large ones, no deleted documents, no history.

        Args:
            weights: makes vectors of documents anew, from these and the vectors that they have; None keeps them.

        Raises:
            StorageError: the disk is full or broken; nothing is lost then.
        """
        with self.changing():
            contents, newest = self._contents, self._contents.state.newest
            contents.write({}, {Key("generation", number) for number in self.history() if number < newest})
            for at, names in enumerate(tiers.groups(contents, self._limit)):
                last = newest if at == 0 else -1
                plan = plan_of(contents, names, last, newest, places.new_segment(self.folder))
                if weights or self._is_worth_it(plan):
                    self.publish(plan, write_merged(contents, plan, weights))
            self._replace(folded(contents, newest))
            self._show()
            self._shrink()

    def _shrink(self) -> None:
        if self._database:
            self._database.shrink()

    def _is_worth_it(self, plan: Plan) -> bool:
        """Whether a segment that is written anew differs from the one that is there."""
        if len(plan.names) != 1:
            return bool(plan.names)
        name = plan.names[0]
        return bool(self._contents.deletions.get(name) or self._contents.updates.get(name)) or tiers.has_batches(
            self._contents, plan.names
        )

    @property
    def _limit(self) -> int:
        return self._current.settings.choice.segment_nonzeros

    def _records(self, change: Change, number: int) -> dict[Key, msgspec.Struct]:
        put: dict[Key, msgspec.Struct] = {
            Key("generation", number): GenerationInfo(time.time(), change.verb, change.counts)
        }
        if change.documents and change.vectors is not None:
            put[Key("batch", number)] = Batch.of(change.documents, dict(change.columns), change.vectors)
        if change.deleted.size:
            parts = self._current.places(change.deleted)
            put[Key("deletions", number)] = Deletions({name: rows.tobytes() for name, (rows, _) in parts.items()})
        if change.updates:
            put[Key("updates", number)] = self._updates(change)
        if change.types:
            put[SCHEMA] = Schema({**self._contents.state.types, **change.types})
        if change.corpus:
            put[Key("corpus", number)] = change.corpus
        if change.terms:
            put[Key("terms", number)] = Terms(self._contents.state.next_term, list(change.terms))
        return put

    def _updates(self, change: Change) -> Updates:
        parts: dict[str, dict[str, tuple[bytes, list[Any]]]] = {}
        for field, (rows, values) in change.updates.items():
            for name, (own, at) in self._current.places(rows).items():
                parts.setdefault(name, {})[field] = own.tobytes(), [values[i] for i in at.tolist()]
        return Updates(parts)

    def _replace(self, changed: Mapping[Key, msgspec.Struct | None]) -> None:
        """Write and drop records that change no generation."""
        if changed:
            put = {key: value for key, value in changed.items() if value is not None}
            self._contents.write(put, {key for key, value in changed.items() if value is None})
            self._show()

    def _show(self) -> Generation:
        """Open the newest generation, once the catalogue has changed."""
        self._current = open_generation(self._contents, before=self._current)
        self._shown = self._contents.sums
        return self._current

    def _keys_of(self, plan: Plan) -> list[Key]:
        """Of the records of what a plan merges."""
        state = self._contents.state
        segments = [Key("segment", 0, name) for name in plan.names if name in state.segments]
        return segments + [Key("batch", n) for n in state.batches if f"batch-{n}" in set(plan.names)]

    def _begin(self) -> None:
        """Become the writer."""
        lock = WriterLock(self.folder)
        try:
            if self._database is None:
                if not catalogue.is_there(self.folder):
                    upgrade(self.folder, self._durability)
                self._move_over(writing=True)
            else:
                before = self._database
                self._database = Catalogue(self.folder, writing=True, durability=self._durability)
                self._contents.database = self._database
                before.close()
                self._follow()
            self._remove_leftovers()
        except BaseException:
            lock.release()
            raise
        self._lock = lock

    def _move_over(self, writing: bool) -> None:
        """Open the collection that an index of format 2 has become."""
        database = Catalogue(self.folder, writing=writing, durability=self._durability)
        try:
            self._contents = Contents(self.folder, database)
            self._current = open_generation(self._contents)
        except BaseException:
            database.close()
            raise
        self._database, self._shown, self._version = database, self._contents.sums, database.version()

    def _follow(self) -> None:
        """Open what others have changed, again where it changes meanwhile."""
        while True:
            self._contents.refresh()
            try:
                self._show()
                return
            except StorageError:
                if not self._contents.refresh():
                    raise

    def _opened(self) -> tuple[Contents, Generation]:
        while True:
            contents = Contents(self.folder, self._database)
            try:
                return contents, open_generation(contents)
            except StorageError:
                if not _changed(contents):
                    raise
                self._database = self._database or database_of(self.folder, self._durability)

    def _remove_leftovers(self) -> None:
        """Remove segments that no record names, and files of segments that none names."""
        if self._database:
            self._database.sync()
        places.remove_others(self.folder, self._contents.state)


def upgrade(folder: Path, durability: str = "fsync") -> None:
    """Make an index of format 2 a collection of format 3, without encoding anything; its lock must be held.

    Raises:
        StorageError: no index of format 2, damage, or the disk is full.
    """
    contents = Contents(folder, None)
    state = contents.state
    with writing(folder):
        files.check_sums(folder / state.about.encoder_folder, state.about.encoder_files)
        encoder, kept = places.adopt_encoder(folder, state.about)
        segments = places.adopt_segments(folder, state.segments)
        about = msgspec.structs.replace(state.about, encoder_folder=encoder, encoder_files=kept)
        values: dict[Key, msgspec.Struct] = {
            ABOUT: about,
            SCHEMA: Schema(dict(state.types)),
            **{Key("generation", number): info for number, info in state.generations.items()},
            **{Key("segment", 0, name): info for name, info in segments.items()},
        }
        catalogue.create(folder, {key: encode(key, value) for key, value in values.items()}, durability)


def database_of(folder: Path, durability: str = "fsync") -> Catalogue | None:
    """The catalogue of a folder; None for an index of format 2.

    Raises:
        StorageError: neither is there, or damage.
    """
    if not catalogue.is_there(folder) and format_2.is_there(folder):
        return None
    places.check_finished(folder)
    return Catalogue(folder, durability=durability)


def _changed(contents: Contents) -> bool:
    if contents.database is None:
        return catalogue.is_there(contents.folder)
    return contents.refresh()
