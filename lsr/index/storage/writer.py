"""How does an index come to be? Written beside the old one, published in one step."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from msgspec.structs import replace

from lsr.corpus import Document
from lsr.corpus.schema import Schema
from lsr.errors import InputError, StorageError, reason
from lsr.index.engines import IndexSettings
from lsr.index.plan import Tuning
from lsr.index.storage import generations
from lsr.index.storage import manifest as manifests
from lsr.index.storage.manifest import EncoderInfo, Manifest, SegmentInfo
from lsr.index.storage.segment import SegmentWriter
from lsr.sparse import SparseMatrix

LOCK = ".lock"
FULL = errno.ENOSPC, errno.EDQUOT


class CollectionWriter:
    """Writes a new generation of an index folder; a context manager.

    Documents go to disk as they come, in segments of about ``segment_nonzeros`` weights. Nothing of the index that
    is there changes before `commit`; without it, leaving the context removes everything written.

    Args:
        folder: the index; made when missing.
        settings: None takes the defaults.
        segment_nonzeros: weights after which a new segment is started; None takes what the engine builds in 2 GB.
        schema: types of fields that are declared; the others are inferred.

    Raises:
        StorageError: another process writes there, or the folder holds something else.
    """

    def __init__(
        self,
        folder: Path,
        settings: IndexSettings | None = None,
        segment_nonzeros: int | None = None,
        schema: Schema | None = None,
    ) -> None:
        self._root, self._settings = folder, settings or IndexSettings()
        self._limit = segment_nonzeros or self._settings.choice.segment_nonzeros
        self.schema = schema or Schema()
        self._segments: list[SegmentWriter] = []
        with _writing(folder):
            self._made = not folder.exists()
            _make_root(folder)
            self._lock = _locked(folder)
            try:
                self._generation = generations.next_number(folder)
                self._folder = generations.folder_of(folder, self._generation)
                _remove_leftovers(folder)
                generations.make(self._folder)
            except BaseException:
                self._undo()
                raise

    def save_encoder(self, save: Callable[[Path], None]) -> None:
        """Let ``save`` write the encoder into a folder of the generation.

        Raises:
            StorageError: the disk is full, or another fault of it.
        """
        with _writing(self._root):
            self._encoder_folder.mkdir()
            save(self._encoder_folder)

    def append(self, observed: SparseMatrix, documents: Sequence[Document]) -> None:
        """Add a batch of documents with their vectors, one row each.

        Raises:
            InputError: more fields than a schema holds.
            StorageError: the disk is full, or another fault of it.
        """
        with _writing(self._root):
            if not self._segments or self._segments[-1].nonzeros >= self._limit:
                self._close_last()
                self._segments.append(SegmentWriter(self._folder / f"segment-{len(self._segments):04d}"))
            self._segments[-1].append(observed, documents, self.schema)

    def commit(
        self,
        encoder: EncoderInfo,
        weigh: Callable[[SparseMatrix], SparseMatrix],
        summary: dict[str, int],
        version: str,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Manifest:
        """Build every segment and make this generation the index.

        Args:
            encoder: what made the vectors.
            weigh: turns observed rows into document vectors.
            summary: counts to keep in the manifest.
            version: of lsr.
            progress: called with (steps done, steps in all).

        Raises:
            InputError: no documents, or a value that does not fit its field's type.
            StorageError: the disk is full, or another fault of it.
        """
        if not self._segments:
            raise InputError("no documents: the sources are empty; give at least one document")
        with _writing(self._root):
            manifest = self._built(encoder, weigh, summary, version, progress)
            if replaced := _current(self._root):
                generations.mark(replaced)  # an older version made no marks
            manifests.publish(self._root, manifest)
        generations.remove_others(self._root, self._folder.name)
        return manifest

    def _built(
        self,
        encoder: EncoderInfo,
        weigh: Callable[[SparseMatrix], SparseMatrix],
        summary: dict[str, int],
        version: str,
        progress: Callable[[int, int], None],
    ) -> Manifest:
        """Build every segment, and flush everything; the manifest that says so."""
        self._close_last()
        for number, segment in enumerate(self._segments):
            part = _part_of(progress, number, len(self._segments))
            segment.finish(weigh, encoder.dim, self._settings, self.schema, part)
        files = manifests.describe_files(self._root, self._folder)
        for folder in (self._folder, *(segment.folder for segment in self._segments), self._root):
            manifests.sync_folder(folder)
        return Manifest(
            lsr=version,
            generation=self._generation,
            encoder=encoder,
            encoder_folder=str(self._encoder_folder.relative_to(self._root)),
            settings=self._settings.to_dict(),
            summary=summary,
            fields=self.schema.types(),
            segments=[SegmentInfo(str(s.folder.relative_to(self._root)), len(s), s.nonzeros) for s in self._segments],
            files=files,
        )

    @property
    def _encoder_folder(self) -> Path:
        return self._folder / "encoder"

    def _close_last(self) -> None:
        if self._segments:
            self._segments[-1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(OSError):
            self._close_last()
        if _current(self._root) == self._folder:  # asked of the disk: an interrupt may come right after publishing
            self._lock.close()
        else:
            self._undo()

    def _undo(self) -> None:
        """Remove what was made; the folder too, unless somebody else has put something there."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._made:
            with contextlib.suppress(OSError):
                (self._root / LOCK).unlink()
                self._root.rmdir()
        self._lock.close()


