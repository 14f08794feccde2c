"""How good is this encoder, or this index, on that collection? Indexed where needed, asked and measured."""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from lsr import encoders
from lsr.corpus import DocumentReader
from lsr.errors import InputError
from lsr.eval import (
    DEFAULT_MEASURES,
    Certificate,
    Evidence,
    Question,
    Run,
    SweepPoint,
    TestCollection,
    Values,
    check_evidence,
    convention,
    data_checksums,
    depth_of,
    histogram,
    is_judgements,
    load_collection,
    load_judged,
    measured,
    parse_measures,
    provenance,
    run_checksum,
    subtopics_for,
    values_checksum,
)
from lsr.index.live.snapshots import verify
from lsr.measuring.sweep import sweep
from lsr.measuring.systems import SparseSystem, System, Way, answer, build_system
from lsr.retrieval.ingest import Progress
from lsr.retrieval.ingest import Silence as Quiet
from lsr.retrieval.searcher import Searcher

SEED = 0  # of samples and resamples
Prepare = Callable[[Searcher | None, TestCollection], tuple[Searcher | None, TestCollection]]


class Listener(Progress, Protocol):
    """Is told of documents and queries."""

    def reading(self, reader: DocumentReader) -> None:
        """Documents will be encoded from here."""

    def searched(self, done: int, total: int) -> None:
        """So many queries are answered."""


class Silence(Quiet):
    """A `Listener` that ignores everything."""

    def reading(self, reader: DocumentReader) -> None:
        """Ignore it."""

    def searched(self, done: int, total: int) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class Evaluation:
    """What came out.

    Attributes:
        question: what was asked.
        collection: judged queries.
        documents: their number.
        run: what was found.
        values: how good it is.
        efficiency: what a search costs; ``documents_per_second`` is None where an index was given.
        about: encoder, fingerprint, engine, settings, search.
        lengths: histogram of terms a document.
        sweep: other ways to search the index; empty where it was made for this, or is searched exactly.
    """

    question: Question
    collection: TestCollection
    documents: int
    run: Run
    values: Values
    efficiency: dict[str, Any]
    about: dict[str, Any]
    lengths: list[tuple[float, int]]
    sweep: list[SweepPoint]

    def certificate(self, command: list[str]) -> Certificate:
        """Everything that decided the numbers; reads the corpus once more."""
        path = self.collection.path
        documents = () if is_judgements(path) else DocumentReader([path])  # else the index's files stand for them
        data = data_checksums(self.collection, documents)
        if self.question.index:
            state = verify(Path(self.question.index))
            files = [state.about.encoder_files, {name: info.files for name, info in state.segments.items()}]
            data["index"] = hashlib.sha256(msgspec.json.encode(files, order="sorted")).hexdigest()
        return Certificate(
            question=self.question,
            data=data,
            system=self.about,
            seed=SEED,
            measures=self.values.measures,
            per_query=values_checksum(self.values.per_query),
            run=run_checksum(self.run),
            efficiency=self.efficiency,
            made=provenance(),
            command=command,
        )


def evaluate_system(
    question: Question, listener: Listener | None = None, with_sweep: bool = False, prepare: Prepare | None = None
) -> Evaluation:
    """Ask all queries of a collection and measure.

    Args:
        question: what to measure; without encoder and index the default model.
        listener: told of every step; None means nobody.
        prepare: changes what a system is asked: other queries, and for an index (None: dense vectors) another encoder
            for them.
        with_sweep: also search an approximate index in every way that it knows.

    Raises:
        InputError: an encoder and an index, unknown measures or convention, or a collection that cannot be read.
        EncoderError: the encoder cannot be loaded.
        StorageError: the index cannot be opened.
    """
    if question.encoder and question.index:
        raise InputError("--encoder and --index exclude each other: an index keeps its own encoder")
    listener = listener or Silence()
    names = question.measures or DEFAULT_MEASURES
    measures, rules = parse_measures(names), convention(question.convention)
    collection = (load_judged if question.topics else load_collection)(question.dataset, question.split)
    if is_judgements(collection.path) and not question.index:
        raise InputError(f"{collection.path} holds judgements, no documents: give --index DIR, an index of them")
    encoder = None if question.index else question.encoder or encoders.DEFAULT
    question = replace(question, measures=tuple(names), encoder=encoder, split=collection.split)
    depth = depth_of(measures) + rules.drops_self
    topics = subtopics_for(measures, collection.path, collection.split)
    check_evidence([one for one in measures if one.NAME != "ILD"], Evidence(topics))  # before hours of encoding
    with _opened(question, collection, listener) as (system, rate):
        if prepare:
            asked = system.searcher if isinstance(system, SparseSystem) else None
            searcher, collection = prepare(asked, collection)
            system = SparseSystem(searcher, system.way) if searcher and isinstance(system, SparseSystem) else system
        texts = list(collection.queries.values())
        run = answer(system, collection.queries, depth, lambda done: listener.searched(done, len(texts)))
        evidence = Evidence(topics, system.vectors)
        values = measured(collection.qrels, run, names, question.convention, evidence)
        points = []
        if with_sweep and isinstance(system, SparseSystem) and not system.way.exact:
            points = sweep(system.searcher, collection, measures, rules, depth, evidence)
        costs = {"documents_per_second": rate, **system.costs(texts, question.threads)}
        known = (system.about(), histogram(system.lengths()), points)
    return Evaluation(question, collection, system.documents, run, values, costs, *known)


@contextmanager
def _opened(
    question: Question, collection: TestCollection, listener: Listener
) -> Iterator[tuple[System, float | None]]:
    """The system, and the documents it indexed a second."""
    if question.index:
        yield SparseSystem(Searcher.open(question.index), Way(exact=question.exact)), None
        return
    encoder = encoders.load(question.encoder or encoders.DEFAULT, truncate=question.truncate)
    reader = DocumentReader([collection.path])
    listener.reading(reader)
    with tempfile.TemporaryDirectory(prefix="lsr-eval-") as temporary:
        started = time.perf_counter()
        system = build_system(encoder, reader, Path(temporary) / "index", Way(exact=True), progress=listener)
        yield system, system.documents / (time.perf_counter() - started)
