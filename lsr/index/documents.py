"""Where are the documents themselves kept? An Arrow file per segment, read in place by row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from lsr.corpus import Document
from lsr.errors import StorageError

SCHEMA = pa.schema([("id", pa.string()), ("title", pa.string()), ("text", pa.string())])


class DocumentWriter:
    """Appends documents to one Arrow file; memory holds one batch."""

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path), "wb")
        self._writer = pa.ipc.new_file(self._file, SCHEMA)

    def append(self, documents: Sequence[Document]) -> None:
        """Write one batch."""
        columns = zip(*documents, strict=True) if documents else ((), (), ())
        self._writer.write_batch(pa.record_batch([pa.array(c, pa.string()) for c in columns], schema=SCHEMA))

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()
        self._file.close()

    def __enter__(self) -> DocumentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class DocumentStore:
    """Documents of one segment by row, read from a memory map.

    Raises:
        StorageError: not a whole Arrow file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(str(path)))
            batches = [self._reader.get_batch(i) for i in range(self._reader.num_record_batches)]
        except (OSError, pa.ArrowException) as error:
            raise StorageError(f"{path} is damaged ({error}): index the documents again") from None
        self._batches = batches
        self._ends = list(accumulate(batch.num_rows for batch in batches))

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __getitem__(self, row: int) -> Document:
        batch, within = self._locate(row)
        return Document(*(batch.column(i)[within].as_py() for i in range(3)))

    def id(self, row: int) -> str:
        """The id of the document at ``row``."""
        batch, within = self._locate(row)
        return str(batch.column(0)[within])

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are here."""
        import pyarrow.compute as pc  # takes long to import

        wanted = pa.array(list(ids), pa.string())
        found = (batch.column(0).filter(pc.is_in(batch.column(0), wanted)) for batch in self._batches)
        return {name for names in found for name in names.to_pylist()}

    def _locate(self, row: int) -> tuple[pa.RecordBatch, int]:
        at = bisect_right(self._ends, row)
        return self._batches[at], row - (self._ends[at - 1] if at else 0)