def store_tuning(folder: Path, measured: Manifest, tuning: Tuning, settings: dict[str, Any]) -> Manifest:
    """Keep a measured frontier, and the settings that searches take from now on; the new manifest.

    Args:
        folder: of an index.
        measured: the manifest of what was measured.
        tuning: what was found.
        settings: changes of the engine's settings.

    Raises:
        StorageError: no index, another one than was measured, damage, or another process writes there.
    """
    with _writing(folder), _locked(folder):
        manifest = manifests.read(folder)
        if manifest.files != measured.files:
            raise StorageError(f"{folder} was replaced while it was measured: tune the new index again")
        changed = replace(manifest, tuning=tuning, settings={**manifest.settings, **settings})
        manifests.publish(folder, changed)
    return changed


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say which folder it was, and how much room it has, when a disk refuses to take something."""
    try:
        yield
    except OSError as error:
        why = reason(error)
        if error.errno in FULL:
            raise StorageError(
                f"cannot write to {folder}: the disk is full ({why}, {_free(folder) / 1e6:,.1f} MB free); "
                "make room, or name another folder"
            ) from error
        raise StorageError(f"cannot write to {folder}: {why}; name another folder") from error


def _free(folder: Path) -> int:
    """Bytes that the disk of ``folder`` can still take."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _make_root(folder: Path) -> None:
    """Make the folder, unless it holds what is not an index."""
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"cannot write to {folder}: it is a file; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    paths = sorted(folder.iterdir())
    ours = [path.name for path in paths if generations.is_ours(path) or generations.is_removed(path)]
    if manifests.is_there(folder) or (ours and manifests.NAME in [path.name for path in paths]):
        return
    foreign = [path.name for path in paths if path.name not in (LOCK, manifests.NEW, *ours)]
    if foreign:
        raise StorageError(f"{folder} holds other files ({foreign[0]}, ...): name a new or empty --out folder")


def _locked(folder: Path) -> IO[bytes]:
    """The folder's lock, held until the file is closed or the process ends."""
    lock = (folder / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StorageError(f"another process is writing to {folder}: wait for it, or name another folder") from None
    except OSError as error:
        lock.close()
        raise StorageError(
            f"cannot lock {folder / LOCK} ({reason(error)}): this file system has no locks, which keep two writers "
            "apart; write the index on another one and copy it here"
        ) from None
    return lock


def _current(folder: Path) -> Path | None:
    """The generation that the manifest names; None without a manifest that this version reads."""
    with contextlib.suppress(StorageError):
        name = Path(manifests.read(folder).encoder_folder).parts[0]
        return folder / name if generations.NAME.fullmatch(name) else None
    return None


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted writers left; nothing where a manifest is there that this version cannot read."""
    current = _current(folder)
    if current is not None or not (folder / manifests.NAME).exists():
        generations.remove_others(folder, current.name if current else None)


def _part_of(progress: Callable[[int, int], None], part: int, parts: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(part * total + done, parts * total)
