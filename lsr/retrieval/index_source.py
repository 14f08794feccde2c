"""Which vectors does an index hold? Those of its documents, with ids, texts and names of terms, as any source does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lsr.corpus.sources import Source
from lsr.encoders import Encoder, PrecomputedVectors
from lsr.errors import InputError
from lsr.formats import Format, VectorBatch, VectorSource, Vocabulary
from lsr.formats.source import size_of
from lsr.formats.vectors import ROWS, sorted_rows
from lsr.index.storage import catalogue, format_2
from lsr.retrieval.searcher import Searcher


def vector_source(sources: Source | Iterable[Source], format_name: str | None = None) -> VectorSource:
    """The vectors of files, as `VectorSource` reads them, and of index folders.

    Raises:
        InputError: no such file, or of an unknown format.
    """
    return VectorSource(sources, format_name, lambda path: INDEX if is_index(path) else None)


def is_index(path: Path) -> bool:
    """Whether ``path`` looks like the folder of a collection, whole or not."""
    return catalogue.is_there(path) or ((path / format_2.NAME).is_file() and any(path.glob("generation-*")))


def encoder_of(source: VectorSource) -> Encoder | None:
    """The encoder that made the vectors, where they are those of one index."""
    return Searcher.open(source.paths[0]).encoder if source.format_names == [INDEX.name] else None


def _read(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    searcher = Searcher.open(path)
    collection, encoder, size = searcher.generation, searcher.encoder, size_of(path)
    if collection.has_passages:
        raise InputError(f"{path} holds passages, of which documents have several: read the source it was made from")
    new = vocabulary.renumber(_names(encoder), max(encoder.dim, collection.dim))
    if not isinstance(encoder, PrecomputedVectors):
        vocabulary.about.update(encoder=encoder.name, fingerprint=encoder.fingerprint)
    done = 0
    for documents, matrix in collection.batches(ROWS):
        done += len(documents)
        terms = matrix.terms if new is None else new[matrix.terms]
        rows = sorted_rows(np.diff(matrix.indptr), terms, matrix.values, vocabulary.dim, str)
        yield VectorBatch(documents, rows, size * done // len(collection))


def _names(encoder: Encoder) -> list[str] | None:
    """Of the terms; None where they are numbers."""
    return None if isinstance(encoder, PrecomputedVectors) and not encoder.named else list(encoder.terms)


def _write(*_: object) -> None:
    raise InputError("an index is written by lsr index: lsr index VECTORS --out DIR")


INDEX = Format("index", "an index folder of lsr", (), _read, _write)
