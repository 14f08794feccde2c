"""What does a program that keeps its promises look like, and one that does not?"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

DATABASE = "catalogue.db"


def make_database(folder: Path) -> None:
    """An empty table in ``catalogue.db``."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE rows (number INTEGER PRIMARY KEY, text TEXT)")


def append_rows(
    folder: Path,
    acknowledge: Callable[[Any], object],
    rows: int = 6,
    synchronous: str = "FULL",
    checkpoint: int = 5,
    journal: str = "WAL",
) -> None:
    """Commit and acknowledge one row after the other; ``checkpoint`` pages bring the log into the database."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        database.execute(f"PRAGMA journal_mode={journal}")
        database.execute(f"PRAGMA synchronous={synchronous}")
        database.execute(f"PRAGMA wal_autocheckpoint={checkpoint}")
        (first,) = database.execute("SELECT coalesce(max(number) + 1, 0) FROM rows").fetchone()
        for number in range(first, first + rows):
            database.execute("INSERT INTO rows VALUES (?, ?)", (number, text_of(number)))
            acknowledge(number)


def append_segments(folder: Path, acknowledge: Callable[[Any], object], rows_first: bool = False) -> None:
    """Files, and a row that names each of them: the shape of a collection."""
    steps: list[Callable[[Callable[[Any], object]], None]] = [
        lambda heard: append_files(folder, heard, 2),
        lambda heard: append_rows(folder, heard, 2),
    ]
    for step in steps[:: -1 if rows_first else 1]:
        step(lambda _: None)
    acknowledge(0)
    acknowledge(1)


def segments_of(folder: Path) -> list[int]:
    """The rows of a collection, whose files must be there and whole."""
    rows = rows_of(folder)
    assert set(rows) <= set(files_of(folder))
    return rows


def rows_of(folder: Path) -> list[int]:
    """The numbers in the database, which must be whole; to look does not wait for the real disk."""
    with closing(sqlite3.connect(folder / DATABASE, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = database.execute("SELECT number, text FROM rows ORDER BY number").fetchall()
    assert all(text == text_of(number) for number, text in rows)
    return [number for number, _ in rows]


def text_of(number: int) -> str:
    """A row, or the content of a file, that can be checked; several sectors long."""
    return f"{number:09}" * 150


def append_files(
    folder: Path,
    acknowledge: Callable[[Any], object],
    files: int = 4,
    sync: bool = True,
    sync_folder: bool = True,
    rename_first: bool = False,
    sync_again: bool = False,
) -> None:
    """Make one file after the other: written beside its place, synced, renamed, its folder synced, acknowledged."""
    for number in range(files):
        new, place = folder / f"{number}.new", folder / f"{number}.segment"
        with new.open("w") as file:
            file.write(text_of(number))
            file.flush()
            if rename_first:
                new.rename(place)
                _sync_folder(folder)
            if sync:
                _sync(file.fileno(), sync_again)
        if not rename_first:
            new.rename(place)
        if sync_folder:
            _sync_folder(folder)
        acknowledge(number)


def files_of(folder: Path) -> list[int]:
    """The numbers of the files, which must be whole."""
    paths = sorted(folder.glob("*.segment"))
    for path in paths:
        assert path.read_text() == text_of(int(path.stem)), path
    return [int(path.stem) for path in paths]


def _sync(descriptor: int, again: bool) -> None:
    try:
        os.fsync(descriptor)
    except OSError:
        if not again:
            raise
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def victim(folder: str, rows: str) -> None:
    """`append_rows` as a process to kill."""
    append_rows(Path(folder), print, int(rows))


def hasty_victim(folder: str) -> None:
    """Acknowledges rows before it commits them."""
    with closing(sqlite3.connect(Path(folder) / DATABASE, isolation_level=None)) as database:
        for number in range(1000, 1020):
            database.execute("BEGIN")
            database.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (number, text_of(number)))
            print(number)  # noqa: T201
            database.execute("COMMIT")
