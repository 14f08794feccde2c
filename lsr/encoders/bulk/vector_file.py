"""How do the vectors of a corpus get into one Parquet file, even if the work is killed on the way?

Batches are gathered into parts, ``FILE.parts/part-000000.parquet`` and on; a part takes its name in one step, when it
is whole, and says which texts and which encoder it comes from. Started again with the same source and encoder, the work
goes on after the last whole part. At the end the parts become ``FILE``, again in one step.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq

from lsr.corpus import Document, SeenIds
from lsr.corpus.layouts.parquet import open_parquet
from lsr.corpus.text_parts import PARTS
from lsr.encoders.base import Encoder, Observation
from lsr.errors import InputError, MismatchError, StorageError
from lsr.formats.parquet import SCHEMA, terms_entry, vector_table
from lsr.replacing import LOCK, replace_file, sole_writer, target_of
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


def observe_all(
    documents: Iterable[Document], encoder: Encoder, progress: Callable[[int], None] = lambda documents: None
) -> None:
    """Let an encoder that learns from a corpus see all ``documents``."""
    done = 0
    for batch in _batches(iter(documents), encoder.batch_documents):
        encoder.observe([document.weighted_text for document in batch])
        done += len(batch)
        progress(done)


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
        encoder: one that weighs documents by their corpus has seen it (`observe_all`).
        path: the file; one that is there is replaced at the very end.
        progress: called with the number of documents done.
        run: turns batches of texts into observations in order; None means this process does it.

    Raises:
        InputError: an id given twice, no documents, or a source other than that of the parts that are there.
        MismatchError: the parts that are there come from another encoder.
        StorageError: a part is damaged, or another process writes ``path``.
        EncoderError: the encoder has not seen the corpus that it needs.
    """
    path = target_of(path)
    parts, folder = _Parts(path, encoder), _folder_of(path)
    with sole_writer(folder, path):
        try:
            return _write(iter(documents), encoder, parts, progress, run or (lambda texts: map(encoder.encoded, texts)))
        finally:
            if parts.count == 0:  # nothing to go on from, or all of it in the file
                _remove(folder)


def _write(
    stream: Iterator[Document], encoder: Encoder, parts: _Parts, progress: Callable[[int], None], run: Batches
) -> EncodeSummary:
    summary, ids = EncodeSummary(), SeenIds()
    while found := parts.read():
        _skip(stream, found, parts, ids)
        summary.documents += len(found.ids)
    summary.resumed = summary.documents
    progress(summary.documents)
    _encode(stream, encoder, parts, summary, progress, run, ids)
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


class _Part(NamedTuple):
    """Ids of a part, and a hash of ids and texts."""

    ids: list[str]
    texts: str


