"""How are texts and examples kept apart? A folder of three Parquet files, where examples name rows of texts.

::

    documents.parquet   text: string
    queries.parquet     text: string
    examples.parquet    query: int32, documents: list<int32>, a positive first; scores: list<float32>, may be left out

Rows count from 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from lsr.corpus.layouts.parquet import batches, open_parquet, records
from lsr.errors import InputError, reason
from lsr.sparse import indptr_of
from lsr.training.data.examples import Examples

DOCUMENTS, QUERIES, EXAMPLES = "documents.parquet", "queries.parquet", "examples.parquet"
TEXTS = pa.schema([("text", pa.string())])
BATCH = 65_536  # rows written together


def read_texts(path: Path) -> Iterator[str]:
    """The texts of documents.parquet or queries.parquet, in order.

    Raises:
        InputError: no readable file, no column "text", or a row without text.
    """
    with _opened(path, {"text": _is_text}) as file:
        for row, record in records(path, file, BATCH, ["text"]):
            text = record["text"]
            if text is None or not text.strip():
                raise _fault(path, row, f"text holds {text!r}", "a text; leave the row out or give it one")
            yield text


def read_examples(path: Path, queries: int, documents: int) -> Examples:
    """The examples of examples.parquet, over so many queries and documents.

    Raises:
        InputError: no readable file, a column that is missing or of another type, a row that no text has, an example
            without documents, a list of scores of another length, a score that is no finite number.
    """
    with _opened(path, {"query": pa.types.is_integer, "documents": _is_list(pa.types.is_integer)}) as file:
        scored = "scores" in file.schema_arrow.names
        columns = ["query", "documents", *(["scores"] if scored else [])]
        found_batches = (batch for _, batch in batches(path, file, BATCH, columns))
        table = pa.Table.from_batches(found_batches, _columns(file, columns))
    rows = _whole(path, table["query"].combine_chunks(), "query", np.arange(len(table)))
    _check_range(path, rows, np.arange(len(table)), queries, "query", QUERIES)
    sizes, flat = _flat(table["documents"])
    if (empty := np.flatnonzero(sizes == 0)).size:
        raise _fault(path, int(empty[0]), "no documents", "one or more, a positive first")
    owner = np.repeat(np.arange(len(table)), sizes)
    found = _whole(path, flat, "documents", owner)
    _check_range(path, found, owner, documents, "document", DOCUMENTS)
    scores = _scores(path, table["scores"], sizes) if scored else None
    return Examples(rows.astype(np.int32), indptr_of(sizes), found.astype(np.int32), scores)


def write_row_folder(folder: Path, queries: Sequence[str], documents: Sequence[str], examples: Examples) -> None:
    """Write the three files into ``folder``; examples.parquet last, so that a folder with it is whole.

    Raises:
        InputError: the folder holds one already, or cannot be written.
    """
    if (folder / EXAMPLES).exists():
        raise InputError(f"{folder} holds training data: choose a new folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, texts in ((DOCUMENTS, documents), (QUERIES, queries)):
            with pq.ParquetWriter(folder / name, TEXTS, compression="zstd") as file:
                for at in range(0, len(texts), BATCH):
                    file.write_table(pa.table({"text": texts[at : at + BATCH]}, TEXTS))
        pq.write_table(_table(examples), folder / f"{EXAMPLES}.partial", compression="zstd")
        (folder / f"{EXAMPLES}.partial").rename(folder / EXAMPLES)
    except OSError as error:
        raise InputError(f"cannot write {folder}: {reason(error)}") from None


def _table(examples: Examples) -> pa.Table:
    borders = pa.array(examples.borders, pa.int32())
    columns = {
        "query": pa.array(examples.queries),
        "documents": pa.ListArray.from_arrays(borders, pa.array(examples.documents)),
    }
    if examples.scores is not None:
        unknown = np.isnan(examples.scores[examples.borders[:-1]])
        lists = pa.ListArray.from_arrays(borders, pa.array(examples.scores), mask=pa.array(unknown))
        columns["scores"] = lists
    return pa.table(columns)


def _scores(path: Path, column: Any, sizes: NDArray[np.int64]) -> NDArray[np.float32]:
    if not _is_list(lambda kind: pa.types.is_floating(kind) or pa.types.is_integer(kind))(column.type):
        raise InputError(f"{path}: the column 'scores' holds {column.type}, wanted lists of numbers")
    given, flat = _flat(column)
    known = column.is_valid().to_numpy()
    if (wrong := np.flatnonzero(known & (given != sizes))).size:
        row = int(wrong[0])
        raise _fault(path, row, f"{given[row]} scores for {sizes[row]} documents", "one score a document")
    values = np.asarray(flat.to_numpy(zero_copy_only=False), np.float32)
    if (broken := np.flatnonzero(~np.isfinite(values))).size:
        row = int(np.repeat(np.arange(sizes.size), given)[broken[0]])
        raise _fault(path, row, f"a teacher's score is {values[broken[0]]}", "a finite number")
    scores = np.full(int(sizes.sum()), np.nan, np.float32)
    scores[np.repeat(known, sizes)] = values
    return scores


def _flat(column: Any) -> tuple[NDArray[np.int64], Any]:
    """Lengths of the lists of a column, 0 for none, and their elements."""
    lists = column.combine_chunks()
    return lists.value_lengths().fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64), lists.flatten()


def _whole(path: Path, values: Any, name: str, owner: NDArray[np.int64]) -> NDArray[np.int64]:
    if values.null_count:
        at = int(np.flatnonzero(values.is_null().to_numpy(zero_copy_only=False))[0])
        raise _fault(path, int(owner[at]), f"{name} holds no row", "a row number")
    return np.asarray(values.to_numpy(zero_copy_only=False).astype(np.int64))


def _check_range(
    path: Path, rows: NDArray[np.int64], owner: NDArray[np.int64], size: int, kind: str, name: str
) -> None:
    wrong = np.flatnonzero((rows < 0) | (rows >= size))
    if wrong.size:
        at = int(wrong[0])
        raise _fault(path, int(owner[at]), f"{kind} row {rows[at]}", f"0 to {size - 1}, a row of {name}")


def _fault(path: Path, row: int, found: str, wanted: str) -> InputError:
    return InputError(f"{path}, row {row} (the first is 0): {found}; wanted {wanted}")


@contextmanager
def _opened(path: Path, wanted: dict[str, Any]) -> Iterator[pq.ParquetFile]:
    if not path.is_file():
        raise InputError(f"{path.parent}: no {path.name}; wanted {DOCUMENTS}, {QUERIES} and {EXAMPLES}")
    with open_parquet(path) as file:
        schema = file.schema_arrow
        for name, fits in wanted.items():
            if name not in schema.names:
                raise InputError(f"{path}: found the columns {', '.join(schema.names)}; wanted {' and '.join(wanted)}")
            if not fits(schema.field(name).type):
                kind = {"text": "texts", "query": "row numbers", "documents": "lists of row numbers"}[name]
                raise InputError(f"{path}: the column {name!r} holds {schema.field(name).type}; wanted {kind}")
        yield file


def _columns(file: Any, names: Sequence[str]) -> Any:
    return pa.schema([file.schema_arrow.field(name) for name in names])


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_list(of: Any) -> Any:
    return lambda kind: (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and of(kind.value_type)
