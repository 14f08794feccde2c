"""Who may write to a collection? One process, whose number, host and start the others can read."""

from __future__ import annotations

import fcntl
import os
import socket
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from lsr.errors import StorageError, reason

NAME = ".lock"


class Holder(msgspec.Struct, frozen=True):
    """A process that writes."""

    pid: int
    host: str
    since: str


class WriterLock:
    """The lock of a folder, held until `release` or the end of the process.

    Raises:
        StorageError: another process holds it, or the file system has no locks.
        OSError: the folder cannot be written, or the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file = self.path.open("a+b", buffering=0)  # closing it has nothing to write, and so never fails
        try:
            self._take()
            self._say(Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds")))
        except BaseException:
            self._file.close()
            raise

    def release(self) -> None:
        """Let others write; releasing again does nothing."""
        self._file.close()

    def remove(self) -> None:
        """Remove the file, of a folder that holds nothing else, and let others write."""
        self.path.unlink(missing_ok=True)
        self.release()

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{held(self.path.parent)}: wait for it, or name another folder") from None
        except OSError as error:
            raise StorageError(
                f"cannot lock {self.path} ({reason(error)}): this file system has no locks, which keep two writers "
                "apart; write the index on another one and copy it here"
            ) from None

    def _say(self, holder: Holder) -> None:
        self._file.truncate(0)
        self._file.write(msgspec.json.encode(holder))


def held(folder: Path) -> str:
    """Who writes there now, in words."""
    try:
        by = msgspec.json.decode((folder / NAME).read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return f"another process is writing to {folder}"
    return f"another process is writing to {folder} (pid {by.pid} on {by.host}, since {by.since})"
