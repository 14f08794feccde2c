"""What does one say when a disk does not give or take something? Why, and what to do."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator
from pathlib import Path

from lsr.errors import StorageError, reason

FULL = errno.ENOSPC, errno.EDQUOT


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


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Say which folder it was, and how much room it has, when a disk refuses to take something.

    Raises:
        StorageError: for every `OSError`.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise full_disk(folder, error) from error
        raise StorageError(f"cannot write to {folder}: {reason(error)}; name another folder") from error


def full_disk(folder: Path, error: Exception) -> StorageError:
    """What to say when there is no room."""
    return StorageError(
        f"cannot write to {folder}: the disk is full ({reason(error)}, {_free(folder) / 1e6:,.1f} MB free); "
        "make room, or name another folder"
    )


def _free(folder: Path) -> int:
    """Bytes that the disk of ``folder`` can still take."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
