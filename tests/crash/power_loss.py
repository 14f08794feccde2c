"""What may a folder look like after the power went?

`Disk` puts a folder below both shims. Its images are copies of the folder as a file system may show it afterwards:
what was synced stays exactly; everything else is old, new, in between, zero or missing, by the seed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from tests.crash.file_faults import FileFaults
from tests.crash.operations import Fault, Happening, Operation, Operations, PowerCut
from tests.crash.record import Change, File, Folder, Link, Names, Node, Record, entries
from tests.crash.sqlite_faults import SqliteFaults

SECTOR = 512


class Disk:
    """A folder whose changes, by Python and by SQLite, are numbered, may fail and may be lost.

    Args:
        folder: is there; what it holds now is durable. One process changes it, with any number of threads.
        sqlite: whether databases in it are watched; without, they pass by.
        honest: False is a disk whose syncs succeed and keep nothing. A test of durability that passes on it too
            tests nothing.
    """

    def __init__(self, folder: Path, sqlite: bool = True, honest: bool = True) -> None:
        self.folder, self.operations = folder, Operations()
        self._sqlite, self._honest, self._shims = sqlite, honest, ExitStack()

    def __enter__(self) -> Disk:
        self.record = Record(self.folder)
        self._shims.callback(self.record.close)
        if self._sqlite:
            self._shims.enter_context(SqliteFaults(self.operations, self.record, honest=self._honest))
        self._shims.enter_context(FileFaults(self.operations, self.record, honest=self._honest))
        return self

    def __exit__(self, *_: object) -> None:
        self._shims.close()

    @property
    def on(self) -> bool:
        """Whether there is power: what a program acknowledges without it was never heard."""
        return self.operations.on

    @property
    def log(self) -> list[Operation]:
        """All operations so far."""
        return self.operations.log

    def count(self, work: Callable[[], object], only: Collection[str] = ()) -> int:
        """How many operations a piece of work makes; ``only`` those of some kinds."""
        return self.operations.count(work, only)

    def failing(
        self, at: int, kind: Fault = "full", once: bool = True, only: Collection[str] = ()
    ) -> AbstractContextManager[Happening]:
        """A context where operation ``at`` (1 is the next one) fails, and all later ones unless ``once``."""
        return self.operations.failing(at, kind, once, only)

    @contextmanager
    def cut_after(self, at: int, only: Collection[str] = ()) -> Iterator[Happening]:
        """Cut the power in the place of operation ``at`` (1 is the next one); it does not come back.

        Python code gets `PowerCut` from this and each later operation, SQLite an I/O error. Whatever exception the
        program makes of it ends here.
        """
        with self.operations.failing(at, "cut", only=only) as happening:
            try:
                yield happening
            except (Exception, PowerCut):
                if self.on:
                    raise

    def image(self, target: Path, seed: int) -> Path:
        """``target``, new: a copy of the folder as it may be once the power is back, if it went now."""
        assert not target.resolve().is_relative_to(self.record.folder), "an image stands outside of the folder"
        with self.operations.lock:
            self.record.adopt_strays()
            random = Random(seed)
            names = _names(self.record, random)
            _Writer(names, random).folder(self.record.root, target)
        return target

    def bypassed(self) -> list[Path]:
        """Files and folders that came to be in the folder without passing the shims, SQLite's -shm files apart."""
        return self.record.adopt_strays()


def _names(record: Record, random: Random) -> Names:
    """The names after the power is back: the durable ones, and some of the changes since.

    Most file systems keep changes in their order, some keep any of them.
    """
    names = {folder: dict(known) for folder, known in record.durable.items()}
    for change in _kept(record.pending, random):
        change.apply(names)
    return names


def _kept(pending: list[Change], random: Random) -> list[Change]:
    way = random.choice(("none", "all", "first", "any", "any"))
    if way == "any":
        return [change for change in pending if random.random() < 0.5]
    return pending[: {"none": 0, "all": len(pending), "first": random.randint(0, len(pending))}[way]]


class _Writer:
    """Writes an image. One in five has all contents as they are, or as they were synced."""

    def __init__(self, names: Names, random: Random) -> None:
        self.names, self.random = names, random
        self.way = random.choice(("now", "synced", *("random",) * 8))
        self.written: dict[Node, Path] = {}

    def folder(self, folder: Folder, target: Path) -> None:
        """Write a folder and all below it."""
        target.mkdir(parents=True)
        for name, node in entries(self.names, folder):
            if isinstance(node, Folder):
                self.folder(node, target / name)
            else:
                self.leaf(node, target / name)

    def leaf(self, node: Node, target: Path) -> None:
        """Write a file, which may have several names, or a link."""
        if isinstance(node, Link):
            target.symlink_to(node.target)
        elif node in self.written:
            os.link(self.written[node], target)
        elif isinstance(node, File):
            target.write_bytes(remains(node, self.random, self.way))
            self.written[node] = target


def remains(file: File, random: Random, way: str = "random") -> bytes:
    """What may be left of a file: what was synced, and any of ``WAYS`` for the rest."""
    now = file.now()
    if now == file.synced and file.floor >= len(now):
        return now
    if way == "random":
        way = random.choice(WAYS)
    whole = {"now": now, "synced": file.synced}
    return whole[way] if way in whole else _torn(file, now, random, way)


WAYS = ("synced", "now", "shortened", "sectors", "sectors", "zeroed", "emptied")


def _torn(file: File, now: bytes, random: Random, way: str) -> bytes:
    """Content between the synced one and ``now``; bytes that were synced and not written since stay."""
    kept = min(len(file.synced), len(now), file.floor)
    longest = max(len(file.synced), len(now))
    old = _padded(file.synced, longest)
    new = _padded(now + file.synced[len(now) :], longest)
    place = np.arange(longest)
    written = (old != new) | ((place >= kept) & (place < len(now)))  # to shorten a file writes nothing behind its end
    zero = np.where(written, np.uint8(0), old)
    sectors = -(-longest // SECTOR)
    choices = {"shortened": [1], "sectors": [0, 1, 2], "zeroed": [2], "emptied": [0]}[way]
    chosen = np.array([random.choice(choices) for _ in range(sectors)], np.int64).repeat(SECTOR)[:longest]
    torn = np.choose(chosen, [old, new, zero]).astype(np.uint8).tobytes()
    between = random.randint(kept, len(now))  # a file is shortened at once, and grows bit by bit
    sizes = {"shortened": [between], "zeroed": [len(now)], "emptied": [kept]}
    return torn[: random.choice(sizes.get(way, [len(file.synced), len(now), between]))]


def _padded(content: bytes, size: int) -> NDArray[np.uint8]:
    return np.frombuffer(content.ljust(size, b"\0"), np.uint8)
