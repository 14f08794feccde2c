"""Where are the documents themselves kept? An Arrow file per segment, read in place by row.

A row of the file is a block of documents: their ids as they are, their titles and texts compressed. Files of the first
version have a row for each document instead, nothing compressed, and are read as well.
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
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.index.storage.blocks import MOST, SIZE, Block, Pair, RecentBlocks, Texts, pack, unpack
from lsr.index.storage.faults import unreadable

SCHEMA = pa.schema(
    [("ids", pa.list_(pa.string())), ("size", pa.uint32()), ("checksum", pa.uint32()), ("texts", pa.large_binary())]
)
FIRST_SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])
BLOCKS, BYTES = 256, 2**22  # of one batch of the file, compressed
CHECKSUM = b"ids.crc32"  # metadata of a batch
DAMAGE = (ValueError, IndexError, TypeError, MemoryError, pa.ArrowException)  # what damaged bytes make readers raise


class DocumentWriter:
    """Appends documents to one Arrow file; memory holds one batch of compressed blocks."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)
        self._ids: list[list[bytes]] = []
        self._blocks: list[Block] = []
        self._start()

    def append(self, documents: Sequence[Document]) -> None:
        """Add some documents."""
        for name, title, text in [(d.id.encode(), d.title.encode(), d.text.encode()) for d in documents]:
            self._names.append(name)
            self._pairs.append((title, text))
            self._size += len(title) + len(text)
            if self._size >= SIZE or len(self._pairs) == MOST:
                self._pack()

    def close(self) -> None:
        """Finish the file; it is closed in any case."""
        with self._file:
            if self._pairs:
                self._pack()
            if self._blocks:
                self._write()
            self._writer.close()

    def _start(self) -> None:
        self._names: list[bytes] = []
        self._pairs: list[tuple[bytes, bytes]] = []
        self._size = 0

    def _pack(self) -> None:
        self._blocks.append(pack(self._pairs))
        self._ids.append(self._names)
        self._start()
        if len(self._blocks) == BLOCKS or sum(len(block.content) for block in self._blocks) >= BYTES:
            self._write()

    def _write(self) -> None:
        _, sizes, checksums, contents = zip(*self._blocks, strict=True)
        columns = zip((sizes, checksums, contents), SCHEMA.types[1:], strict=True)
        arrays = [pa.array(column, kind) for column, kind in columns]
        batch = pa.record_batch([_lists(self._ids), *arrays], schema=SCHEMA)
        self._writer.write_batch(batch, {CHECKSUM: str(_checksum(batch.column(0))).encode()})
        self._ids, self._blocks = [], []

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

    def __init__(self, batch: pa.RecordBatch, checksum: bytes, recent: RecentBlocks, number: int) -> None:
        batch.validate()
        if any(column.null_count or column.offset for column in batch.columns):
            raise ValueError("blocks that are missing")
        self._lists, sizes, checksums, texts = batch.columns
        self._checksum, self._recent, self._number = checksum, recent, number
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
        return self._block(block)[at - self._starts[block]]

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

    def _block(self, at: int) -> Texts:
        key = (self._number, at)
        texts = self._recent.get(key)
        if texts is None:
            texts = self._unpacked(at)
            self._recent.put(key, texts)
        return texts

    def _unpacked(self, at: int) -> Texts:
        content = self._contents[self._ends[at] : self._ends[at + 1]]
        count = self._starts[at + 1] - self._starts[at]
        return unpack(Block(count, self._sizes[at], self._checksums[at], content))


def _parts(reader: pa.RecordBatchFileReader) -> list[_Part]:
    """The batches of a file, of this version or the first.

    Raises:
        ValueError: another file.
    """
    if reader.schema == FIRST_SCHEMA:
        return [_PlainBatch(reader.get_batch(at)) for at in range(reader.num_record_batches)]
    if reader.schema != SCHEMA:
        raise ValueError(f"columns {reader.schema.names}")
    recent, parts = RecentBlocks(), list[_Part]()
    for at in range(reader.num_record_batches):
        batch, metadata = reader.get_batch_with_custom_metadata(at)
        parts.append(_BlockBatch(batch, (metadata or {}).get(CHECKSUM, b""), recent, at))
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
