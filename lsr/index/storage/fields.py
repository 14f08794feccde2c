"""How do the fields of a segment lie on the disk? One Arrow file of columns, made when all values are known."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa

from lsr.corpus import Document
from lsr.corpus.dense import dense_type
from lsr.corpus.schema import Cell, Schema, columns_of
from lsr.errors import InputError
from lsr.index.fields.changes import joined
from lsr.index.fields.columns import Column, as_batch, column_of, of_batch
from lsr.index.storage.faults import unreadable

NAME = "fields.arrow"
SPOOL = "spool.fields"


class FieldWriter:
    """Collects the fields of documents as their sources gave them; `finish` knows their types."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, (folder / SPOOL).open("wb")

    def append(self, documents: Sequence[Document], schema: Schema) -> None:
        """Add one batch, and show it to the schema.

        Raises:
            InputError: more fields than a schema holds, or a dense vector that does not fit.
        """
        columns = columns_of([document.fields for document in documents])
        schema.see(columns)
        ids = [document.id for document in documents]
        for name in columns.keys() & self._dense(schema):
            columns[name] = schema.stored(name, columns[name], ids)  # a fourth of the room of a list
        cells = [name for name, values in columns.items() if Cell in set(map(type, values))]
        content = _encoded([ids, columns, cells])
        self._file.write(len(content).to_bytes(8, "little") + content)

    @staticmethod
    def _dense(schema: Schema) -> set[str]:
        """Fields of dense vectors, which are stored as they come."""
        return {name for name, kind in schema.declared.items() if dense_type(kind)}

    def close(self) -> None:
        """Stop collecting; closing again does nothing."""
        self._file.close()

    def finish(self, schema: Schema) -> None:
        """Write the columns, where there are any; the spool goes.

        Raises:
            InputError: a value that does not fit; names document, field, value and type.
        """
        if types := schema.types():
            parts, done, sizes = {name: list[Column | None]() for name in types}, self._dense(schema), list[int]()
            for ids, columns in _batches(self._folder / SPOOL):
                sizes.append(len(ids))
                for name, kind in types.items():
                    own = columns.get(name)
                    if own is not None and name not in done:
                        own = schema.stored(name, own, ids)
                    parts[name].append(None if own is None else column_of(kind, own))
            write_fields(self._folder, {name: joined(parts[name], sizes, kind) for name, kind in types.items()})
        (self._folder / SPOOL).unlink()


def write_fields(folder: Path, columns: Mapping[str, Column], name: str = NAME) -> None:
    """Write the columns of the segment in ``folder``, where there are any; `OSError` where that cannot be."""
    if columns:
        batch = as_batch(columns)
        with (folder / name).open("wb") as file, pa.ipc.new_file(file, batch.schema) as writer:
            writer.write_batch(batch)


def read_fields(memory: mmap.mmap, path: Path) -> dict[str, Column]:
    """The columns in the ``memory`` of a file, read in place; ``path`` is for messages.

    Raises:
        StorageError: damage.
    """
    try:
        reader = pa.ipc.open_file(pa.BufferReader(memory))
        if reader.num_record_batches != 1:
            raise ValueError(f"{reader.num_record_batches} batches")
        return of_batch(reader.get_batch(0))
    except (OSError, ValueError, pa.ArrowException, UnicodeDecodeError) as error:
        raise unreadable(path, error) from None


def mapped(path: Path) -> mmap.mmap:
    """A file in memory, which stays readable when its name is removed; `OSError` or `ValueError` where it cannot be."""
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def small(value: Any) -> Any:
    """A JSON value whose whole numbers fit 64 bits; the others are floats, or texts."""
    if isinstance(value, list | tuple):
        return [small(one) for one in value]
    if isinstance(value, dict):
        return {key: small(one) for key, one in value.items()}
    if not isinstance(value, int) or -(2**63) <= value < 2**63:
        return value
    return float(value) if abs(value) < 10**300 else str(value)


def _encoded(batch: list[Any]) -> bytes:
    try:
        return msgspec.msgpack.encode(batch, enc_hook=_text)
    except OverflowError:  # whole numbers of more than 64 bits become floats, or texts
        ids, columns, cells = batch
        return _encoded([ids, {name: [small(value) for value in values] for name, values in columns.items()}, cells])


def _text(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    raise InputError(f"a field holds a {type(value).__name__}: wanted what JSON can write")


def _batches(path: Path) -> Iterator[tuple[list[str], dict[str, list[Any]]]]:
    """Ids and values by field of every batch; texts of tables are `Cell` again."""
    with path.open("rb") as file:
        while size := file.read(8):
            ids, columns, cells = msgspec.msgpack.decode(file.read(int.from_bytes(size, "little")))
            for name in cells:
                columns[name] = [Cell(value) if isinstance(value, str) else value for value in columns[name]]
            yield ids, columns
