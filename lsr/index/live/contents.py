"""What do the records of a collection say at this moment? Read once, then followed change by change."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, StorageError
from lsr.index.checks import check
from lsr.index.engines import IndexSettings
from lsr.index.storage import catalogue, format_2
from lsr.index.storage.catalogue import WAY_OUT, Catalogue, Key
from lsr.index.storage.records import (
    ABOUT,
    KINDS,
    SCHEMA,
    About,
    Corpus,
    GenerationInfo,
    State,
    decode,
    encode,
    rows_of,
    state_of,
)

Rows = NDArray[np.uint32]
Patches = dict[str, list[tuple[Rows, list[Any]]]]  # new values of fields by name, in order
LATER = {"deletions", "updates"}
Later = dict[str, list[tuple[int, Any]]]  # by part: what came later, with its generation, rising


class Summary(NamedTuple):
    """What is known of a collection at one generation without looking into its segments.

    Attributes:
        generation: its number.
        about: what holds for all generations.
        fields: types by name.
        dim: size of the vocabulary.
        nonzeros: stored weights, those of deleted documents among them.
        corpora: what an encoder has counted, by generation, those up to ``oldest`` together.
        oldest: generation that is kept.
        new_terms: names of those that came after the encoder was saved, in order.
        info: when and how it was made.
    """

    generation: int
    about: About
    fields: Mapping[str, str]
    dim: int
    nonzeros: int
    corpora: Mapping[int, Corpus]
    oldest: int
    new_terms: list[str]
    info: GenerationInfo


class Contents:
    """The records of one collection, decoded.

    Args:
        folder: of the collection.
        database: its catalogue; None for a folder of format 2.

    Raises:
        StorageError: nothing there, another format version, or damage.
    """

    def __init__(self, folder: Path, database: Catalogue | None) -> None:
        self.folder, self.database = folder, database
        self.sums: dict[Key, bytes] = {}
        self._changing = threading.Lock()
        self._values: dict[Key, Any] = {}
        self.state: State
        if database is None:
            state = format_2.read(folder)
            self._check(state, (ABOUT, SCHEMA))
            self._take(state)
        elif not self.refresh():
            raise StorageError(f"{self.path} is damaged (it is empty): {WAY_OUT}")

    @property
    def path(self) -> Path:
        """Of what says all this, for messages."""
        return self.folder / (catalogue.NAME if self.database else format_2.NAME)

    def refresh(self) -> bool:
        """Read what other processes have changed; whether there was something.

        Raises:
            StorageError: damage.
        """
        if self.database is None:
            return False
        changes = self.database.changes(self.sums)
        if not (changes.new or changes.gone):
            return False
        new = {key: decode(self.path, key, content) for key, content in changes.new.items()}
        self._put(new, changes.gone, changes.sums, read=True)
        return True

    def write(self, put: Mapping[Key, msgspec.Struct], drop: set[Key] | None = None) -> None:
        """Change records in one transaction: on the disk, then here.

        Raises:
            StorageError: the disk is full or broken; nothing has changed then.
        """
        assert self.database is not None  # noqa: S101  a folder of format 2 is made a collection first
        gone = (drop or set()) - put.keys()
        sums = self.database.write({key: encode(key, value) for key, value in put.items()}, gone, self.sums)
        self._put(put, gone, sums)

    def frozen(self) -> Contents:
        """The same at this moment, for those who read it while others change it."""
        with self._changing:
            return copy(self)

    def keys(self, kind: str) -> list[Key]:
        """The keys of one kind, by generation and name."""
        return sorted(key for key in self._values if key.kind == kind)

    def summary(self, number: int) -> Summary:
        """What is known of a generation."""
        state = self.state
        nonzeros = sum(segment.nonzeros for segment in state.segments.values())
        nonzeros += sum(len(batch.weights) // 4 for batch in state.batches.values())
        terms = [name for one in state.terms.values() for name in one.names]
        oldest = min(state.generations)
        info = state.generations[number]
        return Summary(number, state.about, state.types, self.dim, nonzeros, state.corpora, oldest, terms, info)

    @property
    def dim(self) -> int:
        """Size of the vocabulary."""
        return self.state.dim

    def corpus(self, number: int) -> Corpus | None:
        """What an encoder has counted up to a generation; None where none counts."""
        corpora = [corpus for generation, corpus in self.state.corpora.items() if generation <= number]
        return added(corpora) if self.state.corpora else None

    def patches(self, pieces: Sequence[tuple[str, int]], since: int, wanted: int) -> Patches:
        """New values of fields after one generation and up to another, for a part that consists of ``pieces``."""
        found: Patches = {}
        start = 0
        for name, size in pieces:
            for number, fields in self.updates.get(name, ()):
                for field, (rows, values) in fields.items() if since < number <= wanted else ():
                    found.setdefault(field, []).append((rows_of(rows) + np.uint32(start), values))
            start += size
        return found

    def settings(self) -> IndexSettings:
        """Those of the engine.

        Raises:
            StorageError: damage.
        """
        about = self.state.about
        try:
            settings = IndexSettings.from_dict(about.settings)
            for point in about.tuning.points if about.tuning else []:
                IndexSettings.from_dict({**settings.to_dict(), **point.settings})
        except InputError as error:
            raise StorageError(f"{self.folder} has unreadable settings ({error}): {WAY_OUT}") from None
        return settings

    def _put(self, new: Mapping[Key, Any], gone: set[Key], sums: dict[Key, bytes], read: bool = False) -> None:
        values = {key: value for key, value in self._values.items() if key not in gone} | dict(new)
        kinds = {key.kind for key in (*new, *gone)}
        state = state_of(self.path, values, self.state if self._values else None, kinds if self._values else KINDS)
        if read:
            self._check(state, new)
        with self._changing:
            self._values, self.sums = values, sums
            if gone or not kinds.isdisjoint(LATER) or not hasattr(self, "state"):
                self._take(state)
            self.state = state

    def _check(self, state: State, keys: Collection[Key]) -> None:
        try:
            check(state, keys)
        except ValueError as error:
            raise StorageError(f"{self.path} is damaged ({error}): {WAY_OUT}") from None

    def _take(self, state: State) -> None:
        self.state = state
        self.deletions: Later = {}
        self.updates: Later = {}
        for generation, deletions in state.deletions.items():
            for name, rows in deletions.parts.items():
                self.deletions.setdefault(name, []).append((generation, rows_of(rows)))
        for generation, updates in state.updates.items():
            for name, fields in updates.parts.items():
                self.updates.setdefault(name, []).append((generation, fields))


def added(corpora: list[Corpus]) -> Corpus:
    """The sum of several counts."""
    terms = np.concatenate([np.zeros(0, np.uint32), *(np.frombuffer(one.terms, np.uint32) for one in corpora)])
    counts = np.concatenate([np.zeros(0, np.int64), *(np.frombuffer(one.counts, np.int64) for one in corpora)])
    distinct, at = np.unique(terms, return_inverse=True)
    sums = np.zeros(distinct.size, np.int64)
    np.add.at(sums, at, counts)
    documents, length = sum(one.documents for one in corpora), sum(one.length for one in corpora)
    return Corpus(documents, length, distinct.tobytes(), sums.tobytes())
