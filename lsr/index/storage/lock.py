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
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._file = self.path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._say(Holder(os.getpid(), socket.gethostname(), datetime.now(UTC).isoformat(timespec="seconds")))
        except BlockingIOError:
            self._file.close()
            raise StorageError(f"{held(folder)}: wait for it, or name another folder") from None
        except OSError as error:
            self._file.close()
            raise StorageError(
                f"cannot lock {self.path} ({reason(error)}): this file system has no locks, which keep two writers "
                "apart; write the index on another one and copy it here"
            ) from None

    def release(self) -> None:
        """Let others write; releasing again does nothing."""
        self._file.close()

    def remove(self) -> None:
        """Remove the file, of a folder that holds nothing else, and let others write."""
        self.path.unlink(missing_ok=True)
        self.release()

    def _say(self, holder: Holder) -> None:
        self._file.truncate(0)
        self._file.write(msgspec.json.encode(holder))
        self._file.flush()


def held(folder: Path) -> str:
    """Who writes there now, in words."""
    try:
        by = msgspec.json.decode((folder / NAME).read_bytes(), type=Holder)
    except (OSError, msgspec.MsgspecError, UnicodeError):
        return f"another process is writing to {folder}"
    return f"another process is writing to {folder} (pid {by.pid} on {by.host}, since {by.since})"
