"""What does SQLite do when its disk fails, and what has it made durable?

A VFS, "faulty", is a copy of the default one whose files are the default one's too: only their methods that change
the disk come here first. It stands in the SQLite library that Python's `sqlite3` calls, so a plain
``sqlite3.connect(path)`` meets it while it is the default, and ``file:...?vfs=faulty`` at any time.

Syncs are recorded, not done: nothing here needs a real disk to wait. What SQLite does without a file name
(temporary files) and -shm files, which are memory, pass by.
"""

from __future__ import annotations

import ctypes
import functools
import os
import sqlite3
from collections.abc import Callable
from ctypes import c_void_p
from dataclasses import dataclass, field
from typing import Any

from tests.crash import sqlite_layout as layout
from tests.crash.operations import Fault, Operations
from tests.crash.record import File, Record, located

NAME = "faulty"


def why_not() -> str | None:
    """Why SQLite cannot be made to fail here, for ``pytest.mark.skipif``; None where it can."""
    if layout.library() is None:
        return "the SQLite that Python calls is built into it, or too old: no VFS can be put below it"
    _vfs()
    try:
        sqlite3.connect(f"file::memory:?vfs={NAME}", uri=True).close()
    except sqlite3.OperationalError:
        return "Python calls another SQLite than the one that was found"
    return None


class SqliteFaults:
    """Databases below ``record.folder`` that are opened while this is entered: numbered, failing, recorded.

    They stay so until they are closed, also after it is left. ``default`` makes the VFS the default of the process.
    ``honest=False`` is a disk that says that it has synced, and has not.
    """

    def __init__(self, operations: Operations, record: Record, default: bool = True, honest: bool = True) -> None:
        self.operations, self.record, self.default, self.honest = operations, record, default, honest
        self.errors: list[BaseException] = []

    def __enter__(self) -> SqliteFaults:
        reason = why_not()
        if reason:
            raise NotImplementedError(reason)
        _vfs().sessions.append(self)
        _vfs().choose()
        return self

    def __exit__(self, *_: object) -> None:
        """Put the VFS that was the default back, and raise what went wrong in the harness itself."""
        _vfs().sessions.remove(self)
        _vfs().choose()
        if self.errors:
            raise self.errors[0]

    def step(self, what: str, path: str) -> int:
        """SQLite's code for the next operation: 0, or the fault that it meets; a short write is ``FULL``."""
        return code(self.operations.step(what, path), what)


def code(fault: Fault | None, what: str) -> int:
    """SQLite's result code for a fault of an operation."""
    if fault is None:
        return layout.OK
    return layout.FULL if fault in ("full", "short") else layout.IOERR_OF[what]


@dataclass
class _Open:
    """A file that SQLite has open, and the methods below ours."""

    session: SqliteFaults
    path: str
    node: File
    below: _Below
    syncs_folder: bool


@dataclass
class _Below:
    """The methods of the default VFS, and the table that stands for them."""

    close: Callable[..., int]
    write: Callable[..., int]
    truncate: Callable[..., int]
    table: layout.Methods


def _guarded(function: Callable[..., int]) -> Callable[..., int]:
    """The same function, from which no exception gets out: SQLite's C frames could not hold it."""

    @functools.wraps(function)
    def guarded(self: _FaultyVfs, *arguments: Any) -> int:
        try:
            return function(self, *arguments)
        except BaseException as error:  # noqa: BLE001
            for session in self.sessions:
                session.errors.append(error)
            return layout.IOERR

    return guarded


