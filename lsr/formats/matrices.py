"""How do matrices of the BigANN track (.csr) and Seismic's inner format (.bin) look? All little-endian.

- .csr: int64 rows, columns, weights; int64 borders[rows + 1]; int32 terms[weights]; float32 values[weights].
- .bin: uint32 rows; for each row uint32 length, uint32 terms[length], float32 values[length].

Ids and names of terms lie beside the file (`lsr.formats.sidecars`).
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, reason
from lsr.formats.sidecars import RowIds, beside, term_names, write_ids
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, sorted_rows

CSR_HEAD = 24  # bytes
MOST_COLUMNS = 2**31 - 1  # their numbers are int32
Array = NDArray[Any]


def read_csr(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of a .csr matrix; terms within a row may come in any order.

    Raises:
        InputError: the file is shorter or longer than it says, borders fall, or a term is out of range; the message
            names the byte.
    """
    ids, names = RowIds(path), term_names(path)
    with _open(path) as file:
        rows, dim, nnz = _csr_head(path, file)
        borders = _borders(path, np.fromfile(file, "<i8", rows + 1), nnz)
        new = vocabulary.renumber(names, dim) if _names_fit(path, names, dim) else None
        for start in range(0, rows, ROWS):
            stop = min(start + ROWS, rows)
            first, count = int(borders[start]), int(borders[stop] - borders[start])
            terms_at = CSR_HEAD + 8 * (rows + 1) + 4 * first
            terms = _part(file, terms_at, "<i4", count)
            _check_terms(path, terms, dim, terms_at)
            weights = _part(file, terms_at + 4 * nnz, "<f4", count)
            counts = np.diff(borders[start : stop + 1])
            matrix = sorted_rows(
                counts, terms if new is None else new[terms], weights, vocabulary.dim, _row_of(path, start)
            )
            yield VectorBatch(ids.take(stop - start), matrix, 8 * (rows + 4) + 8 * int(borders[stop]))
    ids.close()


