"""How do the fields of a segment lie on the disk? One Arrow file of columns, made when all values are known."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from lsr.corpus import Document
from lsr.corpus.schema import Cell, Schema
from lsr.index.fields.columns import Column, as_batch, columns_of, of_batch
from lsr.index.storage.manifest import unreadable

NAME = "fields.arrow"
SPOOL = "spool.fields"


class FieldWriter:
    """Collects the fields of documents as their sources gave them; `finish` knows their types."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, (folder / SPOOL).open("wb")

    def append(self, documents: Sequence[Document]) -> None:
        """Add one batch."""
        self._file.write(b"".join(_encoded(document.id, document.fields) for document in documents))

    def close(self) -> None:
        """Stop collecting; closing again does nothing."""
        self._file.close()

    def finish(self, schema: Schema) -> None:
        """Write the columns, where there are any; the spool goes.

        Raises:
            InputError: a value that does not fit; names document, field, value and type.
        """
        if types := schema.types():
            rows = [schema.row(fields, name) for name, fields in _decoded(self._folder / SPOOL)]
            batch = as_batch(columns_of(types, rows))
            with pa.OSFile(str(self._folder / NAME), "wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
                writer.write_batch(batch)
        (self._folder / SPOOL).unlink()


def read_fields(folder: Path) -> dict[str, Column]:
    """The columns of the segment in ``folder``, read in place; none where its documents have no fields.

    Raises:
        StorageError: damage.
    """
    path = folder / NAME
    if not path.exists():
        return {}
    try:
        with path.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        reader = pa.ipc.open_file(pa.BufferReader(memory))
        if reader.num_record_batches != 1:
            raise ValueError(f"{reader.num_record_batches} batches")
        return of_batch(reader.get_batch(0))
    except (OSError, ValueError, pa.ArrowException, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None


def _encoded(name: str, fields: Mapping[str, Any]) -> bytes:
    """One line: the id, fields, and which of them are cells of a table."""
    cells = [field for field, value in fields.items() if type(value) is Cell]
    plain = {field: str(value) if type(value) is Cell else value for field, value in fields.items()}
    return msgspec.json.encode([name, plain, cells]) + b"\n"


def _decoded(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    decode = msgspec.json.Decoder().decode
    with path.open("rb") as file:
        for line in file:
            name, fields, cells = decode(line)
            yield name, {**fields, **{field: Cell(fields[field]) for field in cells}}
