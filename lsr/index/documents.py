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
from lsr.index.manifest import unreadable

SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])


class DocumentWriter:
    """Appends documents to one Arrow file; memory holds one batch."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)

    def append(self, documents: Sequence[Document]) -> None:
        """Write one batch."""
        columns = zip(*documents, strict=True) if documents else ((), (), ())
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
            self._batches = [_checked(reader.get_batch(i)) for i in range(reader.num_record_batches)]
        except (OSError, ValueError, pa.ArrowException) as error:
            raise unreadable(path, error) from None
        self._ends = list(accumulate(batch.num_rows for batch in self._batches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> Document:
        batch, within = self._locate(row)
        return Document(*(self._text(batch, i, within) for i in range(len(SCHEMA))))

    def id(self, row: int) -> str:
        """The id of the document at ``row``."""
        batch, within = self._locate(row)
        return self._text(batch, 0, within)

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are here."""
        import pyarrow.compute as pc  # takes long to import

        wanted = pa.array(list(ids), pa.string())
        found = (batch.column(0).filter(pc.is_in(batch.column(0), wanted)) for batch in self._batches)
        return {name for names in found for name in names.to_pylist()}

    def _text(self, batch: pa.RecordBatch, column: int, within: int) -> str:
        try:
            return str(batch.column(column)[within].as_py())
        except UnicodeDecodeError as error:
            raise unreadable(self._path, error) from None

    def _locate(self, row: int) -> tuple[pa.RecordBatch, int]:
        at = bisect_right(self._ends, row)
        return self._batches[at], row - (self._ends[at - 1] if at else 0)


def _checked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """``batch``, if every text lies inside its memory: Arrow follows offsets without a look.

    Raises:
        ValueError: an offset points elsewhere.
    """
    batch.validate()
    for column in batch.columns:
        _, borders, texts = column.buffers()
        offsets = np.frombuffer(borders or b"", np.int32)[column.offset : column.offset + len(column) + 1]
        size = 0 if texts is None else texts.size
        if column.null_count or (len(column) and not (offsets[0] >= 0 and offsets[-1] <= size)):
            raise ValueError("texts outside of their column")
        if (offsets[1:] < offsets[:-1]).any():
            raise ValueError("texts that end before they begin")
    return batch
