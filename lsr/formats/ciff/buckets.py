"""How is a matrix turned that does not fit into memory? Its entries wait on disk in buckets, each sorted by itself."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

BUCKETS = 64
WAITING = 2**20  # entries kept in memory before they go to disk: many small writes take longer than the sorting
ENTRY = np.dtype([("major", "<u4"), ("minor", "<u4"), ("value", "<f4")])


class Entries(NamedTuple):
    """Entries by rising major, then minor number: int64, int64, float32."""

    major: NDArray[np.int64]
    minor: NDArray[np.int64]
    value: NDArray[np.float32]


class Buckets:
    """Entries (major, minor, value) given in any order, 12 bytes each on disk; a context manager.

    Args:
        folder: for the files; they are removed at the end.
        span: numbers that follow each other and share a bucket; majors below ``64 * span`` come back in order.
    """

    def __init__(self, folder: Path, span: int = 1) -> None:
        self._paths = [folder / f".bucket-{i:02d}" for i in range(BUCKETS)]
        self._files: dict[int, IO[bytes]] = {}
        self._span = max(1, span)
        self._waiting: list[NDArray[Any]] = []
        self._count = 0

    def add(self, major: NDArray[Any], minor: NDArray[Any], value: NDArray[Any]) -> None:
        """Put entries aside. All three are [N], whole numbers and weights."""
        entries = np.empty(major.size, ENTRY)
        entries["major"], entries["minor"], entries["value"] = major, minor, value
        self._waiting.append(entries)
        self._count += entries.size
        if self._count >= WAITING:
            self._write()

    def _write(self) -> None:
        entries = np.concatenate([np.zeros(0, ENTRY), *self._waiting])
        self._waiting, self._count = [], 0
        bucket = (entries["major"] // np.uint32(self._span)) % BUCKETS
        order = np.argsort(bucket, kind="stable")
        borders = np.searchsorted(bucket[order], np.arange(BUCKETS + 1))
        for i in np.flatnonzero(np.diff(borders)).tolist():
            if i not in self._files:
                self._files[i] = self._paths[i].open("wb")
            entries[order[borders[i] : borders[i + 1]]].tofile(self._files[i])

    def sorted(self, i: int) -> Entries:
        """The entries of bucket ``i``."""
        if self._waiting:
            self._write()
        if i not in self._files:
            return Entries(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32))
        self._files[i].flush()
        entries = np.fromfile(self._paths[i], ENTRY)
        order = np.lexsort((entries["minor"], entries["major"]))
        entries = entries[order]
        return Entries(entries["major"].astype(np.int64), entries["minor"].astype(np.int64), entries["value"].copy())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        for i, file in self._files.items():
            file.close()
            self._paths[i].unlink()
