"""Where are the documents themselves kept? An Arrow file per segment, read in place by row.

A row of the file is a block of documents: their ids as they are, their titles and texts compressed. A block of no
documents comes first where the others need a dictionary, in a batch of its own. Files of the first version have a row
for each document instead, nothing compressed, and are read as well.
"""

from __future__ import annotations

import mmap
import zlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from pathlib import Path
from types import TracebackType
from typing import Protocol

import numpy as np
import pyarrow as pa
import zstandard
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.index.storage.blocks import (
    MOST,
    SAMPLE,
    SIZE,
    Block,
    Packer,
    Pair,
    RawPair,
    RecentBlocks,
    Texts,
    Unpacker,
    trained,
)
from lsr.index.storage.faults import unreadable

SCHEMA = pa.schema(
    [("ids", pa.list_(pa.string())), ("size", pa.uint32()), ("checksum", pa.uint32()), ("texts", pa.large_binary())]
)
FIRST_SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])
BLOCKS, BYTES = 1024, 2**22  # of one batch of the file, compressed
CHECKSUM = b"ids.crc32"  # metadata of a batch
DAMAGE = (ValueError, IndexError, TypeError, MemoryError, pa.ArrowException, zstandard.ZstdError)  # of damaged bytes


class DocumentWriter:
    """Appends documents to one Arrow file; memory holds what a dictionary is made of, or one batch of blocks."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)
        self._packer: Packer | None = None
        self._waiting: list[list[RawPair]] = []  # for the dictionary
        self._ids: list[list[bytes]] = []
        self._blocks: list[Block] = []
        self._bytes = 0  # of what waits, or of blocks
        self._start()

    def append(self, documents: Sequence[Document]) -> None:
        """Add some documents."""
        for name, title, text in [(d.id.encode(), d.title.encode(), d.text.encode()) for d in documents]:
            self._names.append(name)
            self._pairs.append((title, text))
            self._size += len(title) + len(text)
            if self._size >= SIZE or len(self._pairs) == MOST:
                self._end_block()

    def close(self) -> None:
        """Finish the file; it is closed in any case."""
        with self._file:
            if self._pairs:
                self._end_block()
            if self._packer is None:
                self._train()
            if self._blocks:
                self._write()
            self._writer.close()

    def _start(self) -> None:
        self._names: list[bytes] = []
        self._pairs: list[RawPair] = []
        self._size = 0

    def _end_block(self) -> None:
        self._ids.append(self._names)
        if self._packer:
            self._pack(self._packer, self._pairs)
        else:
            self._waiting.append(self._pairs)
            self._bytes += self._size
            if self._bytes >= SAMPLE:
                self._train()
        self._start()

    def _train(self) -> None:
        """Make the dictionary of what waits, and blocks."""
        dictionary = trained([pair for pairs in self._waiting for pair in pairs])
        if dictionary:
            self._write_batch([[]], [Packer().pack_dictionary(dictionary)])
        self._packer, self._bytes = Packer(dictionary), 0
        for pairs in self._waiting:
            self._pack(self._packer, pairs)
        self._waiting = []

    def _pack(self, packer: Packer, pairs: Sequence[RawPair]) -> None:
        self._blocks.append(packer.pack(pairs))
        self._bytes += len(self._blocks[-1].content)
        if len(self._blocks) == BLOCKS or self._bytes >= BYTES:
            self._write()

    def _write(self) -> None:
        count = len(self._blocks)
        self._write_batch(self._ids[:count], self._blocks)
        self._ids, self._blocks, self._bytes = self._ids[count:], [], 0

    def _write_batch(self, ids: Sequence[Sequence[bytes]], blocks: Sequence[Block]) -> None:
        _, sizes, checksums, contents = zip(*blocks, strict=True)
        columns = zip((sizes, checksums, contents), SCHEMA.types[1:], strict=True)
        arrays = [pa.array(column, kind) for column, kind in columns]
        batch = pa.record_batch([_lists(ids), *arrays], schema=SCHEMA)
        self._writer.write_batch(batch, {CHECKSUM: str(_checksum(batch.column(0))).encode()})

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class DocumentStore:
    """Documents of one segment by row, read from a memory map; any number of threads may read.

    Raises:
        StorageError: not a whole Arrow file of documents, or no permission to read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self._parts = _parts(pa.ipc.open_file(pa.BufferReader(memory)))
        except (OSError, *DAMAGE) as error:
            raise unreadable(path, error) from None
        self._ends = list(accumulate(map(len, self._parts)))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> Document:
        part, within = self._locate(row)
        try:
            return Document(part.ids[within], *part.pair(within))
        except DAMAGE as error:
            raise unreadable(self._path, error) from None

    def id(self, row: int) -> str:
        """The id of the document at ``row``; nothing is decompressed."""
        part, within = self._locate(row)
        try:
            return part.ids[within]
        except DAMAGE as error:
            raise unreadable(self._path, error) from None

    def ids(self) -> list[str]:
        """All ids, in order of rows.

        Raises:
            StorageError: damage.
        """
        try:
            return [name for part in self._parts for name in part.ids]
        except DAMAGE as error:
            raise unreadable(self._path, error) from None

    def documents(self, rows: NDArray[np.int64]) -> Iterator[Document]:
        """The documents at ``rows``, int64[m], in that order; of rows that rise, each block is decompressed once.

        Raises:
            InputError: a row that is none.
            StorageError: damage.
        """
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise InputError(f"rows {rows.min()} to {rows.max()}: wanted 0 to {len(self) - 1:,}")
        at = np.searchsorted(self._ends, rows, side="right")
        starts = np.array([0, *self._ends])
        try:
            for part, own in _runs(at, rows):
                yield from self._parts[part].documents((own - starts[part]).tolist())
        except DAMAGE as error:
            raise unreadable(self._path, error) from None

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are here.

        Raises:
            StorageError: damage.
        """
        import pyarrow.compute as pc  # takes long to import

        wanted = pa.array(list(ids), pa.string())
        try:
            found = [part.ids.array.filter(pc.is_in(part.ids.array, wanted)) for part in self._parts]
            return {name for names in found for name in names.to_pylist()}
        except DAMAGE as error:
            raise unreadable(self._path, error) from None

    def _locate(self, row: int) -> tuple[_Part, int]:
        at = bisect_right(self._ends, row)
        return self._parts[at], row - (self._ends[at - 1] if at else 0)


class _Part(Protocol):
    """The documents of one batch, by their place in it."""

    def __len__(self) -> int: ...

    @property
    def ids(self) -> _Strings: ...

    def pair(self, at: int) -> Pair: ...

    def documents(self, places: list[int]) -> Iterator[Document]: ...


class _Strings:
    """One column of texts, cut out of its memory without Arrow's objects, which take ten times as long.

    Raises:
        ValueError: a text outside of the memory: Arrow follows offsets without a look.
    """

    def __init__(self, column: pa.Array) -> None:
        column.validate()
        _, offsets, texts = column.buffers()
        self.array = column
        self._offsets = memoryview(offsets or b"").cast("i")[column.offset :][: len(column) + 1]
        self._bytes = memoryview(texts or b"")
        if column.null_count or (len(column) and not 0 <= self._offsets[0] <= self._offsets[-1] <= len(self._bytes)):
            raise ValueError("texts outside of their column")
        if (np.diff(self._offsets) < 0).any():
            raise ValueError("texts that end before they begin")

    def __getitem__(self, row: int) -> str:
        return str(self._bytes[self._offsets[row] : self._offsets[row + 1]], "utf-8")

    def __iter__(self) -> Iterator[str]:
        offsets = self._offsets.tolist()
        whole = bytes(self._bytes[: offsets[-1]]) if offsets else b""
        if whole.isascii():
            text = whole.decode("ascii")
            return iter([text[start:end] for start, end in pairwise(offsets)])
        return iter([whole[start:end].decode() for start, end in pairwise(offsets)])


class _PlainBatch:
    """Documents of a file of the first version."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.ids, self._titles, self._texts = map(_Strings, batch.columns)
        self._rows: int = batch.num_rows

    def __len__(self) -> int:
        return self._rows

    def pair(self, at: int) -> Pair:
        return self._titles[at], self._texts[at]

    def documents(self, places: list[int]) -> Iterator[Document]:
        return (Document(self.ids[at], *self.pair(at)) for at in places)


