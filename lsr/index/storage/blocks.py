"""How are texts kept small and still found fast? In blocks of about 8 kB, each compressed, with a checksum."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from itertools import accumulate, chain, pairwise
from threading import Lock
from typing import NamedTuple

import numpy as np
import pyarrow as pa

SIZE, MOST = 8192, 256  # bytes of text, and documents, after which a block is closed
KEPT, LARGEST_KEPT = 64, 8 * SIZE  # blocks that are kept unpacked, and bytes of the largest of them
CODEC = pa.Codec("zstd", compression_level=3)
Pair = tuple[str, str]


class Block(NamedTuple):
    """Titles and texts of some documents, compressed.

    Attributes:
        documents: how many.
        size: bytes when unpacked.
        checksum: CRC-32 of all the others, looked at before ``size`` is believed.
        content: zstd of 2 * ``documents`` lengths (uint32) and, one after the other, titles and texts in UTF-8.
    """

    documents: int
    size: int
    checksum: int
    content: bytes | memoryview


class Texts:
    """Titles and texts of one block, unpacked."""

    def __init__(self, plain: bytes, count: int) -> None:
        self._lengths, self._texts = memoryview(plain)[: 8 * count].cast("I"), memoryview(plain)[8 * count :]
        self.size = len(plain)

    def __getitem__(self, at: int) -> Pair:
        start = sum(self._lengths[: 2 * at])
        middle = start + self._lengths[2 * at]
        end = middle + self._lengths[2 * at + 1]
        return str(self._texts[start:middle], "utf-8"), str(self._texts[middle:end], "utf-8")

    def __iter__(self) -> Iterator[Pair]:
        ends = list(accumulate(self._lengths, initial=0))
        each = (str(self._texts[start:end], "utf-8") for start, end in pairwise(ends))
        return zip(each, each, strict=True)


def pack(pairs: Sequence[tuple[bytes, bytes]]) -> Block:
    """Titles and texts in UTF-8 as a block."""
    parts = list(chain.from_iterable(pairs))
    plain = np.array([len(part) for part in parts], "<u4").tobytes() + b"".join(parts)
    content = CODEC.compress(plain, asbytes=True)
    return Block(len(pairs), len(plain), _checksum(len(pairs), len(plain), content), content)


def unpack(block: Block) -> Texts:
    """What `pack` was given.

    Raises:
        ValueError: damage.
    """
    count, size, checksum, content = block
    if checksum != _checksum(count, size, content):
        raise ValueError("the checksum of a block of texts differs")
    return Texts(CODEC.decompress(content, size, asbytes=True), count)


class RecentBlocks:
    """The blocks that were read last, unpacked; any number of threads may ask."""

    def __init__(self) -> None:
        self._blocks: dict[tuple[int, int], Texts] = {}
        self._lock = Lock()

    def get(self, key: tuple[int, int]) -> Texts | None:
        """The block of ``key``, if it is still here."""
        with self._lock:
            found = self._blocks.pop(key, None)
            if found is not None:
                self._blocks[key] = found  # the last one again
        return found

    def put(self, key: tuple[int, int], texts: Texts) -> None:
        """Keep a block, unless it is large; the one that was not asked for longest goes."""
        if texts.size > LARGEST_KEPT:
            return
        with self._lock:
            self._blocks[key] = texts
            if len(self._blocks) > KEPT:
                del self._blocks[next(iter(self._blocks))]


def _checksum(count: int, size: int, content: bytes | memoryview) -> int:
    return zlib.crc32(b"%d %d" % (count, size), zlib.crc32(content))
