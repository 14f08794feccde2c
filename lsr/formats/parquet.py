"""How do the vectors of `lsr encode` lie in Parquet? Columns id, indices (uint32) and values (float32), perhaps text.

The file's metadata says "dim", and, where known, "terms" (a JSON list of names), "encoder" and "fingerprint". Another
form is read too: a column "vector" that maps tokens to weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, sorted_rows
from lsr.sparse import SparseMatrix

SCHEMA = pa.schema([("id", pa.string()), ("indices", pa.list_(pa.uint32())), ("values", pa.list_(pa.float32()))])
WITH_TEXT = SCHEMA.append(pa.field("text", pa.string()))
ABOUT = ("encoder", "fingerprint")


def vector_table(ids: list[str], matrix: SparseMatrix) -> pa.Table:
    """Rows of a vector file."""
    offsets = pa.array(matrix.indptr.astype(np.int32))
    terms = pa.ListArray.from_arrays(offsets, pa.array(matrix.terms.astype(np.uint32)))
    values = pa.ListArray.from_arrays(offsets, pa.array(matrix.values))
    return pa.Table.from_arrays([pa.array(ids, pa.string()), terms, values], schema=SCHEMA)


def read_parquet(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of a Parquet file in either form.

    Raises:
        InputError: not Parquet, other columns, or a bad row; the message names the row.
    """
    size = path.stat().st_size
    with _parquet(path) as file:
        names, rows = file.schema_arrow.names, max(1, file.metadata.num_rows)
        kind = _kind(path, names)
        metadata = {
            key.decode(): value.decode("utf-8", "replace") for key, value in (file.metadata.metadata or {}).items()
        }
        vocabulary.about.update({key: metadata[key] for key in ABOUT if key in metadata})
        columns = [name for name in ("id", "text", *kind) if name in names]
        vectors = _tokens if kind == ("vector",) else _numbers(path, metadata, vocabulary)
        done = 0
        for batch in file.iter_batches(ROWS, columns=columns):
            matrix = vectors(path, done, batch, vocabulary)
            documents = _documents(path, done, batch)
            done += batch.num_rows
            yield VectorBatch(documents, matrix, size * done // rows)


def holds_vectors(path: Path) -> bool:
    """Whether a Parquet file has the columns of vectors."""
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError):
        return False
    return "id" in names and ({"indices", "values"} <= set(names) or ("vector" in names and "text" not in names))


def write_parquet(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write numbered vectors, texts where there are some, and what is known of terms and encoder."""
    with pq.ParquetWriter(path, WITH_TEXT, compression="zstd") as writer:
        for documents, matrix, _ in batches:
            table = vector_table([document.id for document in documents], matrix)
            texts = pa.array([document.full_text or None for document in documents], pa.string())
            writer.write_table(table.append_column("text", texts))
        terms = {"terms": terms_entry(vocabulary)} if vocabulary.named else {}
        writer.add_key_value_metadata({"dim": str(vocabulary.dim), **terms, **vocabulary.about})


def terms_entry(terms: Iterable[str]) -> str:
    """The names of all terms as the metadata keeps them."""
    return msgspec.json.encode(list(terms)).decode()


@contextmanager
def _parquet(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _kind(path: Path, names: list[str]) -> tuple[str, ...]:
    for kind in (("indices", "values"), ("vector",)):
        if {"id", *kind} <= set(names):
            return kind
    raise InputError(
        f"{path}: found the columns {', '.join(map(repr, names))}, wanted 'id', 'indices' and 'values', or 'id' and "
        "'vector' (a map of token to weight)"
    )


def _documents(path: Path, done: int, batch: pa.RecordBatch) -> list[Document]:
    ids = batch.column("id").to_pylist()
    texts = batch.column("text").to_pylist() if "text" in batch.schema.names else [None] * len(ids)
    if None in ids or "" in ids:
        raise InputError(f"{path}, row {done + next(i for i, name in enumerate(ids) if not name)}: no id")
    return [Document(str(name), "", text or "") for name, text in zip(ids, texts, strict=True)]


Vectors = Callable[[Path, int, pa.RecordBatch, Vocabulary], SparseMatrix]


def _numbers(path: Path, metadata: dict[str, str], vocabulary: Vocabulary) -> Vectors:
    try:
        names = msgspec.json.decode(metadata["terms"], type=list[str]) if "terms" in metadata else None
        dim = len(names) if names else int(metadata.get("dim", 1))
    except ValueError as error:
        raise InputError(f"{path}: its metadata is damaged ({error}); encode the texts again") from None
    new = vocabulary.renumber(names, dim)

    def read(path: Path, done: int, batch: pa.RecordBatch, vocabulary: Vocabulary) -> SparseMatrix:
        terms, counts = _flat(path, done, batch, "indices", np.int64)
        weights, lengths = _flat(path, done, batch, "values", np.float32)
        if (uneven := np.flatnonzero(counts != lengths)).size:
            at = int(uneven[0])
            raise InputError(f"{path}, row {done + at}: {counts[at]} indices but {lengths[at]} values")
        if names is None:
            vocabulary.widen(int(terms.max(initial=0)) + 1)
        elif terms.max(initial=0) >= len(names):
            raise InputError(f"{path}: the index {terms.max()}, but the metadata names {len(names):,} terms")
        terms = terms if new is None else new[terms]
        return sorted_rows(counts, terms, weights, vocabulary.dim, lambda row: f"{path}, row {done + row}")

    return read


def _tokens(path: Path, done: int, batch: pa.RecordBatch, vocabulary: Vocabulary) -> SparseMatrix:
    column = batch.column("vector")
    if not pa.types.is_map(column.type):
        raise InputError(f"{path}: the column 'vector' is {column.type}, wanted a map of token to weight")
    borders = column.offsets.to_numpy()
    tokens, values = (part[borders[0] : borders[-1]] for part in (column.keys, column.items))
    terms = np.array(vocabulary.learn(tokens.to_pylist()), np.int64)
    weights = values.cast(pa.float32()).to_numpy(zero_copy_only=False)
    return sorted_rows(np.diff(borders), terms, weights, vocabulary.dim, lambda row: f"{path}, row {done + row}")


def _flat(path: Path, done: int, batch: pa.RecordBatch, name: str, kind: Any) -> tuple[Any, Any]:
    """All values of a column of lists, and the length of each list."""
    column = batch.column(name)
    if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
        raise InputError(f"{path}: the column {name!r} is {column.type}, wanted lists of numbers")
    if column.null_count:
        raise InputError(f"{path}, row {done + column.is_null().to_pylist().index(True)}: no {name}")
    flat = column.flatten()
    if flat.null_count:
        raise InputError(f"{path}: an empty place among the {name} of rows {done} to {done + batch.num_rows - 1}")
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    return flat.to_numpy(zero_copy_only=False).astype(kind), lengths