class _BlockBatch:
    """Documents in compressed blocks; what a checksum vouches for is looked at when it is first needed."""

    def __init__(
        self, batch: pa.RecordBatch, checksum: bytes, unpacker: Unpacker, recent: RecentBlocks, first: int
    ) -> None:
        batch.validate()
        if any(column.null_count or column.offset for column in batch.columns):
            raise ValueError("blocks that are missing")
        self._lists, sizes, checksums, texts = batch.columns
        self._checksum, self._unpacker, self._recent, self._first = checksum, unpacker, recent, first
        self._documents: int = len(self._lists.values)
        self._sizes, self._checksums = (memoryview(column.buffers()[1]).cast("I") for column in (sizes, checksums))
        self._ends, self._contents = memoryview(texts.buffers()[1]).cast("q"), memoryview(texts.buffers()[2] or b"")

    def __len__(self) -> int:
        return self._documents

    @cached_property
    def ids(self) -> _Strings:
        if str(_checksum(self._lists)).encode() != self._checksum:
            raise ValueError("the checksum of the ids differs")
        return _Strings(self._lists.values)

    @cached_property
    def _starts(self) -> list[int]:
        """The place of the first document of each block, and one more."""
        _ = self.ids  # their checksum is that of these numbers too
        starts: list[int] = self._lists.offsets.to_numpy().tolist()
        if starts[0] != 0 or starts[-1] != len(self):
            raise ValueError("blocks of other documents")
        return starts

    def pair(self, at: int) -> Pair:
        block = bisect_right(self._starts, at) - 1
        texts = self._recent.get(number := self._first + block)
        if texts is None:
            texts = self._unpacked(block)
            self._recent.put(number, texts)
        return texts[at - self._starts[block]]

    def documents(self, places: list[int]) -> Iterator[Document]:
        starts, ids, done = self._starts, self.ids, 0
        while done < len(places):
            block = bisect_right(starts, places[done]) - 1
            start, stop, first = starts[block], starts[block + 1], done
            while done < len(places) and start <= places[done] < stop:
                done += 1
            own, texts = places[first:done], self._unpacked(block)
            pairs = list(texts) if len(own) > 1 else {own[0] - start: texts[own[0] - start]}
            yield from [Document(ids[at], *pairs[at - start]) for at in own]

    def block(self, at: int) -> Block:
        """The block at a place of the batch, as it is on the disk."""
        content = self._contents[self._ends[at] : self._ends[at + 1]]
        return Block(self._starts[at + 1] - self._starts[at], self._sizes[at], self._checksums[at], content)

    def _unpacked(self, at: int) -> Texts:
        return self._unpacker.unpack(self.block(at))