def write_csr(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write a .csr matrix with its names beside it; terms and values wait on disk until all borders are known.

    Raises:
        InputError: more terms than the format can number.
    """
    counts, parts = (
        [np.zeros(0, np.int64)],
        [path.with_name(path.name + end) for end in (".part-terms", ".part-values")],
    )
    with beside(path, vocabulary) as ids, parts[0].open("wb") as terms, parts[1].open("wb") as values:
        for batch in batches:
            counts.append(np.diff(batch.matrix.indptr))
            if vocabulary.dim > MOST_COLUMNS:
                raise InputError(f"{vocabulary.dim:,} terms, but csr numbers {MOST_COLUMNS:,}: choose another format")
            batch.matrix.terms.astype("<i4").tofile(terms)
            batch.matrix.values.astype("<f4").tofile(values)
            write_ids(ids, batch)
    borders = np.concatenate([[0], np.cumsum(np.concatenate(counts))]).astype("<i8")
    with path.open("wb") as file:
        np.array([borders.size - 1, vocabulary.dim, borders[-1]], "<i8").tofile(file)
        borders.tofile(file)
        for part in parts:
            with part.open("rb") as source:
                shutil.copyfileobj(source, file)
            part.unlink()


def read_bin(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of a .bin file.

    Raises:
        InputError: the file ends within a row, or goes on after the last; the message names the byte.
    """
    ids, names, size = RowIds(path), term_names(path), path.stat().st_size
    new = vocabulary.renumber(names, len(names)) if names else None
    with _open(path) as file:
        rows = _number(path, file, size)
        for start in range(0, rows, ROWS):
            read = [_bin_row(path, file, size, start + i) for i in range(min(ROWS, rows - start))]
            terms = np.concatenate([own for own, _ in read]).astype(np.int64)
            if names is None:
                vocabulary.widen(int(terms.max(initial=0)) + 1)
            elif terms.max(initial=0) >= len(names):
                raise InputError(f"{path}: term {terms.max()}, but {path.name}.terms has {len(names):,} lines")
            weights = np.concatenate([own for _, own in read]).astype(np.float32)
            counts = [own.size for own, _ in read]
            matrix = sorted_rows(
                counts, terms if new is None else new[terms], weights, vocabulary.dim, _row_of(path, start)
            )
            yield VectorBatch(ids.take(len(read)), matrix, file.tell())
        if file.tell() != size:
            raise InputError(f"{path}, byte {file.tell():,}: found more after the last of {rows:,} rows; is it whole?")
    ids.close()


def write_bin(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write a .bin file with its names beside it."""
    rows = 0
    with beside(path, vocabulary) as ids, path.open("wb") as file:
        file.write(bytes(4))
        for batch in batches:
            rows += len(batch.documents)
            for i in range(len(batch.documents)):
                terms, values = batch.matrix.row(i)
                file.write(terms.size.to_bytes(4, "little"))
                file.write(terms.astype("<u4").tobytes() + values.astype("<f4").tobytes())
            write_ids(ids, batch)
        file.seek(0)
        file.write(rows.to_bytes(4, "little"))


def _open(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        raise InputError(f"{path}: a packed matrix cannot be read in parts; unpack it first (gunzip {path.name})")
    try:
        return path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None


def _csr_head(path: Path, file: IO[bytes]) -> tuple[int, int, int]:
    size = path.stat().st_size
    head = np.fromfile(file, "<i8", 3).tolist()
    if len(head) < 3 or min(head[0], head[2]) < 0 or not 0 < head[1] <= MOST_COLUMNS:
        raise InputError(f"{path}, byte 0: found {head}, wanted numbers of rows, columns and weights (int64)")
    rows, dim, nnz = head
    if size != (wanted := CSR_HEAD + 8 * (rows + 1) + 8 * nnz):
        raise InputError(
            f"{path} has {size:,} bytes, but {rows:,} rows with {nnz:,} weights (bytes 0 to 23) take {wanted:,}: "
            "fetch the file again"
        )
    return rows, dim, nnz


def _borders(path: Path, borders: Array, nnz: int) -> Array:
    falls = np.flatnonzero(np.diff(borders) < 0)
    if borders[0] != 0 or borders[-1] != nnz or falls.size:
        at = int(falls[0]) + 1 if falls.size else (0 if borders[0] else borders.size - 1)
        raise InputError(
            f"{path}, byte {CSR_HEAD + 8 * at:,}: found the row border {borders[at]}, wanted borders that rise "
            f"from 0 to {nnz:,}"
        )
    return borders


def _check_terms(path: Path, terms: Array, dim: int, start: int) -> None:
    if terms.size and not 0 <= terms.min() <= terms.max() < dim:
        at = int(np.argmax((terms < 0) | (terms >= dim)))
        raise InputError(f"{path}, byte {start + 4 * at:,}: found the term {terms[at]}, wanted 0 to {dim - 1:,}")


def _names_fit(path: Path, names: list[str] | None, dim: int) -> bool:
    if names is not None and len(names) < dim:
        raise InputError(f"{path}.terms has {len(names):,} lines, the matrix {dim:,} columns: give one for each")
    return True


def _part(file: IO[bytes], at: int, kind: str, count: int) -> Array:
    file.seek(at)
    return np.fromfile(file, kind, count)


def _number(path: Path, file: IO[bytes], size: int) -> int:
    at = file.tell()
    if size - at < 4:
        raise InputError(f"{path}, byte {at:,}: the file ends, wanted a number of four bytes; is it whole?")
    return int.from_bytes(file.read(4), "little")


def _bin_row(path: Path, file: IO[bytes], size: int, row: int) -> tuple[Array, Array]:
    at = file.tell()
    length = _number(path, file, size)
    if 8 * length > size - at - 4:
        raise InputError(
            f"{path}, byte {at:,}: row {row:,} has {length:,} terms, but {size - at - 4:,} bytes are left; is it whole?"
        )
    content = file.read(8 * length)
    return np.frombuffer(content, "<u4", length), np.frombuffer(content, "<f4", length, 4 * length)


def _row_of(path: Path, start: int) -> Any:
    return lambda row: f"{path}, row {start + row:,}"
