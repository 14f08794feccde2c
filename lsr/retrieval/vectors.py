"""How are vectors that were made elsewhere indexed and asked for? Their terms are matched to the index's by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder, PrecomputedVectors, Span
from lsr.errors import InputError, MismatchError
from lsr.formats import VectorSource, Vocabulary
from lsr.formats.vectors import sorted_rows
from lsr.index import IndexSettings
from lsr.retrieval.index_source import encoder_of
from lsr.retrieval.ingest import Encoded, IndexSummary, Progress, write_index
from lsr.sparse import SparseMatrix, check_summable, concatenate

UNKNOWN = -1
MOST_NUMBERED = 2**24  # terms of an index that have no names: each takes place, whether it occurs or not


def index_vectors(
    source: VectorSource,
    folder: str | Path,
    encoder: Encoder | None = None,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
) -> IndexSummary:
    """Make the vectors of ``source`` the index in ``folder``, without encoding anything.

    Args:
        source: read once.
        folder: an index there is replaced at the very end.
        encoder: the one that made the vectors; it will encode the queries. None takes that of an index whose vectors
            they are, or keeps the vocabulary alone: queries are vectors then, or tokens.
        settings: of the index.
        progress: told of every step.

    Raises:
        InputError: what the source raises, an id twice, weights that could make a score infinite, numbers of terms
            above 16,777,216, or no vectors.
        MismatchError: the vectors come from another encoder.
        StorageError: the folder cannot be written.
    """
    if encoder is not None and encoder.learns:
        raise InputError(f"--encoder {encoder.name} learns from texts: leave it out, or index the texts")
    maker = encoder or encoder_of(source) or PrecomputedVectors(source.vocabulary)
    return write_index(_batches(source, encoder), lambda: maker, folder, settings, progress, weigh=lambda rows: rows)


def _batches(source: VectorSource, encoder: Encoder | None) -> Iterator[Encoded]:
    terms = TermMap(source.vocabulary, encoder.terms) if encoder else None
    first = 1
    for documents, matrix, *_ in source:
        check_summable(matrix, lambda row: f"document {documents[row].id!r}")  # noqa: B023
        _check_size(source.vocabulary)
        if encoder and terms:
            _check_maker(source, encoder)
            matrix = terms(matrix)
            if terms.unknown:
                raise MismatchError(f"the term {terms.unknown[0]!r} is not in the vocabulary of {encoder.name}")
        places = [f"vector {first + i}" for i in range(len(documents))]
        first += len(documents)
        yield Encoded(documents, places, matrix, 0)


def _check_size(vocabulary: Vocabulary) -> None:
    if not vocabulary.named and vocabulary.dim > MOST_NUMBERED:
        raise InputError(
            f"found numbers of terms up to {vocabulary.dim - 1:,}, an index takes those below {MOST_NUMBERED:,}: make "
            "names of them, in documents and queries, by lsr convert FILE vectors.jsonl --to seismic"
        )


def _check_maker(source: VectorSource, encoder: Encoder) -> None:
    made_by = source.vocabulary.about.get("fingerprint", encoder.fingerprint)
    if made_by != encoder.fingerprint:
        raise MismatchError(
            f"the vectors come from {source.vocabulary.about.get('encoder', 'another encoder')} ({made_by[:12]}), not "
            f"from {encoder.name} ({encoder.fingerprint[:12]}): encode the texts again, or name the right encoder"
        )


class TermMap:
    """Rows over one vocabulary become rows over another: by name, or by number where the first has no names."""

    def __init__(self, vocabulary: Vocabulary, terms: Sequence[str]) -> None:
        self._vocabulary, self._terms = vocabulary, terms
        self._known: list[int] = []
        self._unknown: dict[str, None] = {}

    @property
    def unknown(self) -> list[str]:
        """Names of terms that the other vocabulary lacks."""
        return list(self._unknown)

    def __call__(self, matrix: SparseMatrix) -> SparseMatrix:
        """The same rows over the other vocabulary, without what is unknown there."""
        terms = self._by_name(matrix) if self._vocabulary.named else matrix.terms.astype(np.int64)
        kept = (terms != UNKNOWN) & (terms < len(self._terms))
        self._unknown.update(dict.fromkeys(self._vocabulary[int(t)] for t in np.unique(matrix.terms[~kept])))
        rows = np.repeat(np.arange(len(matrix)), np.diff(matrix.indptr))[kept]
        counts = np.bincount(rows, minlength=len(matrix))
        return sorted_rows(counts, terms[kept], matrix.values[kept], max(1, len(self._terms)), str)

    def _by_name(self, matrix: SparseMatrix) -> NDArray[np.int64]:
        new = (self._vocabulary[i] for i in range(len(self._known), len(self._vocabulary)))
        self._known += [self._numbers.get(name, UNKNOWN) for name in new]
        return np.array(self._known or [UNKNOWN], np.int64)[matrix.terms]

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._terms)}


class Topics(NamedTuple):
    """Encoded queries.

    Attributes:
        ids: of the queries.
        matrix: a row each, over the vocabulary of an index.
        unknown: terms that no document can have, left out.
    """

    ids: list[str]
    matrix: SparseMatrix
    unknown: list[str]


def read_vector_topics(source: VectorSource, encoder: Encoder) -> Topics:
    """Encoded queries for an index that ``encoder`` made.

    Raises:
        InputError: what the source raises, an id twice, or no queries.
        MismatchError: the vectors come from another encoder.
    """
    terms = TermMap(source.vocabulary, encoder.terms)
    ids: dict[str, None] = {}
    parts = []
    for documents, matrix, *_ in source:
        check_summable(matrix, lambda row: f"query {documents[row].id!r}")  # noqa: B023
        if not isinstance(encoder, PrecomputedVectors):
            _check_maker(source, encoder)
        for document in documents:
            if document.id in ids:
                raise InputError(f"the query {document.id!r} was given before; every query needs an id of its own")
            ids[document.id] = None
        parts.append(terms(matrix))
    if not parts:
        raise InputError("no queries: the file of topics is empty")
    return Topics(list(ids), concatenate(parts), terms.unknown)


class TopicEncoder(Encoder):
    """Stands before an index's encoder and gives the vectors of known queries, asked for by their id."""

    def __init__(self, topics: Topics, encoder: Encoder) -> None:
        self._topics, self._encoder, self.name = topics, encoder, encoder.name
        self._rows = {name: i for i, name in enumerate(topics.ids)}

    @property
    def terms(self) -> Sequence[str]:
        """Those of the index."""
        return self._encoder.terms

    @property
    def dim(self) -> int:
        """Number of terms of the index."""
        return self._encoder.dim

    @property
    def fingerprint(self) -> str:
        """That of the index."""
        return self._encoder.fingerprint

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """What the index's encoder gives."""
        return self._encoder.encode_documents(texts)

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """The rows of the queries with these ids; a text that is no id is an empty row."""
        empty = SparseMatrix.from_dicts([{}], self.dim)
        rows = [self._rows.get(text, -1) for text in texts]
        return concatenate([self._topics.matrix.slice(row, row + 1) if row >= 0 else empty for row in rows] or [empty])

    def spans(self, text: str) -> list[Span]:
        """What the index's encoder gives."""
        return self._encoder.spans(text)

    def save(self, folder: Path) -> None:
        """Save the index's encoder."""
        self._encoder.save(folder)
