"""Where are the documents themselves kept? An Arrow file per segment, read in place by row."""

from __future__ import annotations

import mmap
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa

from lsr.corpus import Document
from lsr.index.storage.manifest import unreadable

SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])


class DocumentWriter:
    """Appends documents to one Arrow file; memory holds one batch."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)

    def append(self, documents: Sequence[Document]) -> None:
        """Write one batch."""
        columns = [[document[i] for document in documents] for i in range(len(SCHEMA))]
        self._writer.write_batch(pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=SCHEMA))

    def close(self) -> None:
        """Finish the file; it is closed in any case."""
        with self._file:
            self._writer.close()

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class DocumentStore:
    """Documents of one segment by row, read from a memory map.

    Raises:
        StorageError: not a whole Arrow file of documents, or no permission to read it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            reader = pa.ipc.open_file(pa.BufferReader(memory))
            if reader.schema != SCHEMA:
                raise ValueError(f"columns {reader.schema.names}")
            batches = [reader.get_batch(i) for i in range(reader.num_record_batches)]
            self._columns = [[_Texts(column) for column in batch.columns] for batch in batches]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise unreadable(path, error) from None
        self._batches, self._ends = batches, list(accumulate(batch.num_rows for batch in batches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> Document:
        columns, within = self._locate(row)
        try:
            name, title, text = (column[within] for column in columns)
            return Document(name, title, text)
        except UnicodeDecodeError as error:
            raise unreadable(self._path, error) from None

    def id(self, row: int) -> str:
        """The id of the document at ``row``."""
        columns, within = self._locate(row)
        try:
            return columns[0][within]
        except UnicodeDecodeError as error:
            raise unreadable(self._path, error) from None

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are here."""
        import pyarrow.compute as pc  # takes long to import

        wanted = pa.array(list(ids), pa.string())
        found = (batch.column(0).filter(pc.is_in(batch.column(0), wanted)) for batch in self._batches)
        return {name for names in found for name in names.to_pylist()}

    def _locate(self, row: int) -> tuple[list[_Texts], int]:
        at = bisect_right(self._ends, row)
        return self._columns[at], row - (self._ends[at - 1] if at else 0)


class _Texts:
    """One column of a batch, cut out of its memory without Arrow's objects, which take ten times as long.

    Raises:
        ValueError: a text outside of the memory: Arrow follows offsets without a look.
    """

    def __init__(self, column: pa.Array) -> None:
        column.validate()
        _, offsets, texts = column.buffers()
        self._offsets = memoryview(offsets or b"").cast("i")[column.offset :][: len(column) + 1]
        self._bytes = memoryview(texts or b"")
        if column.null_count or (len(column) and not 0 <= self._offsets[0] <= self._offsets[-1] <= len(self._bytes)):
            raise ValueError("texts outside of their column")
        if (np.diff(self._offsets) < 0).any():
            raise ValueError("texts that end before they begin")

    def __getitem__(self, row: int) -> str:
        return str(self._bytes[self._offsets[row] : self._offsets[row + 1]], "utf-8")
