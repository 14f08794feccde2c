"""How are texts kept small and still found fast? In small blocks, compressed over one dictionary, with checksums."""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import zstandard

SIZE, MOST = 4096, 256  # bytes of text, and documents, after which a block is closed
KEPT, LARGEST_KEPT = 128, 16 * SIZE  # blocks that are kept unpacked, and bytes of the largest of them
LEVEL = 3
SAMPLE, LONGEST = 2**20, 8192  # bytes of the first texts, and of one of them, that a dictionary is made of
LEAST, LARGEST, SHARE = 8192, 65536, 8  # bytes of a dictionary, and how many times as long its sample is
COVER = {"d": 8, "k": 200}  # lengths that the trainer looks for; without them it tries many
Pair = tuple[str, str]
RawPair = tuple[bytes, bytes]


class Block(NamedTuple):
    """Titles and texts of some documents, compressed.

    Attributes:
        documents: how many; none for a dictionary.
        size: bytes when unpacked.
        checksum: CRC-32 of the dictionary and all the others, looked at before ``size`` is believed.
        content: zstd of 2 * ``documents`` lengths (uint32) and, one after the other, titles and texts in UTF-8.
    """

    documents: int
    size: int
    checksum: int
    content: bytes | memoryview


class Texts:
    """Titles and texts of one block, unpacked."""

    def __init__(self, plain: bytes, count: int) -> None:
        self.size = len(plain)
        self._plain, self._lengths = plain, memoryview(plain)[: 8 * count].cast("I")

    def __getitem__(self, at: int) -> Pair:
        start = 4 * len(self._lengths) + sum(self._lengths[: 2 * at])
        middle = start + self._lengths[2 * at]
        end = middle + self._lengths[2 * at + 1]
        return str(self._plain[start:middle], "utf-8"), str(self._plain[middle:end], "utf-8")

    def __iter__(self) -> Iterator[Pair]:
        ends = accumulate(self._lengths, initial=4 * len(self._lengths))
        each = (str(self._plain[start:end], "utf-8") for start, end in pairwise(ends))
        return zip(each, each, strict=True)


class Packer:
    """Makes blocks over a dictionary, which may be empty; for one thread."""

    def __init__(self, dictionary: bytes = b"") -> None:
        known = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        if known:
            known.precompute_compress(LEVEL)
        self._context = zstandard.ZstdCompressor(LEVEL, dict_data=known, write_dict_id=False)
        self._seed = zlib.crc32(dictionary)

    def pack(self, pairs: Sequence[RawPair]) -> Block:
        """Titles and texts in UTF-8 as a block."""
        parts = list(chain.from_iterable(pairs))
        return self._block(len(pairs), array("I", map(len, parts)).tobytes() + b"".join(parts))

    def pack_dictionary(self, dictionary: bytes) -> Block:
        """A dictionary as a block."""
        return self._block(0, dictionary)

    def _block(self, count: int, plain: bytes) -> Block:
        content = self._context.compress(plain)
        return Block(count, len(plain), _checksum(count, len(plain), content, self._seed), content)


class Unpacker:
    """Reads blocks over the dictionary in a block, if there is one; any number of threads may ask."""

    def __init__(self, dictionary: Block | None = None) -> None:
        self._block = dictionary
        self._contexts: list[zstandard.ZstdDecompressor] = []  # those that no thread is using

    def unpack(self, block: Block) -> Texts:
        """What was packed.

        Raises:
            ValueError: damage.
        """
        return Texts(self._plain(block), block.documents)

    @cached_property
    def _dictionary(self) -> tuple[zstandard.ZstdCompressionDict | None, int]:
        """What contexts need, and the CRC-32."""
        if self._block is None:
            return None, 0
        content = Unpacker()._plain(self._block)
        return zstandard.ZstdCompressionDict(content), zlib.crc32(content)

    def _plain(self, block: Block) -> bytes:
        count, size, checksum, content = block
        dictionary, seed = self._dictionary
        if checksum != _checksum(count, size, content, seed):
            raise ValueError("the checksum of a block of texts differs")
        try:
            context = self._contexts.pop()
        except IndexError:
            context = zstandard.ZstdDecompressor(dictionary)
        plain = context.decompress(content, size)
        self._contexts.append(context)
        return plain


class RecentBlocks:
    """Blocks that were read lately, unpacked, one a remainder of their numbers; any number of threads may ask."""

    def __init__(self) -> None:
        self._slots: list[tuple[int, Texts] | None] = [None] * KEPT

    def get(self, number: int) -> Texts | None:
        """The block of that number, if it is still here."""
        found = self._slots[number % KEPT]
        return found[1] if found is not None and found[0] == number else None

    def put(self, number: int, texts: Texts) -> None:
        """Keep a block, unless it is large, in place of another one."""
        if texts.size <= LARGEST_KEPT:
            self._slots[number % KEPT] = number, texts


def trained(pairs: Sequence[RawPair]) -> bytes:
    """A dictionary for texts like these, in UTF-8; empty where they are too few for one to pay."""
    sample: list[Any] = [(title + text)[:LONGEST] for title, text in pairs]
    size = min(LARGEST, sum(map(len, sample)) // SHARE)
    if size < LEAST:
        return b""
    try:
        return zstandard.train_dictionary(size, sample, **COVER).as_bytes()
    except zstandard.ZstdError:  # a few long texts, or the same one over and over
        return b""


def _checksum(count: int, size: int, content: bytes | memoryview, seed: int) -> int:
    return zlib.crc32(b"%d %d" % (count, size), zlib.crc32(content, seed))
