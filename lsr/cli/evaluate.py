"""What does `lsr eval` do? Indexes where needed, asks all queries, measures, and shows a table."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from rich.table import Table

from lsr import encoders
from lsr.cli.console import out, progress_bars, say
from lsr.cli.index import IndexBars
from lsr.corpus import DocumentReader
from lsr.errors import InputError
from lsr.eval import (
    DEFAULT_MEASURES,
    Ranking,
    Run,
    Scores,
    TestCollection,
    check_trec_ids,
    confidence_interval,
    convention,
    depth_of,
    evaluate,
    explain_oddities,
    load_collection,
    oddities,
    parse_measures,
    run_queries,
    write_trec_run,
)
from lsr.retrieval import Searcher, index_documents


class Outputs(NamedTuple):
    """Files to write, or None."""

    run: Path | None
    json: Path | None


class Question(NamedTuple):
    """What to measure: names of measures, the judgements, the convention, and whether an index is searched exactly."""

    measures: Sequence[str]
    split: str | None
    convention: str
    exact: bool


class _Asked(NamedTuple):
    run: Run
    seconds: list[float]  # per batch of queries, divided by their number


def run(dataset: str, encoder: str | None, index: Path | None, question: Question, outputs: Outputs) -> None:
    """Evaluate and print."""
    if encoder and index:
        raise InputError("--encoder and --index exclude each other: an index keeps its own encoder")
    measures, rules = parse_measures(question.measures or DEFAULT_MEASURES), convention(question.convention)
    exact = question.exact or index is None
    collection = load_collection(dataset, question.split)
    if outputs.run:
        check_trec_ids(collection.queries)
    with tempfile.TemporaryDirectory(prefix="lsr-eval-") as temporary:
        searcher = Searcher.open(index) if index else _index(collection, encoder or "bm25", Path(temporary) / "index")
        asked = _ask(searcher, collection, depth_of(measures) + rules.drops_self, exact)
    values = evaluate(collection.qrels, asked.run, measures, rules)
    report = _report(collection, searcher, values, asked, "exact" if exact else "approximate")
    report |= {"convention": rules.name, "notes": explain_oddities(oddities(collection.qrels, asked.run), rules)}
    _print(report)
    if outputs.run:
        write_trec_run(outputs.run, asked.run)
    if outputs.json:
        _write_json(outputs.json, {**report, "per_query": values.per_query})


def _index(collection: TestCollection, encoder_name: str, folder: Path) -> Searcher:
    encoder = encoders.load(encoder_name)
    reader = DocumentReader([collection.path])
    with progress_bars() as bars:
        index_documents(reader, encoder, folder, progress=IndexBars(bars, reader))
    return Searcher.open(folder, encoder)


def _ask(searcher: Searcher, collection: TestCollection, depth: int, exact: bool) -> _Asked:
    seconds: list[float] = []

    def rank(texts: Sequence[str], k: int) -> list[Ranking]:
        started = time.perf_counter()
        found = searcher.rank(texts, k, exact)
        seconds.append((time.perf_counter() - started) / len(texts))
        return found

    searcher.warm_up()
    with progress_bars() as bars:
        task = bars.add_task("searching", total=len(collection.queries), unit="queries", items=0)
        done = run_queries(rank, collection.queries, depth, lambda n: bars.update(task, completed=n, items=n))
    return _Asked(done, seconds)


def _report(
    collection: TestCollection, searcher: Searcher, values: Scores, asked: _Asked, search: str
) -> dict[str, Any]:
    return {
        "dataset": collection.name,
        "split": collection.split,
        "documents": len(searcher.collection),
        "queries": len(collection.queries),
        "encoder": searcher.encoder.name,
        "fingerprint": searcher.encoder.fingerprint,
        "search": search,
        "measures": values.mean,
        "intervals": {name: confidence_interval([*found.values()])[1:] for name, found in values.per_query.items()},
        "ms_per_query": 1e3 * statistics.median(asked.seconds),
    }


def _print(report: dict[str, Any]) -> None:
    line = "{dataset} ({split})  {encoder}  {search} search  {documents:,} documents  {queries:,} queries"
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    cells = {name: f"{value:.4f}" for name, value in report["measures"].items()}
    cells["ms a query"] = f"{report['ms_per_query']:.2f}"
    for name in cells:
        table.add_column(name, justify="right")
    table.add_row(*cells.values())
    table.add_row(*(f"±{(high - low) / 2:.4f}" for low, high in report["intervals"].values()), "", style="dim")
    out.print(line.format(**report), soft_wrap=True, markup=False)
    out.print(table)
    for note in report["notes"]:
        say(f"{report['convention']} convention: {note}")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
