"""How does a file appear whole or not at all? Written beside its place, flushed, and given its name in one step.

What takes several files has a folder beside its place, and one writer at a time.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, StorageError, reason

LOCK = ".lock"


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` write a new file, and make it ``path``; processes that do so at once do not disturb each other.

    Args:
        path: its folder is there.
        write: gets the path to write to.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was at ``path`` stays.
        InputError: ``path`` is no file.
    """
    path = target_of(path)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write(new)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, reason(error), str(path)) from error
        raise
    finally:
        new.unlink(missing_ok=True)


def target_of(path: Path) -> Path:
    """The file that ``path`` names, which may be there or not: a link is followed.

    Raises:
        InputError: something else is there, which replacing would destroy.
    """
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    if path.exists() and not path.is_file():
        raise InputError(f"{path} is a {'folder' if path.is_dir() else 'device or pipe'}: name a file")
    return path


@contextmanager
def sole_writer(folder: Path, path: Path) -> Iterator[None]:
    """Make ``folder``, where what becomes ``path`` is written, and keep other processes out; a kill lets go of it.

    Whoever holds the folder may remove it.

    Raises:
        StorageError: another process writes there, or the file system has no locks.
        OSError: the folder cannot be made.
    """
    lock = _locked(folder, path)
    while not _is(folder / LOCK, lock):  # removed by the one that held it before
        lock.close()
        lock = _locked(folder, path)
    try:
        yield
    finally:
        lock.close()


def _locked(folder: Path, path: Path) -> IO[bytes]:
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / LOCK).open("ab")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise StorageError(f"another process is writing {path}: wait for it, or name another file") from None
    except OSError as error:
        lock.close()
        raise StorageError(
            f"cannot lock {folder / LOCK} ({reason(error)}): this file system has no locks, which keep two writers "
            "apart; write the file on another one and copy it here"
        ) from None
    return lock


def _is(path: Path, file: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Save ``array`` of any shape as ``path``, a .npy file, in one step; `OSError` as in `replace_file`.

    ``array`` is [...], of any dtype but objects.
    """

    def save(new: Path) -> None:
        with new.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    replace_file(path, save)
