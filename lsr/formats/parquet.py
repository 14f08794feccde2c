"""How do the vectors of `lsr encode` lie in Parquet? Columns id, indices (uint32) and values (float32), perhaps text.

The file's metadata says "dim", and, where known, "terms" (a JSON list of names), "encoder" and "fingerprint". Another
form is read too: a column "vector" that maps tokens to weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lsr.corpus import Document, json_value
from lsr.corpus.layouts.parquet import batches, open_parquet
from lsr.corpus.values import decoded, identifier, plain_text, whole_number
from lsr.errors import InputError
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, single, sorted_rows
from lsr.sparse import MAX_DIM, SparseMatrix

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
    with open_parquet(path) as file:
        names, rows = file.schema_arrow.names, max(1, file.metadata.num_rows)
        kind = _kind(path, names)
        about = {key: value.decode("utf-8", "replace") for key, value in (file.metadata.metadata or {}).items()}
        vocabulary.about.update({key: about[key.encode()] for key in ABOUT if key.encode() in about})
        columns = [name for name in ("id", "text", *kind) if name in names]
        vectors = _tokens(vocabulary) if kind == ("vector",) else _numbers(path, about, vocabulary)
        for first, batch in batches(path, file, ROWS, columns):
            matrix, rounded = vectors(_Batch(path, first, batch))
            documents = _documents(_Batch(path, first, batch))
            yield VectorBatch(documents, matrix, size * min(first + len(documents), rows) // rows, rounded)


def holds_vectors(path: Path) -> bool:
    """Whether a Parquet file has the columns of vectors."""
    try:
        with open_parquet(path) as file:
            names = file.schema_arrow.names
    except InputError:
        return False
    return "id" in names and ({"indices", "values"} <= set(names) or ("vector" in names and "text" not in names))


def write_parquet(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write numbered vectors, texts where there are some, and what is known of terms and encoder."""
    with pq.ParquetWriter(path, WITH_TEXT, compression="zstd") as writer:
        for documents, matrix, *_ in batches:
            table = vector_table([document.id for document in documents], matrix)
            texts = pa.array([document.full_text or None for document in documents], pa.string())
            writer.write_table(table.append_column("text", texts))
        terms = {"terms": terms_entry(vocabulary)} if vocabulary.named else {}
        writer.add_key_value_metadata({"dim": str(vocabulary.dim), **terms, **vocabulary.about})


def terms_entry(terms: Iterable[str]) -> str:
    """The names of all terms as the metadata keeps them."""
    return msgspec.json.encode(list(terms)).decode()


class _Batch(NamedTuple):
    """Rows of a file, numbered from ``first``."""

    path: Path
    first: int
    rows: pa.RecordBatch

    def place(self, row: int) -> str:
        return f"{self.path}, row {self.first + row}"

    def column(self, name: str) -> Any:
        """A column without empty places."""
        column = self.rows.column(name)
        if column.null_count:
            raise InputError(f"{self.place(column.is_null().to_pylist().index(True))}: no {name}")
        return column

    def checked(self, name: str, check: Callable[[object], str]) -> list[str]:
        """The values of a column as ``check`` gives them."""
        found = []
        for row, value in enumerate(self.rows.column(name).to_pylist()):
            try:
                found.append(check(value))
            except InputError as fault:
                raise InputError(f"{self.place(row)}: {fault}") from None
        return found


Vectors = Callable[[_Batch], tuple[SparseMatrix, int]]


def _kind(path: Path, names: list[str]) -> tuple[str, ...]:
    for kind in (("indices", "values"), ("vector",)):
        if {"id", *kind} <= set(names):
            if twice := [name for name in ("id", *kind, "text") if names.count(name) > 1]:
                raise InputError(f"{path}: the column {twice[0]!r} occurs twice: leave one of them out")
            return kind
    raise InputError(
        f"{path}: found the columns {', '.join(map(repr, names))}, wanted 'id', 'indices' and 'values', or 'id' and "
        "'vector' (a map of token to weight)"
    )


def _documents(batch: _Batch) -> list[Document]:
    ids = batch.checked("id", identifier)
    texts = batch.checked("text", plain_text) if "text" in batch.rows.schema.names else [""] * len(ids)
    return [Document(name, "", text) for name, text in zip(ids, texts, strict=True)]


