"""Are the files of a segment what they were when it was written? Sizes are compared always, checksums on demand."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import msgspec

from lsr.errors import StorageError
from lsr.index.storage.faults import unreadable


class FileInfo(msgspec.Struct, frozen=True):
    """Size in bytes and SHA-256 of one file."""

    bytes: int
    sha256: str


Files = dict[str, FileInfo]


def describe_files(folder: Path, root: Path | None = None) -> Files:
    """Size and checksum of every file below ``folder``, by path below it or ``root``; each is flushed to disk."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        found = [*pool.map(describe, paths)]
    return {str(path.relative_to(root or folder)): info for path, info in zip(paths, found, strict=True)}


def describe(path: Path) -> FileInfo:
    """Size and checksum of a file, which is flushed to disk."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    return FileInfo(path.stat().st_size, digest)


def is_inside(name: str) -> bool:
    """Whether a path that somebody wrote down leads to something below the folder that it starts from."""
    path = PurePosixPath(name)
    return bool(path.parts) and not path.is_absolute() and ".." not in path.parts and "\0" not in name


def check_sizes(folder: Path, files: Files) -> None:
    """Compare the size of every file.

    Raises:
        StorageError: a file is missing or has another size.
    """
    for name, wanted in files.items():
        path = folder / name
        try:
            found = path.stat().st_size if path.is_file() else None
        except OSError as error:
            raise unreadable(path, error) from None
        if found != wanted.bytes:
            state = "is missing" if found is None else f"has {found:,} bytes"
            raise StorageError(f"{path} {state}, wanted {wanted.bytes:,} bytes: index the documents again")


def check_sums(folder: Path, files: Files) -> None:
    """Compare size and checksum of every file; reads everything.

    Raises:
        StorageError: a file is missing or damaged.
    """
    check_sizes(folder, files)
    for name, wanted in files.items():
        path = folder / name
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


def sync_folders(folder: Path) -> None:
    """Flush the names in a folder, and in all folders below it."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            sync_folder(path)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, unless they are there; their names are flushed to disk."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        with contextlib.suppress(PermissionError):  # one may make folders where one cannot list them
            sync_folder(path.parent)
