"""How is a Parquet file read? In batches, and whatever is wrong with it is an `InputError` that names the row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({_first_line(error)})") from None


def batches(
    path: Path, file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """(number of the first row, from 0; batch) of at most ``rows`` rows each, every text in them UTF-8.

    Raises:
        InputError: a damaged page, or a text that is not UTF-8.
    """
    import pyarrow as pa

    done = 0
    for batch in file.iter_batches(rows, columns=None if columns is None else list(columns)):
        try:
            batch.validate(full=True)
        except pa.ArrowInvalid as error:
            place = f"{path}, rows {done} to {done + batch.num_rows - 1}"
            raise InputError(f"{place}: {_first_line(error)}; write the file again, texts in UTF-8") from None
        yield done, batch
        done += batch.num_rows


def records(
    path: Path, file: pq.ParquetFile, rows: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number of the row, from 0; row) of a file, as `batches` reads it."""
    for first, batch in batches(path, file, rows, columns):
        yield from enumerate(batch.to_pylist(), first)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
