"""Where is it kept what a collection holds? In records of one SQLite database, changed by one transaction at a time.

SQLite decides what was acknowledged: a transaction is there as a whole after a kill and, with ``durability="fsync"``,
after a loss of power. What it stores is checked on the way back: every record has a checksum of its own, and one
number over all checksums shows a record that is missing, or one too many.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from lsr.errors import InputError, StorageError
from lsr.index.storage.faults import full_disk, unreadable
from lsr.index.storage.files import sync_folder

NAME = "catalogue.db"
NEW = f".new-{NAME}"
DURABILITY = {"fsync": "FULL", "os": "NORMAL"}
WAIT = 10.0  # seconds for a lock of SQLite, which is held for milliseconds
BYTES = 16  # of a checksum
SCHEMA = """
CREATE TABLE IF NOT EXISTS records (
    kind TEXT NOT NULL, generation INTEGER NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (kind, generation, name));
CREATE TABLE IF NOT EXISTS digest (value BLOB NOT NULL);
"""


class Key(NamedTuple):
    """What a record is called: its kind, the generation that it belongs to, and a name."""

    kind: str
    generation: int = 0
    name: str = ""


Records = dict[Key, bytes]


class Changes(NamedTuple):
    """What a reader has not seen yet: new records, keys of those that are gone, and all checksums."""

    new: Records
    gone: set[Key]
    sums: dict[Key, bytes]


class Catalogue:
    """The database of one collection, open. Safe to use from several threads.

    Args:
        folder: of the collection.
        writing: refuse a folder that cannot be written.
        durability: "fsync" keeps what was acknowledged over a loss of power, "os" over a kill.
        name: of the database.

    Raises:
        StorageError: no collection there, no permission, a file system without locks, or damage.
        InputError: another durability.
    """

    def __init__(self, folder: Path, *, writing: bool = False, durability: str = "fsync", name: str = NAME) -> None:
        if durability not in DURABILITY:
            raise InputError(f"durability is {durability!r:.40}: wanted {' or '.join(DURABILITY)}")
        self.path = folder / name
        self._lock = threading.RLock()
        with self._faults():
            self._connection = _connected(self.path, writing)
        try:
            with self._faults():
                self._connection.execute(f"PRAGMA synchronous = {DURABILITY[durability]}")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the database; closing again does nothing."""
        with self._lock, suppress(sqlite3.Error):
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def version(self) -> int:
        """A number that differs once another connection has changed something."""
        with self._lock, self._faults():
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def sums(self) -> dict[Key, bytes]:
        """The checksums of all records.

        Raises:
            StorageError: damage.
        """
        with self._lock, self._faults():
            return _sums_of(self._connection.execute(SUMS))

    def changes(self, known: Mapping[Key, bytes]) -> Changes:
        """What is there beside the records with the checksums ``known``, at one moment.

        Raises:
            StorageError: damage.
        """
        with self._lock, self._faults(), self._reading() as ask:
            sums = _sums_of(ask(SUMS))
            fresh = [key for key, sum_ in sums.items() if known.get(key) != sum_]
            new = {key: self._content(key, sums[key]) for key in fresh}
            digest = ask("SELECT value FROM digest").fetchall()
        if digest != [(_combined(sums.values()),)]:
            raise StorageError(f"{self.path} is damaged (records are missing): {WAY_OUT}")
        return Changes(new, known.keys() - sums.keys(), sums)

    def write(self, put: Mapping[Key, bytes], drop: set[Key], known: Mapping[Key, bytes]) -> dict[Key, bytes]:
        """Change records in one transaction, over those with the checksums ``known``; the new checksums.

        Raises:
            StorageError: the disk is full or broken; nothing has changed then.
        """
        added = {key: checksum(key, content) for key, content in put.items()}
        sums = {key: sum_ for key, sum_ in known.items() if key not in drop} | added
        rows = [(*key, content, added[key]) for key, content in put.items()]
        with self._lock, self._faults():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                self._connection.executemany("DELETE FROM records WHERE kind=? AND generation=? AND name=?", [*drop])
                self._connection.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?)", rows)
                self._connection.execute("DELETE FROM digest")
                self._connection.execute("INSERT INTO digest VALUES (?)", (_combined(sums.values()),))
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
        return sums

    def shrink(self) -> None:
        """Give room of dropped records back to the disk."""
        with self._lock, self._faults():
            self._connection.executescript("PRAGMA incremental_vacuum")  # which steps to the end, page by page
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def sync(self) -> None:
        """Let all that was written outlast a loss of power, before files go that it names no more.

        Raises:
            OSError: a fault of the disk.
        """
        with suppress(FileNotFoundError):  # no log: all is in the database, flushed
            with self.path.with_name(f"{self.path.name}-wal").open("rb") as log:
                os.fsync(log.fileno())
            sync_folder(self.path.parent)

    def copy(self, target: Path) -> None:
        """Write a copy, as of one moment, to the new file ``target``."""
        with self._lock, self._faults(), sqlite3.connect(target) as other:
            self._connection.backup(other)
        other.close()

    @contextmanager
    def _reading(self) -> Iterator[Callable[..., sqlite3.Cursor]]:
        self._connection.execute("BEGIN")
        try:
            yield self._connection.execute
        finally:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _content(self, key: Key, sum_: bytes) -> bytes:
        asked = "SELECT content FROM records WHERE kind=? AND generation=? AND name=?"
        found = self._connection.execute(asked, key).fetchall()
        content = found[0][0] if len(found) == 1 else None
        if not isinstance(content, bytes) or checksum(key, content) != sum_:
            raise StorageError(f"{self.path} is damaged (a record of {key.kind}): {WAY_OUT}")
        return content

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """Say in one line what SQLite does not like."""
        try:
            yield
        except sqlite3.Error as error:
            raise fault_of(self.path, error) from error
        except (OverflowError, UnicodeDecodeError, TypeError) as error:  # columns of other types
            raise unreadable(self.path, error) from None


