"""What can be measured: which systems answer the queries of a collection, and at what cost?

A `System` ranks documents and says what that takes. `SparseSystem` is an index folder and a way to search it,
`DenseSystem` a matrix that is searched exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.encoders import Encoder, Observation
from lsr.encoders.neural import NeuralEncoder
from lsr.eval import Ranking, Run, Subject, flops, measure_efficiency, run_queries
from lsr.index import IndexSettings, TopK
from lsr.index.storage.places import size_of
from lsr.measuring.dense import DenseVectors, encode_documents, search_dense
from lsr.retrieval.ingest import Progress, index_documents
from lsr.retrieval.searcher import Searcher
from lsr.sparse import SparseMatrix, concatenate

SAMPLE = 2000  # vectors of each side for FLOPS
Heard = Callable[[int], None]


class System(Protocol):
    """Anything that answers queries given as text."""

    documents: int

    def rank(self, texts: Sequence[str], k: int) -> Sequence[Ranking]:
        """(document id, score) of the best k documents of each query, best first."""

    def costs(self, texts: Sequence[str], threads: int = 1) -> dict[str, Any]:
        """What `measure_efficiency` measures, and sizes: document_terms, bytes_per_document, flops (None if dense)."""

    def about(self) -> dict[str, Any]:
        """What was measured: encoder, fingerprint, engine, settings, search."""

    def lengths(self) -> NDArray[np.int64]:
        """Terms of each document, int64[N]; of a dense system none, int64[0]."""

    def vectors(self, ids: Sequence[str]) -> SparseMatrix:
        """The vectors of documents, one row each, [len(ids), dim]."""


@dataclass(frozen=True)
class Way:
    """How an index is searched: exactly, or for a recall, or with changed settings, or with its own.

    Attributes:
        exact: leave nothing out that could matter.
        recall: share of the true best k to find on average.
        changes: of the engine's settings.
    """

    exact: bool = False
    recall: float | None = None
    changes: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """In words."""
        if self.exact:
            return "exact"
        if self.recall is not None:
            return f"recall {self.recall:g}"
        words = ", ".join(f"{name} {value:g}" for name, value in (self.changes or {}).items())
        return f"approximate ({words})" if words else "approximate"


def ways_of(searcher: Searcher, k: int = 10) -> list[Way]:
    """The ways that an index knows: exact, with its own settings, and with every setting of its frontier."""
    known = [Way(changes=changes) for changes in searcher.generation.known_settings(k)]
    return [Way(exact=True), Way(), *known]


class SparseSystem:
    """An index and its encoder, searched in one ``way``."""

    def __init__(self, searcher: Searcher, way: Way) -> None:
        self.searcher, self.way = searcher, way
        self.documents = len(searcher.generation)

    def rank(self, texts: Sequence[str], k: int) -> list[Ranking]:
        """Best documents of each query."""
        vectors = self.searcher.encoder.encode_queries(texts)
        return self.searcher.ranked(lambda rows: self.search(vectors, rows), k)

    def search(self, vectors: SparseMatrix, k: int, threads: int = 1) -> TopK:
        """Best rows for vectors."""
        index, way = self.searcher.generation, self.way
        if way.changes is not None:
            return index.search(vectors, k, settings=dict(way.changes))
        return index.search(vectors, k, exact=way.exact, recall=way.recall, threads=threads)

    def costs(self, texts: Sequence[str], threads: int = 1) -> dict[str, Any]:
        """Time, sizes and work of the first queries."""
        index, encoder = self.searcher.generation, self.searcher.encoder
        self.searcher.warm_up()  # kernels, as the service has them, not the scan of a process that asks once
        subject = Subject(
            encoder.encode_queries,
            lambda vectors, k, threads: self.search(vectors, k, threads).rows,
            None if self.way.exact else lambda vectors, k: index.search(vectors, k, exact=True).rows,
        )
        rows = np.random.default_rng(0).choice(index.alive.rows, min(len(index), SAMPLE), replace=False)
        sample = concatenate([index.vector(row) for row in rows.tolist()])
        return {
            **asdict(measure_efficiency(subject, texts, threads)),
            "document_terms": int(index.terms_per_document().sum()) / len(index),
            "bytes_per_document": size_of(index.folder) / len(index),
            "flops": flops(encoder.encode_queries(texts[:SAMPLE]), sample),
        }

    def about(self) -> dict[str, Any]:
        """Encoder, engine, way."""
        encoder, settings = self.searcher.encoder, dict(self.searcher.generation.summary.about.settings)
        engine = settings.pop("engine")
        return {
            "encoder": encoder.name,
            "fingerprint": encoder.fingerprint,
            "engine": engine,
            "settings": settings,
            "search": self.way.name,
        }

    def lengths(self) -> NDArray[np.int64]:
        """Terms of each document. int64[N]."""
        return self.searcher.generation.terms_per_document()

    def vectors(self, ids: Sequence[str]) -> SparseMatrix:
        """As indexed, [len(ids), dim]."""
        return concatenate([self.searcher.generation.vector(self._rows[name]) for name in ids])

    @cached_property
    def _rows(self) -> dict[str, int]:
        index = self.searcher.generation
        return {index.document_id(row): row for row in index.alive.rows.tolist()}


class DenseSystem:
    """A dense encoder and the vectors of all documents, every one of which is scored.

    Args:
        encoder: with ``encode_dense``.
        documents: to encode; read once.
        folder: where vectors are kept in parts, so that a stopped run goes on.
        progress: called with the number of documents encoded.
    """

    def __init__(
        self, encoder: Any, documents: Sequence[Document], folder: Path, progress: Heard = lambda done: None
    ) -> None:
        self.encoder = encoder
        self._ids = [document.id for document in documents]
        self._vectors = encode_documents(encoder, [document.full_text for document in documents], folder, progress)
        self.documents = len(self._ids)

    def rank(self, texts: Sequence[str], k: int) -> list[Ranking]:
        """Best documents of each query."""
        found = self.search(self._encode(texts), k)
        pairs = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        return [[(self._ids[row], score) for row, score in zip(*pair, strict=True)] for pair in pairs]

    def search(self, vectors: DenseVectors, k: int) -> TopK:
        """Best rows for vectors."""
        return search_dense(self._vectors, vectors.values, k)

    def costs(self, texts: Sequence[str], threads: int = 1) -> dict[str, Any]:
        """Time and sizes; the matrix product takes the threads that numpy gives it."""
        subject = Subject(self._encode, lambda vectors, k, threads: self.search(vectors, k).rows, None)
        measured = asdict(measure_efficiency(subject, texts, threads))
        width = self._vectors.shape[1]
        return {**measured, "document_terms": float(width), "bytes_per_document": 4.0 * width, "flops": None}

    def about(self) -> dict[str, Any]:
        """Encoder and width."""
        name, mark = self.encoder.name, self.encoder.fingerprint
        settings = {"width": self._vectors.shape[1]}
        return {"encoder": name, "fingerprint": mark, "engine": "dense", "settings": settings, "search": "exact"}

    def lengths(self) -> NDArray[np.int64]:
        """None. int64[0]."""
        return np.zeros(0, np.int64)

    def vectors(self, ids: Sequence[str]) -> SparseMatrix:
        """Every number is a term, [len(ids), H]."""
        row = {name: at for at, name in enumerate(self._ids)}
        found = np.ascontiguousarray(self._vectors[[row[name] for name in ids]], np.float32)
        count, width = found.shape
        terms = np.tile(np.arange(width, dtype=np.uint32), count)
        return SparseMatrix(np.arange(count + 1) * width, terms, found.ravel(), width)

    def _encode(self, texts: Sequence[str]) -> DenseVectors:
        return DenseVectors(self.encoder.encode_dense(texts, query=True))


def is_dense(encoder: Encoder) -> bool:
    """Whether its vectors go into no inverted index."""
    return isinstance(encoder, NeuralEncoder) and encoder.declaration.dense


def build_system(
    encoder: Encoder,
    documents: Iterable[Document],
    folder: Path,
    way: Way,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
    observe: Callable[[Sequence[str]], Observation] | None = None,
) -> System:
    """What answers queries over ``documents``: an index in ``folder``, or for a dense encoder its vectors there.

    Args:
        encoder: sparse or dense.
        documents: read once.
        folder: for the index alone.
        way: to search a sparse index.
        settings: of the engine.
        progress: told of every step.
        observe: as for `index_documents`.
    """
    if is_dense(encoder):
        heard = progress.encoded if progress else lambda done: None
        return DenseSystem(encoder, list(documents), folder, heard)
    encoder = encoder.fresh()
    index_documents(documents, encoder, folder, settings, progress, observe)
    return SparseSystem(Searcher.open(folder, encoder), way)


def answer(system: System, queries: Mapping[str, str], depth: int, progress: Heard = lambda done: None) -> Run:
    """The run of ``system`` over ``queries``, after one untimed query."""
    system.rank(["warm up"], 1)
    return run_queries(system.rank, queries, depth, progress)