def _parts(reader: pa.RecordBatchFileReader) -> list[_Part]:
    """The batches of a file, of this version or the first.

    Raises:
        ValueError: another file.
    """
    if reader.schema == FIRST_SCHEMA:
        return [_PlainBatch(reader.get_batch(at)) for at in range(reader.num_record_batches)]
    if reader.schema != SCHEMA:
        raise ValueError(f"columns {reader.schema.names}")
    unpacker, recent, parts, first = Unpacker(), RecentBlocks(), list[_Part](), 0
    for at in range(reader.num_record_batches):
        batch, metadata = reader.get_batch_with_custom_metadata(at)
        part = _BlockBatch(batch, (metadata or {}).get(CHECKSUM, b""), unpacker, recent, first)
        if at == 0 and batch.num_rows == 1 and not len(part):
            unpacker = Unpacker(part.block(0))
        else:
            parts.append(part)
            first += batch.num_rows
    return parts


def _lists(lists: Sequence[Sequence[bytes]]) -> pa.Array:
    """Lists of texts in UTF-8 as an Arrow array."""
    ends = np.zeros(len(lists) + 1, np.int32)
    np.cumsum([len(own) for own in lists], out=ends[1:])
    names = pa.array([name for own in lists for name in own], pa.string())
    return pa.ListArray.from_arrays(pa.array(ends), names)


def _checksum(lists: pa.Array) -> int:
    """CRC-32 of lists of texts: of their numbers, the texts' offsets, and the texts."""
    names = lists.values
    _, offsets, texts = names.buffers()
    ends = memoryview(offsets or b"").cast("i")[: len(names) + 1]
    checksum = zlib.crc32(memoryview(lists.buffers()[1]).cast("i")[: len(lists) + 1])
    checksum = zlib.crc32(ends, checksum)
    return zlib.crc32(memoryview(texts or b"")[: max(0, ends[-1])] if len(ends) else b"", checksum)


def _runs(keys: NDArray[np.int64], values: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Values whose keys are equal and that stand together, with their key."""
    borders = np.flatnonzero(np.diff(keys)) + 1
    for own, part in zip(np.split(keys, borders), np.split(values, borders), strict=True):
        if own.size:
            yield int(own[0]), part
