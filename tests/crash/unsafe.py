"""What would a collection be without its safeguards? Each is taken away here, for the controls of the tests."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest.mock import patch

from lsr.errors import StorageError
from lsr.index.live.contents import Contents
from lsr.index.storage.catalogue import Catalogue


class _EachForItself:
    """A connection that never begins a transaction: each statement is its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)

    def execute(self, asked: str, *more: object) -> object:
        """As SQLite's, but for transactions."""
        time.sleep(0.002)  # so that fewer kills find the gap
        with suppress(sqlite3.OperationalError):
            return self._connection.execute("SELECT 1" if asked.startswith("BEGIN IMM") else asked, *more)  # type: ignore[arg-type]
        return None


@contextmanager
def without_transactions() -> Iterator[None]:
    """Records of a change are written one by one."""
    write = Catalogue.write

    def torn(self, *arguments):
        whole = self._connection
        self._connection = _EachForItself(whole)
        try:
            return write(self, *arguments)
        finally:
            self._connection = whole

    with patch.object(Catalogue, "write", torn):
        yield


@contextmanager
def without_syncs() -> Iterator[None]:
    """No file is flushed but those of SQLite."""
    with patch.object(os, "fsync", lambda _: None):
        yield


@contextmanager
def without_errors() -> Iterator[None]:
    """A change that the disk refused is acknowledged."""
    write = Contents.write

    def hopeful(self, *arguments):
        with suppress(StorageError):
            write(self, *arguments)

    with patch.object(Contents, "write", hopeful):
        yield
