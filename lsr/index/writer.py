"""How does an index come to be? Written beside the old one, published in one step."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from msgspec.structs import replace

from lsr.corpus import Document
from lsr.errors import InputError, StorageError
from lsr.index import manifest as manifests
from lsr.index.engines import IndexSettings
from lsr.index.manifest import EncoderInfo, Manifest, SegmentInfo
from lsr.index.plan import Tuning
from lsr.index.segment import SegmentWriter
from lsr.sparse import SparseMatrix

LOCK = ".lock"


class CollectionWriter:
    """Writes a new generation of an index folder; a context manager.

    Documents go to disk as they come, in segments of about ``segment_nonzeros`` weights. Nothing of the index that
    is there changes before `commit`; without it, leaving the context removes everything written.

    Args:
        folder: the index; made when missing.
        settings: None takes the defaults.
        segment_nonzeros: weights after which a new segment is started; None takes what the engine builds in 2 GB.

    Raises:
        StorageError: another process writes there, or the folder holds something else.
    """

    def __init__(
        self, folder: Path, settings: IndexSettings | None = None, segment_nonzeros: int | None = None
    ) -> None:
        self._root, self._settings = folder, settings or IndexSettings()
        self._limit = segment_nonzeros or self._settings.choice.segment_nonzeros
        self._made = not folder.exists()
        _make_root(folder)
        self._lock = _locked(folder)
        self._generation = _next_generation(folder)
        self._folder = folder / f"generation-{self._generation:06d}"
        _remove_leftovers(folder)
        self._folder.mkdir()
        self._segments: list[SegmentWriter] = []
        self._committed = False

    @property
    def encoder_folder(self) -> Path:
        """Where the encoder is to be saved before `commit`."""
        folder = self._folder / "encoder"
        folder.mkdir(exist_ok=True)
        return folder

    def append(self, observed: SparseMatrix, documents: Sequence[Document]) -> None:
        """Add a batch of documents with their vectors, one row each."""
        if not self._segments or self._segments[-1].nonzeros >= self._limit:
            self._close_last()
            self._segments.append(SegmentWriter(self._folder / f"segment-{len(self._segments):04d}"))
        self._segments[-1].append(observed, documents)

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
        """
        self._close_last()
        if not self._segments:
            raise InputError("no documents: the sources are empty; give at least one document")
        for number, segment in enumerate(self._segments):
            segment.finish(weigh, encoder.dim, self._settings, _part_of(progress, number, len(self._segments)))
        files = manifests.describe_files(self._root, self._folder)
        for folder in (self._folder, *(segment.folder for segment in self._segments), self._root):
            manifests.sync_folder(folder)
        manifest = Manifest(
            lsr=version,
            generation=self._generation,
            encoder=encoder,
            encoder_folder=str(self.encoder_folder.relative_to(self._root)),
            settings=self._settings.to_dict(),
            summary=summary,
            segments=[SegmentInfo(str(s.folder.relative_to(self._root)), len(s), s.nonzeros) for s in self._segments],
            files=files,
        )
        manifests.publish(self._root, manifest)
        self._committed = True
        _remove_all_but(self._root, self._folder.name)
        return manifest

    def _close_last(self) -> None:
        if self._segments:
            self._segments[-1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self._close_last()
        if not self._committed:
            shutil.rmtree(self._folder, ignore_errors=True)
            if self._made:
                shutil.rmtree(self._root, ignore_errors=True)
        self._lock.close()


def store_tuning(folder: Path, tuning: Tuning, settings: dict[str, Any]) -> Manifest:
    """Keep a measured frontier, and the settings that searches take from now on; the new manifest.

    Args:
        folder: of an index.
        tuning: what was measured.
        settings: changes of the engine's settings.

    Raises:
        StorageError: no index, damage, or another process writes there.
    """
    with _locked(folder):
        manifest = manifests.read(folder)
        changed = replace(manifest, tuning=tuning, settings={**manifest.settings, **settings})
        manifests.publish(folder, changed)
    return changed


def _make_root(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror}; name another --out folder") from None
    foreign = [name for name in names if not (name == LOCK or name.startswith(("generation-", manifests.NAME)))]
    if foreign and manifests.NAME not in names:
        raise StorageError(f"{folder} holds other files ({sorted(foreign)[0]}, ...): name a new or empty --out folder")


def _locked(folder: Path) -> IO[bytes]:
    """The folder's lock, held until the file is closed or the process ends."""
    lock = (folder / LOCK).open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StorageError(f"another process is writing to {folder}: wait for it, or name another folder") from None
    return lock


def _next_generation(folder: Path) -> int:
    """One above every generation there, finished or not."""
    return 1 + max((int(path.name[11:]) for path in folder.glob("generation-[0-9]*")), default=0)


def _remove_leftovers(folder: Path) -> None:
    """Remove what interrupted writers left; nothing where a manifest is there that this version cannot read."""
    if not (folder / manifests.NAME).exists():
        _remove_all_but(folder, None)
        return
    with contextlib.suppress(StorageError):
        _remove_all_but(folder, Path(manifests.read(folder).encoder_folder).parts[0])


def _remove_all_but(folder: Path, kept: str | None) -> None:
    for path in folder.glob("generation-[0-9]*"):
        if path.name != kept:
            shutil.rmtree(path, ignore_errors=True)


def _part_of(progress: Callable[[int, int], None], part: int, parts: int) -> Callable[[int, int], None]:
    return lambda done, total: progress(part * total + done, parts * total)
