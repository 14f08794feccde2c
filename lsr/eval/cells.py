"""What is known of one system on one collection? A cell: a JSON file and a run file, whole or not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus.layouts.json_text import json_value
from lsr.errors import InputError, StorageError
from lsr.eval.collections.collection import Qrels
from lsr.eval.measures.evaluate import evaluate, is_sum
from lsr.eval.measures.more_than_grades import Evidence
from lsr.eval.measures.names import parse_measures
from lsr.eval.measures.significance import confidence_interval
from lsr.eval.runs.conventions import CONVENTIONS, convention, explain_oddities, oddities
from lsr.eval.runs.run import Run, write_trec_run
from lsr.eval.runs.run_files import read_run
from lsr.replacing import replace_file


class SweepPoint(msgspec.Struct, frozen=True):
    """One way to search an index: share of the exact best 10 found, median microseconds, means of the measures."""

    way: str
    recall: float
    p50_us: float
    measures: dict[str, float]


class Values(msgspec.Struct, frozen=True):
    """How good a run is.

    Attributes:
        convention: by whose rules.
        measures: means.
        intervals: their 95 % ends.
        per_query: by measure and query.
        notes: what the convention decided.
        by_convention: means under every convention that has one; beir has none where nothing was found.
    """

    convention: str
    measures: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    per_query: dict[str, dict[str, float]]
    notes: list[str]
    by_convention: dict[str, dict[str, float]] = {}


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One system on one collection.

    Attributes:
        key: hash of everything that decides the run.
        system, collection: names.
        documents: in the collection.
        values: how good.
        made: date, versions and machine.
        about: encoder, fingerprint, engine, settings, search; or what was fused.
        efficiency: what a search costs; empty for fusions and run files.
        lengths: (terms, documents with at most so many and more than the last); empty where there are none.
        sweep: other ways to search the index, for approximate engines.
    """

    key: str
    system: str
    collection: str
    documents: int
    values: Values
    made: dict[str, Any]
    about: dict[str, Any]
    efficiency: dict[str, Any] = {}
    lengths: list[tuple[float, int]] = []
    sweep: list[SweepPoint] = []


def measured(
    qrels: Qrels,
    run: Run,
    names: Sequence[str],
    rules_name: str,
    evidence: Evidence = Evidence(),  # noqa: B008  immutable
) -> Values:
    """How good ``run`` is by the convention called ``rules_name``, and the means by the others."""
    rules, measures = convention(rules_name), parse_measures(names)
    scores = evaluate(qrels, run, measures, rules, evidence)
    counted = {str(measure): len(scores.per_query[str(measure)]) if is_sum(measure) else 1 for measure in measures}
    intervals = {name: _interval([*scores.per_query[name].values()], times) for name, times in counted.items()}
    answered = any(run.get(query) for query in qrels)
    known = [other for other in CONVENTIONS.values() if answered or other.counts_missing]
    means = {other.name: evaluate(qrels, run, measures, other, evidence).mean for other in known}
    notes = explain_oddities(oddities(qrels, run, rules), rules)
    return Values(rules.name, scores.mean, intervals, scores.per_query, notes, means)


def _interval(values: Sequence[float], times: int) -> tuple[float, float]:
    """Ends of the interval of the mean, or of the sum of so many values."""
    _, low, high = confidence_interval(values)
    return times * low, times * high


def histogram(lengths: NDArray[np.int64], bins: int = 40) -> list[tuple[float, int]]:
    """(upper edge, documents) of bins of equal width; none for no documents. ``lengths`` is int64[N]."""
    if not lengths.size:
        return []
    top = max(1, int(lengths.max()))
    counts, edges = np.histogram(lengths, bins=min(bins, top), range=(0, top))
    return list(zip(edges[1:].tolist(), counts.tolist(), strict=True))


class CellStore:
    """The cells in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, system: str, collection: str) -> Path:
        """Of the JSON; the run lies beside it."""
        return self.folder / collection / f"{slug(system)}.json"

    def read(self, system: str, collection: str) -> Cell | None:
        """The cell, or None where there is no whole one.

        Raises:
            StorageError: it is damaged.
        """
        path = self.path(system, collection)
        if not path.is_file():
            return None
        try:
            cell: Cell = json_value(path.read_bytes(), Cell)
        except InputError as fault:
            raise StorageError(f"{path} is damaged ({fault}); delete it to measure again") from None
        return cell

    def run(self, system: str, collection: str) -> Run:
        """The run of a cell that is there."""
        stored = read_run(self._run_path(system, collection))
        return {unquote(query): [(unquote(name), score) for name, score in hits] for query, hits in stored.items()}

    def write(self, cell: Cell, run: Run | None = None) -> None:
        """Keep a cell: the run first, then the JSON, each in one step; without ``run`` the old one stays."""
        path = self.path(cell.system, cell.collection)
        path.parent.mkdir(parents=True, exist_ok=True)
        if run is not None:
            path.unlink(missing_ok=True)  # an old JSON never stands beside a new run
            columns = {_column(query): [(_column(name), score) for name, score in hits] for query, hits in run.items()}
            target, tag = self._run_path(cell.system, cell.collection), slug(cell.system)
            replace_file(target, lambda new: write_trec_run(new, columns, tag))
        replace_file(path, lambda new: new.write_bytes(msgspec.json.format(msgspec.json.encode(cell))))

    def _run_path(self, system: str, collection: str) -> Path:
        return self.path(system, collection).with_suffix(".run")


def _column(name: str) -> str:
    """An id without white space, which separates columns: "Ann Lee" is kept as Ann%20Lee."""
    return re.sub(r"[%\s]", lambda found: quote(found[0]), name)


def slug(name: str) -> str:
    """A file name for a system."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "system"