@dataclass
class _FaultyVfs:
    """The one VFS of the process; it is never unregistered, for connections may still hold it."""

    library: ctypes.CDLL
    sessions: list[SqliteFaults] = field(default_factory=list)
    files: dict[int, _Open] = field(default_factory=dict)
    below: dict[int, _Below] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.default = self.library.sqlite3_vfs_find(None)
        self.vfs = layout.Vfs()
        ctypes.pointer(self.vfs)[0] = self.default[0]
        self._open = layout.OPEN(self.default[0].open)
        self._delete = layout.DELETE(self.default[0].delete)
        self.ours = (
            layout.OPEN(self.open),
            layout.DELETE(self.delete),
            layout.CLOSE(self.close),
            layout.WRITE(self.write),
            layout.TRUNCATE(self.truncate),
            layout.SYNC(self.sync),
        )
        self.vfs.name = NAME.encode()
        self.vfs.open, self.vfs.delete = (ctypes.cast(one, c_void_p).value for one in self.ours[:2])
        self.library.sqlite3_vfs_register(self.vfs, 0)

    def choose(self) -> None:
        """Make this VFS the default one while a session wants it."""
        ours = any(session.default for session in self.sessions)
        self.library.sqlite3_vfs_register(self.vfs if ours else self.default, 1)

    def session(self, name: int | None) -> tuple[SqliteFaults | None, str]:
        """The session whose folder a file is in, if any, and its path."""
        path = os.fsdecode(ctypes.string_at(name)) if name else ""
        path = located(path) if path else ""
        return next((one for one in reversed(self.sessions) if one.record.covers(path)), None), path

    @_guarded
    def open(self, _vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        session, path = self.session(name)
        if session is None:
            return int(self._open(ctypes.addressof(self.default[0]), name, file, flags, out))
        with session.operations.lock:
            new = not os.path.lexists(path)
            failed = session.step("create", path) if new and flags & layout.OPEN_CREATE else layout.OK
            if failed:
                c_void_p.from_address(file).value = None  # no methods: nothing to close
                return failed
            result = int(self._open(ctypes.addressof(self.default[0]), name, file, flags, out))
            if result == layout.OK:
                self._take(session, path, file, flags, new)
        return result

    def _take(self, session: SqliteFaults, path: str, file: int, flags: int, new: bool) -> None:
        """Put our methods in the place of those of an open file."""
        node = session.record.created(path) if new else session.record.node(path)
        assert isinstance(node, File)
        methods = c_void_p.from_address(file)
        assert methods.value
        below = self.below.setdefault(methods.value, self._below(methods.value))
        syncs_folder = bool(flags & layout.OPEN_CREATE and flags & layout.OPEN_JOURNALS)
        self.files[file] = _Open(session, path, node, below, syncs_folder)
        methods.value = ctypes.addressof(below.table)

    def _below(self, address: int) -> _Below:
        theirs, table = layout.Methods.from_address(address), layout.Methods()
        ctypes.pointer(table)[0] = theirs
        table.close, table.write, table.truncate, table.sync = (
            ctypes.cast(one, c_void_p).value for one in self.ours[2:]
        )
        return _Below(layout.CLOSE(theirs.close), layout.WRITE(theirs.write), layout.TRUNCATE(theirs.truncate), table)

    @_guarded
    def delete(self, _vfs: int, name: int, sync_folder: int) -> int:
        session, path = self.session(name)
        if session is None or not os.path.lexists(path):
            return int(self._delete(ctypes.addressof(self.default[0]), name, sync_folder))
        with session.operations.lock:
            failed = session.step("delete", path)
            if failed:
                return failed
            session.record.node(path)
            result = int(self._delete(ctypes.addressof(self.default[0]), name, 0))
            if result == layout.OK:
                session.record.removed(path)
                self._sync_folder(session, path, bool(sync_folder))
        return result

    @_guarded
    def close(self, file: int) -> int:
        return self.files.pop(file).below.close(file)

    @_guarded
    def write(self, file: int, data: int, size: int, offset: int) -> int:
        opened = self.files[file]
        with opened.session.operations.lock:
            fault = opened.session.operations.step("write", opened.path)
            if fault == "short":
                opened.below.write(file, data, size // 2, offset)
            return code(fault, "write") or opened.below.write(file, data, size, offset)

    @_guarded
    def truncate(self, file: int, size: int) -> int:
        opened = self.files[file]
        with opened.session.operations.lock:
            failed = opened.session.step("truncate", opened.path)
            if not failed:
                opened.node.truncated(size)
            return failed or opened.below.truncate(file, size)

    @_guarded
    def sync(self, file: int, _flags: int) -> int:
        opened = self.files[file]
        with opened.session.operations.lock:
            failed = opened.session.step("sync", opened.path)
            if not failed and opened.session.honest:
                opened.node.sync()
                self._sync_folder(opened.session, opened.path, opened.syncs_folder)
                opened.syncs_folder = False
            return failed

    def _sync_folder(self, session: SqliteFaults, path: str, wanted: bool) -> None:
        folder = session.record.node(os.path.dirname(path)) if wanted and session.honest else None  # noqa: PTH120
        if folder:
            session.record.synced(folder)


@functools.cache
def _vfs() -> _FaultyVfs:
    found = layout.library()
    assert found
    return _FaultyVfs(found)
