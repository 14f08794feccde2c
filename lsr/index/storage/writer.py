"""How is a collection made of many documents at once? Written beside the old one, published in one transaction."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lsr.corpus import Document
from lsr.corpus.schema import Schema
from lsr.errors import InputError, StorageError
from lsr.index.engines import IndexSettings
from lsr.index.storage import catalogue, format_2, places, records
from lsr.index.storage.catalogue import Catalogue, Key
from lsr.index.storage.faults import writing
from lsr.index.storage.files import Files, sync_folder
from lsr.index.storage.lock import WriterLock
from lsr.index.storage.records import (
    ABOUT,
    SCHEMA,
    About,
    Corpus,
    GenerationInfo,
    SegmentInfo,
    State,
    Terms,
)
from lsr.index.storage.segment import SegmentWriter
from lsr.sparse import SparseMatrix


class CollectionWriter:
    """Writes a whole collection, in place of the one in a folder; a context manager.

    Documents go to disk as they come, in segments of about ``segment_nonzeros`` weights. Nothing of the collection that
    is there changes before `commit`; without it, leaving the context removes everything written.

    Args:
        folder: of the collection; made when missing.
        settings: None takes the defaults.
        segment_nonzeros: weights after which a new segment is started; None takes what the engine builds in 2 GB.
        schema: types of fields that are declared; the others are inferred.
        durability: as for `lsr.index.Store`.

    Raises:
        StorageError: another process writes there, or the folder holds something else.
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings | None = None,
        segment_nonzeros: int | None = None,
        schema: Schema | None = None,
        durability: str = "fsync",
    ) -> None:
        self._root, self._settings, self._durability = folder, settings or IndexSettings(), durability
        self._limit = segment_nonzeros or self._settings.choice.segment_nonzeros
        self.schema = schema or Schema()
        self._segments: list[SegmentWriter] = []
        self._encoder: tuple[str, Files] = "", {}
        self._committed = False
        with writing(folder):
            self._made = not folder.exists()
            places.make_root(folder)
            self._lock = WriterLock(folder)
            try:
                _remove_leftovers(folder)
                (folder / places.SEGMENTS).mkdir(exist_ok=True)
            except BaseException:
                self._undo()
                raise

    def save_encoder(self, fingerprint: str, save: Callable[[Path], None]) -> None:
        """Let ``save`` write the encoder into a folder of the collection; one that comes with lsr needs no copy.

        Raises:
            StorageError: the disk is full, or another fault of it.
        """
        with writing(self._root):
            self._encoder = places.save_encoder(self._root, fingerprint, save)

    def append(self, observed: SparseMatrix, documents: Sequence[Document]) -> None:
        """Add a batch of documents with their vectors, one row each.

        Raises:
            InputError: more fields than a schema holds, or a dense vector that does not fit.
            StorageError: the disk is full, or another fault of it.
        """
        with writing(self._root):
            if not self._segments or self._segments[-1].nonzeros >= self._limit:
                self._close_last()
                self._segments.append(SegmentWriter(self._root / places.new_segment(self._root)))
            self._segments[-1].append(observed, documents, self.schema)

    def commit(
        self,
        about: About,
        weigh: Callable[[SparseMatrix], SparseMatrix],
        dim: int,
        corpus: Corpus | None = None,
        terms: Sequence[str] = (),
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> State:
        """Build every segment and make them the collection.

        Args:
            about: of the collection; where the encoder is kept is filled in.
            weigh: turns observed rows into document vectors.
            dim: size of the vocabulary.
            corpus: what an encoder that learns has counted.
            terms: of the vocabulary, where they are not kept with the encoder.
            progress: called with (steps done, steps in all).

        Raises:
            InputError: no documents, or a value that does not fit its field's type.
            StorageError: the disk is full, or another fault of it.
        """
        if not self._segments:
            raise InputError("no documents: the sources are empty; give at least one document")
        with writing(self._root):
            number = _next_generation(self._root)
            segments = self._built(weigh, dim, number, progress)
            folder, files = self._encoder
            about = msgspec.structs.replace(
                about, encoder_folder=folder, encoder_files=files, settings=self._settings.to_dict()
            )
            state = self._publish(number, about, segments, corpus, terms)
            places.remove_others(self._root, state)
        return state

    def _built(
        self,
        weigh: Callable[[SparseMatrix], SparseMatrix],
        dim: int,
        number: int,
        progress: Callable[[int, int], None],
    ) -> dict[str, SegmentInfo]:
        """Build every segment, and flush everything; what is known of each, by name."""
        self._close_last()
        found = {}
        for at, segment in enumerate(self._segments):
            part = _part_of(progress, at, len(self._segments))
            name = f"{places.SEGMENTS}/{segment.folder.name}"
            found[name] = segment.finish(weigh, dim, self._settings, self.schema, number, part)
        for folder in (self._root / places.SEGMENTS, self._root):
            sync_folder(folder)
        return found

    def _publish(
        self,
        number: int,
        about: About,
        segments: dict[str, SegmentInfo],
        corpus: Corpus | None,
        terms: Sequence[str],
    ) -> State:
        rows = sum(info.documents for info in segments.values())
        counts = {"added": about.summary.get("documents", rows)}
        values: dict[Key, msgspec.Struct] = {
            ABOUT: about,
            SCHEMA: records.Schema(self.schema.types()),
            Key("generation", number): GenerationInfo(time.time(), "index", counts),
            **{Key("segment", 0, name): info for name, info in segments.items()},
        }
        if corpus:
            values[Key("corpus", number)] = corpus
        if terms:
            values[Key("terms", number)] = Terms(about.base_terms, list(terms))
        put = {key: records.encode(key, value) for key, value in values.items()}
        if _state(self._root) and catalogue.is_there(self._root):
            with Catalogue(self._root, writing=True, durability=self._durability) as database:
                sums = database.sums()
                database.write(put, sums.keys() - put.keys(), sums)
                database.sync()
        else:
            catalogue.create(self._root, put, self._durability)
        self._committed = True
        return records.state_of(self._root, values, None, records.KINDS)

    def _close_last(self) -> None:
        if self._segments:
            self._segments[-1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._close_last()
        if not self._committed:
            self._undo()
        self._lock.release()

    def _undo(self) -> None:
        """Remove what was made; the folder too, unless it holds a collection or something of others."""
        if self._is_published():  # asked of the disk: an interrupt may come right after publishing
            return
        for segment in self._segments:
            shutil.rmtree(segment.folder, ignore_errors=True)
        _remove_leftovers(self._root)
        empty = [self._root / places.SEGMENTS, self._root / places.ENCODERS]
        if self._made and not catalogue.is_there(self._root):
            self._lock.remove()
            empty.append(self._root)
        for folder in empty:
            with contextlib.suppress(OSError):
                folder.rmdir()
        self._lock.release()

    def _is_published(self) -> bool:
        names = {f"{places.SEGMENTS}/{segment.folder.name}" for segment in self._segments}
        state = _state(self._root)
        return bool(names) and state is not None and names <= state.segments.keys()


def _next_generation(folder: Path) -> int:
    """One above that of the collection which is replaced."""
    state = _state(folder)
    return state.newest + 1 if state else 1


def _state(folder: Path) -> State | None:
    """What the folder holds now; None where that is nothing, or cannot be read."""
    with contextlib.suppress(StorageError):
        if not catalogue.is_there(folder):
            return format_2.read(folder) if format_2.is_there(folder) else None
        with Catalogue(folder) as database:
            found = database.changes({}).new
        values = {key: records.decode(database.path, key, content) for key, content in found.items()}
        return records.state_of(database.path, values, None, records.KINDS)
    return None


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted writers left; nothing where a catalogue is there that cannot be read."""
    state = _state(folder)
    if catalogue.is_there(folder):
        if state is not None:
            places.remove_others(folder, state)
    else:
        places.remove_others(folder, None)


def _part_of(progress: Callable[[int, int], None], part: int, parts: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(part * total + done, parts * total)
