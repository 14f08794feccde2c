"""How do vectors get from one format into another? Streamed, and published in one step."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lsr.errors import InputError, reason
from lsr.formats import json_lines, sidecars
from lsr.formats.quantise import Quantiser, Rounding, rounded, whole_only
from lsr.formats.registry import format_of
from lsr.formats.source import VectorSource
from lsr.formats.vectors import VectorBatch
from lsr.replacing import LOCK, sole_writer, target_of


@dataclass
class Conversion:
    """What was converted.

    Attributes:
        source, target: names of the formats.
        vectors, terms, nonzeros, empty: counts; empty vectors have no weight.
        rounded: weights of the source that are whole numbers which float32 does not hold.
        rounding: what became of the weights, where they were made whole.
    """

    source: str
    target: str
    vectors: int = 0
    terms: int = 0
    nonzeros: int = 0
    empty: int = 0
    rounded: int = 0
    rounding: Rounding | None = None


def convert(
    source: VectorSource,
    path: Path,
    format_name: str | None = None,
    quantiser: Quantiser | None = None,
    progress: Callable[[int], None] = lambda vectors: None,
) -> Conversion:
    """Write the vectors of ``source`` into ``path``; a file that is there is replaced at the very end.

    Memory holds one batch and the vocabulary, with CIFF a sixty-fourth of the index.

    Args:
        source: read once, twice with ``bits``.
        path: the new file; names that it cannot hold go into ``path.ids`` and ``path.terms``.
        format_name: None takes what the name of the file says.
        quantiser: how weights become whole numbers.
        progress: called with the number of vectors done.

    Raises:
        InputError: what the source raises, or what the format cannot hold.
        StorageError: another process is writing ``path``.
    """
    target = format_of(path, format_name, writing=True)
    if path.suffix == ".gz":
        raise InputError(f"{path}: packed files are read, not written; leave .gz out and pack the file afterwards")
    summary = Conversion(", ".join(dict.fromkeys(source.format_names)), target.name)
    batches: Iterable[VectorBatch] = source
    if quantiser and quantiser.given:
        summary.rounding = quantiser.rounding(source.again() if quantiser.bits else ())
        batches = rounded(batches, summary.rounding)
    if target.whole:
        batches = whole_only(batches, source.vocabulary, target.name)
    _publish(path, lambda new: target.write(_counted(batches, summary, progress), new, source.vocabulary))
    summary.terms, summary.rounded = len(source.vocabulary), source.rounded
    return summary


def is_vector_file(path: Path) -> bool:
    """Whether a file can only hold vectors: a matrix, an index, or Parquet with their columns."""
    if path.suffix == ".parquet":
        from lsr.formats import parquet  # takes long to import

        return path.is_file() and parquet.holds_vectors(path)
    return path.name.removesuffix(".gz").endswith((".csr", ".bin", ".ciff")) and path.is_file()


def holds_vectors(path: Path) -> bool:
    """Whether a file holds vectors rather than texts; JSON lines are looked into, a TSV counts as text."""
    name = path.name.removesuffix(".gz")
    if name.endswith((".jsonl", ".json", ".ndjson")):
        return json_lines.holds_vectors(path)
    return is_vector_file(path)


def _counted(
    batches: Iterable[VectorBatch], summary: Conversion, progress: Callable[[int], None]
) -> Iterator[VectorBatch]:
    for batch in batches:
        summary.vectors += len(batch.documents)
        summary.nonzeros += batch.matrix.nnz
        summary.empty += int((batch.matrix.indptr[1:] == batch.matrix.indptr[:-1]).sum())
        yield batch
        progress(summary.vectors)
    if not summary.vectors:
        raise InputError("no vectors to convert: the source is empty")


def _publish(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a folder beside ``path``; then its files get their places, ``path`` itself last."""
    path = target_of(path)
    folder = path.with_name(f".{path.name}.new")
    try:
        with sole_writer(folder, path):
            _clear(folder)
            try:
                write(folder / path.name)
                _move(folder, path)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None


def _clear(folder: Path) -> None:
    """Remove what a killed process left."""
    for file in folder.iterdir():
        if file.name != LOCK:
            file.unlink()


def _move(folder: Path, path: Path) -> None:
    """Give the files in ``folder`` their places, and remove names of the file that is replaced."""
    ends = (sidecars.IDS, sidecars.TERMS, "")
    found = [folder / f"{path.name}{end}" for end in ends]
    for file in filter(Path.exists, found):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
    for file in found:
        if file.exists():
            file.replace(path.with_name(file.name))
        else:
            path.with_name(file.name).unlink(missing_ok=True)
