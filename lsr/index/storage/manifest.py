"""What does an index folder hold, and is it whole? One JSON manifest, replaced in one step.

Files are written and flushed first; then the new manifest takes the old one's name. A reader sees the old index or
the new one, never a mixture, whenever the writer is stopped.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from lsr.corpus.values import NOT_JSON
from lsr.errors import StorageError, reason
from lsr.index.plan import Tuning
from lsr.index.storage import generations

FORMAT = "lsr-index"
VERSION = 2
NAME = "manifest.json"
NEW = f"{NAME}.new"
MOST_BYTES = 2**26  # of a manifest; a file takes about 150


class FileInfo(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file."""

    bytes: int
    sha256: str


class EncoderInfo(msgspec.Struct, frozen=True):
    """The encoder that made the vectors: its name, fingerprint and vocabulary size."""

    name: str
    fingerprint: str
    dim: int


class SegmentInfo(msgspec.Struct, frozen=True):
    """One immutable segment: its folder below the index folder, and its counts."""

    folder: str
    documents: int
    nonzeros: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything known about an index without opening it.

    Attributes:
        generation: rises by one with every change of the folder.
        files: by path below the index folder.
        settings: build and search settings of the segments.
        summary: what indexing counted (empty and truncated documents, distinct terms).
        fields: types of the documents' fields by name, as `lsr.corpus.schema` has them.
        tuning: measured recall and latency of the engine's settings; None before `lsr tune`.
    """

    format: str = FORMAT
    version: int = VERSION
    lsr: str
    generation: int
    encoder: EncoderInfo
    encoder_folder: str
    settings: dict[str, Any]
    summary: dict[str, int]
    segments: list[SegmentInfo]
    files: dict[str, FileInfo]
    fields: dict[str, str] = {}
    tuning: Tuning | None = None

    @property
    def documents(self) -> int:
        """Number of documents."""
        return sum(segment.documents for segment in self.segments)

    @property
    def nonzeros(self) -> int:
        """Number of stored weights."""
        return sum(segment.nonzeros for segment in self.segments)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


def read(folder: Path) -> Manifest:
    """The manifest of the index in ``folder``.

    Raises:
        StorageError: no index, a half-written one, another format version, or damage.
    """
    content = _content(folder)
    try:
        head = msgspec.json.decode(content)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise StorageError(f"{folder / NAME} is not the manifest of an lsr index: give a folder made by lsr index")
        if head.get("version") != VERSION:
            raise StorageError(
                f"{folder} has index format {head.get('version')}, this lsr reads format {VERSION}: "
                "index the documents again, or use the lsr version that wrote it"
            )
        manifest = msgspec.convert(head, Manifest)
    except NOT_JSON as error:
        raise StorageError(f"{folder / NAME} is damaged ({error}): index the documents again") from None
    folders = [segment.folder for segment in manifest.segments]
    if not folders or len(set(folders)) < len(folders):
        raise StorageError(f"{folder / NAME} is damaged ({len(folders)} segments): index the documents again")
    for path in _paths(manifest):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts or "\0" in path:
            raise StorageError(
                f"{folder / NAME} names {path!r}, which is not inside {folder}: index the documents again"
            )
    return manifest


def is_there(folder: Path) -> bool:
    """Whether ``folder`` has a manifest of lsr, of this format version or another."""
    try:
        head = msgspec.json.decode(_content(folder))
    except (StorageError, *NOT_JSON):
        return False
    return isinstance(head, dict) and head.get("format") == FORMAT


def _content(folder: Path) -> bytes:
    path = folder / NAME
    try:
        if not path.is_file():
            raise StorageError(_why_no_manifest(folder))
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > MOST_BYTES:
        raise StorageError(f"{path} is larger than any manifest: give a folder made by lsr index")
    return content


def _paths(manifest: Manifest) -> Iterator[str]:
    yield manifest.encoder_folder
    yield from (segment.folder for segment in manifest.segments)
    yield from manifest.files


def unreadable(path: Path, error: Exception) -> StorageError:
    """What to say when ``path``, or a file that ``error`` names, cannot be read: why, and what to do."""
    path = Path(getattr(error, "filename", None) or path)
    if isinstance(error, PermissionError):
        return StorageError(f"no permission to read {path}: ask its owner for it, or search as that user")
    if isinstance(error, FileNotFoundError):
        return StorageError(f"{path} is missing: index the documents again")
    if isinstance(error, OSError) and error.errno is not None:
        return StorageError(f"{path} cannot be read ({reason(error)}): look at the disk, then try again")
    return StorageError(f"{path} is damaged ({error}): index the documents again")


def publish(folder: Path, manifest: Manifest) -> None:
    """Make ``manifest`` the index of ``folder``; its files must be written and flushed already."""
    beside = folder / NEW
    try:
        with beside.open("wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(manifest)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / NAME)
    finally:
        beside.unlink(missing_ok=True)
    sync_folder(folder)


def describe_files(root: Path, folder: Path) -> dict[str, FileInfo]:
    """Size and checksum of every file below ``folder``, by path below ``root``; each is flushed to disk."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != generations.MARK)
    return {str(path.relative_to(root)): _describe(path) for path in paths}


def check_sizes(root: Path, manifest: Manifest) -> None:
    """Compare every file's size with the manifest.

    Raises:
        StorageError: a file is missing or has another size.
    """
    for name, wanted in manifest.files.items():
        path = root / name
        try:
            found = path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise unreadable(path, error) from None
        if found != wanted.bytes:
            state = "is missing" if found is None else f"has {found:,} bytes"
            raise StorageError(f"{path} {state}, wanted {wanted.bytes:,} bytes: index the documents again")


def check_sums(root: Path, manifest: Manifest) -> None:
    """Compare every file's size and checksum with the manifest; reads everything.

    Raises:
        StorageError: a file is missing or damaged.
    """
    check_sizes(root, manifest)
    for name, wanted in manifest.files.items():
        path = root / name
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error) from None
        if found != wanted.sha256:
            raise StorageError(f"{path} is damaged (its checksum differs): index the documents again")


def sync_folder(folder: Path) -> None:
    """Flush a folder's list of names to disk, where the file system can do that."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):
            raise
    finally:
        os.close(descriptor)


def _describe(path: Path) -> FileInfo:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return FileInfo(path.stat().st_size, digest)


def _why_no_manifest(folder: Path) -> str:
    if not folder.exists():
        return f"no such index: {folder}; make it with lsr index SOURCE --out {folder}"
    if not folder.is_dir():
        return f"{folder} is a file: wanted the folder of an index made by lsr index"
    if any(map(generations.is_ours, folder.glob("generation-*"))):
        return f"{folder} holds a half-written index (indexing did not finish): run lsr index again"
    return f"{folder} holds no index ({NAME} is missing): give a folder made by lsr index"
