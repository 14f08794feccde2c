"""How do systems compare on collections? Every cell of a suite, one after another; a killed run goes on.

The folder of a suite holds ``cells`` (`lsr.eval.cells`) and ``vectors``, the document vectors of networks in parts. A
cell is measured again when what decides its run has changed, and only then.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Protocol

import msgspec

from lsr import encoders
from lsr.corpus import DocumentReader
from lsr.encoders.bulk.vector_file import stored_vectors, write_vectors
from lsr.encoders.registry import bm25_language, fingerprint_of, folder_of
from lsr.errors import InputError
from lsr.eval import (
    Cell,
    CellStore,
    Evidence,
    Run,
    Suite,
    SweepPoint,
    SystemSpec,
    TestCollection,
    collection_name,
    convention,
    data_checksums,
    fuse,
    histogram,
    load_collection,
    measured,
    parse_measures,
    path_for,
    provenance,
    read_run,
    subtopics_for,
)
from lsr.index import IndexSettings
from lsr.measuring.sweep import sweep
from lsr.measuring.systems import DenseSystem, SparseSystem, System, Way, answer, build_system, is_dense

TIMED = 200  # queries whose time is taken, one a call


class PausedError(Exception):
    """The time given is over; what is done stays."""


class Listener(Protocol):
    """Is told how a suite proceeds."""

    def cell(self, done: int, total: int, name: str) -> None:
        """The cell ``name`` begins."""

    def step(self, what: str, done: int, total: int) -> None:
        """Within a cell."""


@dataclass(frozen=True)
class Outcome:
    """What a suite knows: cells by (system, collection), and why others are not there."""

    cells: dict[tuple[str, str], Cell]
    missing: dict[tuple[str, str], str]


class Judged:
    """A collection; its documents are read whenever they are needed, and never held."""

    def __init__(self, path: str, split: str | None) -> None:
        self.name, self._path, self._split = collection_name(path), path, split

    @cached_property
    def collection(self) -> TestCollection:
        """Queries and judgements."""
        return load_collection(self._path, self._split)

    @property
    def documents(self) -> DocumentReader:
        """All documents, from the first."""
        return DocumentReader([self.collection.path])

    @cached_property
    def ids(self) -> list[str]:
        """Of all documents."""
        return [document.id for document in self.documents]

    @cached_property
    def checksums(self) -> dict[str, str]:
        """Of documents, queries and judgements."""
        return data_checksums(self.collection, self.documents)


class Bench:
    """Runs a suite into a folder.

    Args:
        suite: what to measure.
        folder: of the results; made where it is not there.
        listener: told of every step.
        seconds: after so many, `run` stops at the next batch; None means never.
    """

    def __init__(self, suite: Suite, folder: Path, listener: Listener, seconds: float | None = None) -> None:
        self.suite, self.store, self._listener = suite, CellStore(folder / "cells"), listener
        self._vectors = folder / "vectors"
        self._stop_at = None if seconds is None else time.monotonic() + seconds
        self._by_name = {spec.name: spec for spec in suite.system}
        self._judged = {path: Judged(path, suite.split) for path in suite.collections}
        self._encoder = lru_cache(maxsize=1)(encoders.load)
        self._fingerprint = lru_cache(maxsize=None)(fingerprint_of)

    def run(self) -> Outcome:
        """Measure every cell that is not there yet.

        Raises:
            LsrError: a collection, an encoder or a run file that cannot be used.
        """
        outcome = Outcome({}, {})
        plan = list(self.suite.order())
        for data in self._judged.values():
            _ = data.collection  # faults show now, not after hours
        for done, (spec, path) in enumerate(plan):
            place = (spec.name, collection_name(path))
            self._listener.cell(done, len(plan), " on ".join(place))
            if reason := self._absence(spec, place[1], outcome):
                outcome.missing[place] = reason
                continue
            try:
                outcome.cells[place] = self._cell(spec, self._judged[path])
            except PausedError:
                outcome.missing[place] = "not measured yet"
        self._listener.cell(len(plan), len(plan), "")
        return outcome

    def _absence(self, spec: SystemSpec, collection: str, outcome: Outcome) -> str | None:
        """Why a system cannot be measured, or None."""
        if lacking := [name for name in spec.fuse if (name, collection) not in outcome.cells]:
            return outcome.missing[lacking[0], collection]
        wanted = spec.runs if spec.encoder is None or bm25_language(spec.encoder) else spec.encoder
        path = folder_of(path_for(str(wanted), collection)) if wanted else None
        if path is None or path.exists():
            return None
        if not spec.optional:
            raise InputError(f"system {spec.name!r}: no {path}; put it there, or say optional = true")
        return f"{path.name} is not here"

    def _cell(self, spec: SystemSpec, data: Judged) -> Cell:
        key = self._key(spec, data)
        cell = self.store.read(spec.name, data.name)
        if cell is None or cell.key != key:
            self._check_time()
            cell, run = self._measure(spec, data, key)
            self.store.write(cell, run)
        elif not self._measured(cell):
            run = self.store.run(spec.name, data.name)
            cell = msgspec.structs.replace(cell, values=self._values(data, run))
            self.store.write(cell)
        return cell

    def _measured(self, cell: Cell) -> bool:
        """Whether the cell has what the suite asks for."""
        names = {str(measure) for measure in parse_measures(self.suite.measures)}
        found = cell.values
        return found.convention == self.suite.convention and names <= {*found.measures} and bool(found.by_convention)

    def _values(self, data: Judged, run: Run) -> Any:
        topics = subtopics_for(parse_measures(self.suite.measures), data.collection.path, data.collection.split)
        return measured(data.collection.qrels, run, self.suite.measures, self.suite.convention, Evidence(topics))

    def _key(self, spec: SystemSpec, data: Judged) -> str:
        """Hash of what decides the run."""
        parts: list[object] = [data.checksums, self.suite.depth]
        if spec.fuse:
            parts += [[self._key(self._by_name[name], data) for name in spec.fuse], spec.method, spec.weights]
        elif spec.runs:
            parts.append(hashlib.sha256(_run_path(spec, data).read_bytes()).hexdigest())
        else:
            parts += [self._fingerprint(str(spec.encoder), spec.truncate), spec.engine, spec.recall]
        return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()

    def _measure(self, spec: SystemSpec, data: Judged, key: str) -> tuple[Cell, Run]:
        run, facts = self._run_of(spec, data)
        facts |= {"key": key, "system": spec.name, "collection": data.name, "documents": len(data.ids)}
        return Cell(values=self._values(data, run), made=provenance(), **facts), run

    def _run_of(self, spec: SystemSpec, data: Judged) -> tuple[Run, dict[str, Any]]:
        """A run, and what else is known of the system."""
        if spec.fuse:
            parts = [self.store.run(part, data.name) for part in spec.fuse]
            about = {"fuses": spec.fuse, "method": spec.method, "weights": spec.weights}
            return fuse(parts, spec.method, spec.weights, self.suite.depth), {"about": about}
        if spec.runs:
            found = read_run(_run_path(spec, data), data.collection.queries, set(data.ids))
            return found, {"about": {"run": spec.runs}}
        with self._open(spec, data) as system:
            return self._ask(system, data)

    def _ask(self, system: System, data: Judged) -> tuple[Run, dict[str, Any]]:
        queries = data.collection.queries
        run = answer(system, queries, self.suite.depth, self._heard("searching", len(queries)))
        facts = {"about": system.about(), "efficiency": system.costs(list(queries.values())[:TIMED])}
        points: list[SweepPoint] = []
        if isinstance(system, SparseSystem) and not system.way.exact:
            measures, rules = parse_measures(self.suite.measures), convention(self.suite.convention)
            points = sweep(system.searcher, data.collection, measures, rules, self.suite.depth)
        return run, {**facts, "lengths": histogram(system.lengths()), "sweep": points}

    @contextmanager
    def _open(self, spec: SystemSpec, data: Judged) -> Iterator[System]:
        encoder = self._encoder(spec.encoder, truncate=spec.truncate)
        if encoder.learns:  # statistics of another collection stay with it
            encoder = encoders.load(str(spec.encoder), truncate=spec.truncate)
        if is_dense(encoder):
            if spec.engine != "exact":
                raise InputError(f"system {spec.name!r} is dense: its engine is exact, found {spec.engine}")
            folder = self._vectors / f"{data.name}-{_mark(encoder, data)}"
            yield DenseSystem(encoder, list(data.documents), folder, self._heard("encoding", len(data.ids)))
            return
        way = Way(exact=spec.engine == "exact", recall=spec.recall)
        settings = IndexSettings("windowed" if spec.engine == "exact" else str(spec.engine))
        with tempfile.TemporaryDirectory(prefix="lsr-bench-") as temporary:
            index, observe = Path(temporary) / "index", self._observe(encoder, data)
            yield build_system(encoder, data.documents, index, way, settings, observe=observe)

    def _observe(self, encoder: encoders.Encoder, data: Judged) -> Any:
        """Vectors from the file that keeps them, written first; None for an encoder that learns from the corpus."""
        if encoder.learns:
            return None
        path = self._vectors / f"{data.name}-{_mark(encoder, data)}.parquet"
        if not path.is_file():
            write_vectors(data.documents, encoder, path, self._heard("encoding", len(data.ids)))
        return stored_vectors(path, encoder.dim)

    def _heard(self, what: str, total: int) -> Callable[[int], None]:
        def heard(done: int) -> None:
            self._listener.step(what, done, total)
            self._check_time()

        return heard

    def _check_time(self) -> None:
        if self._stop_at is not None and time.monotonic() > self._stop_at:
            raise PausedError


def _run_path(spec: SystemSpec, data: Judged) -> Path:
    return Path(path_for(str(spec.runs), data.name))


def _mark(encoder: Any, data: Judged) -> str:
    """Names the vectors of these documents by this encoder."""
    return hashlib.sha256(f"{encoder.fingerprint} {data.checksums['documents']}".encode()).hexdigest()[:16]