class _Seen:
    """The documents of a part, as they come."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self._digest = hashlib.sha256()

    def add(self, documents: Iterable[Document]) -> None:
        for document in documents:
            self.ids.append(document.id)
            parts = document.fields.get(PARTS)
            for text in (document.id, document.full_text, *([str(parts)] if parts else [])):
                content = text.encode("utf-8", "surrogatepass")
                self._digest.update(len(content).to_bytes(8, "little") + content)

    @property
    def part(self) -> _Part:
        return _Part(self.ids, self._digest.hexdigest())


def _folder_of(path: Path) -> Path:
    return path.with_name(path.name + ".parts")


def _remove(folder: Path) -> None:
    """Remove what is ours, and the folder unless somebody keeps more there."""
    for path in (*folder.glob("part-[0-9]*.parquet"), *folder.glob(".part-[0-9]*.new"), folder / LOCK):
        path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


class _Parts:
    """The parts of one file, in order.

    Attributes:
        folder: where they are.
        count: how many there are to go on from.
        counts: what they hold together.
    """

    def __init__(self, path: Path, encoder: Encoder) -> None:
        self._path, self.folder = path, _folder_of(path)
        self._about = {"encoder": encoder.name, "fingerprint": encoder.fingerprint}
        self._terms = encoder.terms
        self.count = 0
        self.counts = {"truncated": 0, "empty": 0, "nonzeros": 0}
        self._dim = 0

    def read(self) -> _Part | None:
        """The next part; None where it is not there.

        Raises:
            MismatchError: it comes from another encoder.
            StorageError: it is damaged.
        """
        path = self._name(self.count)
        if not path.is_file():
            return None
        self.count += 1
        try:
            with open_parquet(path) as file:
                ids = file.read(columns=["id"]).column("id").to_pylist()
                metadata = {key.decode(): value.decode() for key, value in (file.metadata.metadata or {}).items()}
            self._add(metadata)
            part = _Part(ids, metadata["texts"])
        except (InputError, KeyError, ValueError) as error:
            raise StorageError(f"{path} is damaged ({error}); delete it and the later parts to go on") from None
        if metadata.get("fingerprint") != self._about["fingerprint"]:
            raise MismatchError(f"{self.folder} comes from another encoder, or corpus; delete it to start again")
        return part

    def write(self, part: _Part, matrix: SparseMatrix, truncated: int) -> None:
        """One more part, whole or not at all."""
        empty = int((matrix.indptr[1:] == matrix.indptr[:-1]).sum())
        counts = {"truncated": truncated, "empty": empty, "nonzeros": matrix.nnz, "dim": matrix.dim}
        metadata = {**self._about, "texts": part.texts, **{key: str(value) for key, value in counts.items()}}
        table = vector_table(part.ids, matrix).replace_schema_metadata(metadata)
        replace_file(self._name(self.count), lambda new: pq.write_table(table, new, compression="zstd"))
        self._add(metadata)
        self.count += 1

    def publish(self, summary: EncodeSummary) -> None:
        """All parts as one file; then they are gone."""
        summary.truncated, summary.empty = self.counts["truncated"], self.counts["empty"]
        summary.nonzeros = self.counts["nonzeros"]
        counts = {"dim": str(self._dim), "documents": str(summary.documents)}
        about = {**self._about, **counts, "terms": terms_entry(self._terms)}

        def merge(new: Path) -> None:
            with pq.ParquetWriter(new, SCHEMA.with_metadata(about), compression="zstd") as writer:
                for number in range(self.count):
                    writer.write_table(pq.read_table(self._name(number)).replace_schema_metadata(about))

        replace_file(self._path, merge)
        self.count = 0

    def _add(self, metadata: dict[str, str]) -> None:
        for key in self.counts:
            self.counts[key] += int(metadata[key])
        self._dim = max(self._dim, int(metadata["dim"]))

    def _name(self, number: int) -> Path:
        return self.folder / f"part-{number:06d}.parquet"


def _encode(
    stream: Iterator[Document],
    encoder: Encoder,
    parts: _Parts,
    summary: EncodeSummary,
    progress: Callable[[int], None],
    run: Batches,
    ids: SeenIds,
) -> None:
    waiting: list[list[Document]] = []

    def texts() -> Iterator[list[str]]:
        for batch in _batches(stream, encoder.batch_documents):
            _refuse_repeated(ids, [document.id for document in batch])
            waiting.append(batch)
            yield [document.weighted_text for document in batch]

    held: list[SparseMatrix] = []
    seen, cut = _Seen(), 0
    for observation in run(texts()):
        held.append(observation.matrix)
        seen.add(waiting.pop(0))
        cut += observation.truncated
        summary.documents += len(observation.matrix)
        if len(seen.ids) >= PART_DOCUMENTS:
            parts.write(seen.part, concatenate(held), cut)
            held, seen, cut = [], _Seen(), 0
        progress(summary.documents)
    if seen.ids:
        parts.write(seen.part, concatenate(held), cut)


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


def _skip(stream: Iterator[Document], part: _Part, parts: _Parts, seen: SeenIds) -> None:
    """Leave out documents that are done, and make sure that they are the same."""
    again = _Seen()
    for wanted in part.ids:
        again.add(document := list(itertools.islice(stream, 1)))
        if again.ids[-1:] != [wanted]:
            has = f"has {document[0].id!r}" if document else "ends"
            raise InputError(
                f"{parts.folder} holds document {wanted!r} where the source {has}: the source changed; "
                "delete the folder to start again"
            )
    if again.part != part:
        raise InputError(
            f"{parts.folder} holds vectors of other texts of the documents {part.ids[0]!r} to {part.ids[-1]!r}: the "
            "source changed; delete the folder to start again"
        )
    _refuse_repeated(seen, part.ids)


def _refuse_repeated(seen: SeenIds, ids: list[str]) -> None:
    for at in seen.add(ids):
        raise InputError(f"the id {ids[at]!r} was given before; every document needs an id of its own")
