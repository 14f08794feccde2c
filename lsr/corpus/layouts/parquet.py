"""How is a Parquet file read? In batches, and whatever is wrong with it is an `InputError` that names the row."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from lsr.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


@contextmanager
def open_parquet(path: Path, stream: IO[bytes] | None = None) -> Iterator[pq.ParquetFile]:
    """An open Parquet file; what pyarrow raises while it is open becomes an `InputError`.

    Args:
        path: of the file, also for messages.
        stream: its bytes where they are open already.

    Raises:
        InputError: not Parquet, or damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(stream or path) as file:
            yield file
    except (pa.ArrowException, OSError, EOFError, UnicodeError, zlib.error) as error:
        raise InputError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None


def batches(
    path: Path, file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None, first: int = 0
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of the first row, batch) of at most ``rows`` rows each, every text in them UTF-8.

    Args:
        path: of the file, for messages.
        file: open.
        rows: of a batch.
        columns: to read; None reads all.
        first: number of the file's first row.

    Raises:
        InputError: a damaged page, or a text that is not UTF-8.
    """
    for batch in file.iter_batches(rows, columns=None if columns is None else list(columns)):
        _each(path, batch, first, lambda part: part.validate(full=True))
        yield first, batch
        first += batch.num_rows


def records(
    path: Path, file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None, first: int = 0
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the row, row) of a file, as `batches` reads it.

    Raises:
        InputError: as `batches`, and a value that Python cannot hold.
    """
    for at, batch in batches(path, file, rows, columns, first):
        yield from enumerate(_each(path, batch, at, lambda part: part.to_pylist()), at)


def _each(path: Path, batch: pa.RecordBatch, first: int, work: Callable[[pa.RecordBatch], Any]) -> Any:
    """What ``work`` makes of a batch; a failure names the first row that fails alone."""
    import pyarrow as pa

    faults = (pa.ArrowException, OverflowError, ValueError)
    try:
        return work(batch)
    except faults as error:
        fault: Exception = error
    for row in range(batch.num_rows):
        try:
            work(batch.slice(row, 1))
        except faults as error:
            fault, first = error, first + row
            break
    raise InputError(f"{path.name}, row {first}: {_first_line(fault)}; write the file again, texts in UTF-8") from None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