SUMS = "SELECT kind, generation, name, checksum FROM records"
WAY_OUT = "restore a snapshot, or index the documents again"


def _sums_of(rows: Iterable[Sequence[Any]]) -> dict[Key, bytes]:
    """Checksums by key; `TypeError` where the columns hold something else."""
    found = {Key(*key): sum_ for *key, sum_ in rows}
    for key, sum_ in found.items():
        if [*map(type, key), type(sum_)] != [str, int, str, bytes]:
            raise TypeError(f"the record {tuple(key)!r:.200} with the checksum {sum_!r:.40}")
    return found


def checksum(key: Key, content: bytes) -> bytes:
    """Of a record with its name, 16 bytes."""
    digest = hashlib.blake2b(f"{key.kind}\0{key.generation}\0{key.name}\0".encode(), digest_size=BYTES)
    digest.update(content)
    return digest.digest()


def is_there(folder: Path) -> bool:
    """Whether ``folder`` holds a catalogue."""
    return (folder / NAME).is_file()


def is_ours(folder: Path) -> bool:
    """Whether ``folder`` holds a catalogue of lsr: another program may call its database the same."""
    try:
        with closing(_open(folder / NAME, "ro&immutable=1")) as database:
            found = {name for (name,) in database.execute("SELECT name FROM sqlite_schema")}
    except sqlite3.Error:
        return False
    return {"records", "digest"} <= found


def fault_of(path: Path, error: sqlite3.Error) -> StorageError:
    """What an error of SQLite means for the collection of ``path``, and what to do."""
    name = getattr(error, "sqlite_errorname", None) or ""
    if name.startswith("SQLITE_FULL"):
        return full_disk(path.parent, error)
    if name.startswith(("SQLITE_READONLY", "SQLITE_PERM", "SQLITE_AUTH")):
        return StorageError(f"no permission to write {path}: ask its owner for it, or work on a copy")
    if name.startswith("SQLITE_BUSY"):
        return StorageError(f"another process is writing to {path.parent}: wait for it, then try again")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL", "SQLITE_NOLFS")):
        return StorageError(
            f"{path} cannot be read or written ({error}): look at the disk and its permissions, and keep collections "
            "on a file system with locks"
        )
    return StorageError(f"{path} is damaged ({error}): {WAY_OUT}")


def create(folder: Path, records: Mapping[Key, bytes], durability: str = "fsync") -> None:
    """Make the catalogue of a folder, whole or not at all; one that is there, and that nobody can read, goes.

    Raises:
        StorageError: the disk is full or broken.
    """
    new = folder / NEW
    _remove(new)
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.executescript("PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL;" + SCHEMA)
        with Catalogue(folder, writing=True, durability=durability, name=NEW) as database:
            database.write(records, set(), {})
            database.shrink()
        publish(folder)
    except sqlite3.Error as error:
        raise fault_of(new, error) from error
    finally:
        _remove(new)


def publish(folder: Path) -> None:
    """Give a finished catalogue its name; one that is there goes."""
    new = folder / NEW
    with new.open("rb") as file:
        os.fsync(file.fileno())
    _remove(folder / NAME)
    new.replace(folder / NAME)
    _remove(new)
    sync_folder(folder)


def files_of(path: Path) -> list[Path]:
    """The files that SQLite may keep beside a database, itself first."""
    return [path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm", "journal"))]


def _remove(path: Path) -> None:
    for one in reversed(files_of(path)):
        one.unlink(missing_ok=True)


def _combined(sums: Iterable[bytes]) -> bytes:
    """One checksum of many, in any order."""
    total = 0
    for sum_ in sums:
        total ^= int.from_bytes(sum_, "little")
    return total.to_bytes(BYTES, "little")


def _connected(path: Path, writing: bool) -> sqlite3.Connection:
    """A connection; to a folder that cannot be written one that reads only."""
    if not path.is_file():
        raise StorageError(f"{path} is missing: {WAY_OUT}")
    try:
        return _open(path, "rw")
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "") or ""
        if writing or not code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            raise
    wal = path.with_name(f"{NAME}-wal")
    if wal.exists() and wal.stat().st_size:
        try:
            return _open(path, "ro")
        except sqlite3.Error:
            raise StorageError(
                f"{path.parent} was not closed, and may only be read: open it once as a user who may write it"
            ) from None
    return _open(path, "ro&immutable=1")


def _open(path: Path, mode: str) -> sqlite3.Connection:
    """A connection that was asked once: SQLite opens files late."""
    address = f"file:{quote(os.fsencode(path))}?mode={mode}"
    found = sqlite3.connect(address, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        found.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except BaseException:
        found.close()
        raise
    return found