def _numbers(path: Path, about: dict[bytes, str], vocabulary: Vocabulary) -> Vectors:
    names, dim = _vocabulary_of(path, about)
    new = vocabulary.renumber(names, dim)

    def read(batch: _Batch) -> tuple[SparseMatrix, int]:
        terms, counts = _flat(batch, "indices", _is_whole)
        _check_indices(batch, terms, counts, len(names) if names else MAX_DIM)
        values, lengths = _flat(batch, "values", _is_number)
        if (uneven := np.flatnonzero(counts != lengths)).size:
            at = int(uneven[0])
            raise InputError(f"{batch.place(at)}: {counts[at]} indices but {lengths[at]} values")
        terms, (weights, rounded) = terms.astype(np.int64), single(values)
        if names is None:
            vocabulary.widen(int(terms.max(initial=0)) + 1)
        terms = terms if new is None else new[terms]
        return sorted_rows(counts, terms, weights, vocabulary.dim, batch.place), rounded

    return read


def _vocabulary_of(path: Path, about: dict[bytes, str]) -> tuple[list[str] | None, int]:
    """Names of the terms, where the metadata has some, and their number."""
    try:
        names = json_value(about[b"terms"], list[str]) if b"terms" in about else None
        return names or None, len(names) if names else whole_number(about.get(b"dim", "1"), "dim", 0, MAX_DIM)
    except InputError as fault:
        raise InputError(f"{path}: its metadata is damaged ({fault}); encode the texts again") from None


def _check_indices(batch: _Batch, terms: NDArray[Any], counts: NDArray[Any], most: int) -> None:
    if terms.size and not 0 <= int(terms.min()) <= int(terms.max()) < most:
        at = int(np.argmax((terms < 0) | (terms >= most)))
        row = int(np.searchsorted(np.cumsum(counts), at, side="right"))
        raise InputError(f"{batch.place(row)}: found the index {terms[at]}, wanted 0 to {most - 1:,}")


def _tokens(vocabulary: Vocabulary) -> Vectors:
    def read(batch: _Batch) -> tuple[SparseMatrix, int]:
        column = batch.column("vector")
        kind = column.type
        if not (pa.types.is_map(kind) and _is_text(kind.key_type) and _is_number(kind.item_type)):
            raise InputError(f"{batch.path}: the column 'vector' is {kind}, wanted a map of token to weight")
        borders = column.offsets.to_numpy()
        tokens, values = (part[borders[0] : borders[-1]] for part in (column.keys, column.items))
        terms = np.array(vocabulary.learn(_texts(batch, tokens.to_pylist())), np.int64)
        weights, rounded = single(values.to_numpy(zero_copy_only=False))
        return sorted_rows(np.diff(borders), terms, weights, vocabulary.dim, batch.place), rounded

    return read


def _texts(batch: _Batch, tokens: list[str | bytes]) -> list[str]:
    try:
        return [decoded(token) if isinstance(token, bytes) else token for token in tokens]
    except InputError as fault:
        raise InputError(f"{batch.path}, rows from {batch.first}: a token is {fault}") from None


def _flat(batch: _Batch, name: str, fits: Callable[[pa.DataType], bool]) -> tuple[NDArray[Any], NDArray[Any]]:
    """All values of a column of lists, and the length of each list."""
    column = batch.column(name)
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise InputError(f"{batch.path}: the column {name!r} is {kind}, wanted lists of numbers")
    flat = column.flatten()
    if not (fits(kind.value_type) or not len(flat)):
        wanted = "whole numbers" if name == "indices" else "numbers"
        raise InputError(f"{batch.path}: the column {name!r} holds lists of {kind.value_type}, wanted {wanted}")
    if flat.null_count:
        last = batch.first + batch.rows.num_rows - 1
        raise InputError(f"{batch.path}: an empty place among the {name} of rows {batch.first} to {last}")
    lengths = column.value_lengths().to_numpy(zero_copy_only=False)
    return flat.to_numpy(zero_copy_only=False) if len(flat) else np.zeros(0, np.int64), lengths


def _is_whole(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _is_text(kind: pa.DataType) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())
