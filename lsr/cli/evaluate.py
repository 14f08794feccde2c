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
from lsr.cli.console import out, progress_bars
from lsr.cli.index import IndexBars
from lsr.corpus import DocumentReader
from lsr.errors import InputError
from lsr.eval import (
    DEFAULT_MEASURES,
    Ranking,
    Run,
    TestCollection,
    check_trec_ids,
    depth_of,
    evaluate,
    load_collection,
    parse_measures,
    run_queries,
    write_trec_run,
)
from lsr.retrieval import Searcher, index_documents


class Outputs(NamedTuple):
    """Files to write, or None."""

    run: Path | None
    json: Path | None


class _Asked(NamedTuple):
    run: Run
    seconds: list[float]  # per batch of queries, divided by their number


def run(
    dataset: str,
    encoder: str | None,
    index: Path | None,
    names: Sequence[str],
    split: str | None,
    exact: bool,
    outputs: Outputs,
) -> None:
    """Evaluate and print."""
    if encoder and index:
        raise InputError("--encoder and --index exclude each other: an index keeps its own encoder")
    measures = parse_measures(names or DEFAULT_MEASURES)
    collection = load_collection(dataset, split)
    if outputs.run:
        check_trec_ids(collection.queries)
    with tempfile.TemporaryDirectory(prefix="lsr-eval-") as temporary:
        searcher = Searcher.open(index) if index else _index(collection, encoder or "bm25", Path(temporary) / "index")
        asked = _ask(searcher, collection, depth_of(measures), exact=exact or index is None)
    values = evaluate(collection.qrels, asked.run, measures)
    report = _report(collection, searcher, values.mean, asked, "exact" if exact or index is None else "approximate")
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
    collection: TestCollection, searcher: Searcher, mean: dict[str, float], asked: _Asked, search: str
) -> dict[str, Any]:
    return {
        "dataset": collection.name,
        "split": collection.split,
        "documents": len(searcher.collection),
        "queries": len(collection.queries),
        "encoder": searcher.encoder.name,
        "fingerprint": searcher.encoder.fingerprint,
        "search": search,
        "measures": mean,
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
    out.print(line.format(**report), soft_wrap=True, markup=False)
    out.print(table)


def _write_json(path: Path, value: dict[str, Any]) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
