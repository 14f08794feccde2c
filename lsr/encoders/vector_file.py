"""How do the vectors of a corpus get into one Parquet file, even if the work is killed on the way?

Batches are gathered into parts, ``FILE.parts/part-000000.parquet`` and on; a part takes its name in one step, when it
is whole. Started again with the same source and encoder, the work goes on after the last whole part. At the end the
parts become ``FILE``, again in one step.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lsr.corpus import Document, SeenIds
from lsr.encoders.base import Encoder, Observation
from lsr.errors import InputError, MismatchError, StorageError
from lsr.formats.parquet import SCHEMA, terms_entry, vector_table
from lsr.replacing import replace_file
from lsr.sparse import SparseMatrix, concatenate, indptr_of, term_dtype

BATCH_CHARACTERS = 2**20
PART_DOCUMENTS = 2048  # lost at most when killed

Batches = Callable[[Iterable[list[str]]], Iterator[Observation]]


@dataclass
class EncodeSummary:
    """What encoding did: documents in the file, those of them taken over from earlier, those cut and those empty."""

    documents: int = 0
    resumed: int = 0
    truncated: int = 0
    empty: int = 0
    nonzeros: int = 0


def write_vectors(
    documents: Iterable[Document],
    encoder: Encoder,
    path: Path,
    progress: Callable[[int], None] = lambda documents: None,
    run: Batches | None = None,
) -> EncodeSummary:
    """Encode ``documents`` into the Parquet file ``path``: columns id, indices (uint32) and values (float32).

    Memory holds one part. The file's metadata names encoder, fingerprint and terms.

    Args:
        documents: in an order that does not change from run to run.
        encoder: already learned, if it learns.
        path: the file; one that is there is replaced at the very end.
        progress: hears how many documents are done.
        run: turns batches of texts into observations in order; None means this process does it.

    Raises:
        InputError: an id given twice, no documents, or a source other than that of the parts that are there.
        MismatchError: the parts that are there come from another encoder.
        StorageError: a part is damaged.
    """
    parts = _Parts(path, encoder)
    summary = EncodeSummary()
    stream = iter(documents)
    ids = SeenIds()
    for number in itertools.count():
        if not (found := parts.read(number)):
            break
        _skip(stream, found, path, ids)
        summary.documents += len(found)
    summary.resumed = summary.documents
    progress(summary.documents)
    _encode(stream, encoder, parts, summary, progress, run or (lambda texts: _run_here(encoder, texts)), ids)
    if not summary.documents:
        raise InputError("no documents to encode: the source is empty")
    parts.publish(summary)
    return summary


def stored_vectors(path: Path, dim: int) -> Callable[[Sequence[str]], Observation]:
    """A function that gives the rows of the Parquet file ``path`` in order, as many as it is given texts."""
    batches = map(_matrix_of, pq.ParquetFile(path).iter_batches(PART_DOCUMENTS), itertools.repeat(dim))
    held = [SparseMatrix.from_dicts([], dim)]

    def observe(texts: Sequence[str]) -> Observation:
        while sum(map(len, held)) < len(texts):
            held.append(next(batches))
        rows = concatenate(held)
        held[:] = [rows.slice(len(texts), len(rows))]
        return Observation(rows.slice(0, len(texts)), 0)

    return observe


def _matrix_of(batch: Any, dim: int) -> SparseMatrix:
    terms, values = batch.column("indices"), batch.column("values")
    sizes = np.diff(terms.offsets.to_numpy())
    columns = terms.flatten().to_numpy().astype(term_dtype(dim)), values.flatten().to_numpy().astype(np.float32)
    return SparseMatrix(indptr_of(sizes), *columns, dim)


class _Parts:
    """The parts of one file, in order."""

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path, self._folder = path, path.with_name(path.name + ".parts")
        self._about = {"encoder": encoder.name, "fingerprint": encoder.fingerprint}
        self._terms = encoder.terms
        self._folder.mkdir(parents=True, exist_ok=True)
        state = self._folder / "encoder.json"
        if state.is_file() and msgspec.json.decode(state.read_bytes())["fingerprint"] != encoder.fingerprint:
            raise MismatchError(f"{self._folder} comes from another encoder; delete it to start again")
        replace_file(state, lambda new: new.write_bytes(msgspec.json.encode(self._about)))
        self._next = 0
        self.counts = {"truncated": 0, "empty": 0, "nonzeros": 0}
        self._dim = 0

    def read(self, number: int) -> list[str]:
        """The ids of a part; none where it is not there."""
        path = self._name(number)
        if not path.is_file():
            return []
        try:
            table = pq.read_table(path, columns=["id"])
            self._add(pq.read_metadata(path).metadata)
        except pa.ArrowException as error:
            raise StorageError(f"{path} is damaged ({error}); delete it and the later parts to go on") from None
        self._next = number + 1
        return list(table.column("id").to_pylist())

    def write(self, ids: list[str], matrix: SparseMatrix, truncated: int) -> None:
        """One more part, whole or not at all."""
        empty = int((matrix.indptr[1:] == matrix.indptr[:-1]).sum())
        counts = {"truncated": truncated, "empty": empty, "nonzeros": matrix.nnz, "dim": matrix.dim}
        table = vector_table(ids, matrix).replace_schema_metadata({key: str(value) for key, value in counts.items()})
        replace_file(self._name(self._next), lambda new: pq.write_table(table, new, compression="zstd"))
        self._add({key.encode(): str(value).encode() for key, value in counts.items()})
        self._next += 1

    def publish(self, summary: EncodeSummary) -> None:
        """All parts as one file; then they are gone."""
        summary.truncated, summary.empty = self.counts["truncated"], self.counts["empty"]
        summary.nonzeros = self.counts["nonzeros"]
        counts = {"dim": str(self._dim), "documents": str(summary.documents)}
        about = {**self._about, **counts, "terms": terms_entry(self._terms)}

        def merge(new: Path) -> None:
            with pq.ParquetWriter(new, SCHEMA.with_metadata(about), compression="zstd") as writer:
                for number in range(self._next):
                    writer.write_table(pq.read_table(self._name(number)).replace_schema_metadata(about))

        replace_file(self._path, merge)
        shutil.rmtree(self._folder)

    def _add(self, metadata: Any) -> None:
        for key in self.counts:
            self.counts[key] += int(metadata[key.encode()])
        self._dim = max(self._dim, int(metadata[b"dim"]))

    def _name(self, number: int) -> Path:
        return self._folder / f"part-{number:06d}.parquet"


def _encode(
    stream: Iterator[Document],
    encoder: Encoder,
    parts: _Parts,
    summary: EncodeSummary,
    progress: Callable[[int], None],
    run: Batches,
    ids: SeenIds,
) -> None:
    waiting: list[list[str]] = []

    def texts() -> Iterator[list[str]]:
        for batch in _batches(stream, encoder.batch_documents):
            own = [document.id for document in batch]
            _refuse_repeated(ids, own)
            waiting.append(own)
            yield [document.full_text for document in batch]

    held: list[SparseMatrix] = []
    held_ids: list[str] = []
    cut = 0
    for observation in run(texts()):
        held.append(observation.matrix)
        held_ids += waiting.pop(0)
        cut += observation.truncated
        summary.documents += len(observation.matrix)
        if len(held_ids) >= PART_DOCUMENTS:
            parts.write(held_ids, concatenate(held), cut)
            held, held_ids, cut = [], [], 0
        progress(summary.documents)
    if held_ids:
        parts.write(held_ids, concatenate(held), cut)


def _batches(stream: Iterator[Document], size: int) -> Iterator[list[Document]]:
    """Documents, a limited number of documents and characters at a time."""
    batch: list[Document] = []
    room = BATCH_CHARACTERS
    for document in stream:
        batch.append(document)
        room -= len(document.text)
        if len(batch) == size or room <= 0:
            yield batch
            batch, room = [], BATCH_CHARACTERS
    if batch:
        yield batch


def _run_here(encoder: Encoder, batches: Iterable[list[str]]) -> Iterator[Observation]:
    for texts in batches:
        yield Observation(encoder.encode_documents(texts), 0) if encoder.learns else encoder.observe(texts)


def _skip(stream: Iterator[Document], ids: list[str], path: Path, seen: SeenIds) -> None:
    """Leave out documents that are done, and make sure that they are the same."""
    for wanted, found in zip(ids, itertools.islice(stream, len(ids)), strict=False):
        if wanted != found.id:
            raise InputError(
                f"{path}.parts holds document {wanted!r} where the source has {found.id!r}: the source changed; "
                "delete the folder to start again"
            )
    _refuse_repeated(seen, ids)


def _refuse_repeated(seen: SeenIds, ids: list[str]) -> None:
    for at in seen.add(ids):
        raise InputError(f"the id {ids[at]!r} was given before; every document needs an id of its own")
