"""What does `lsr eval` do? Indexes where needed, asks all queries, measures, and shows a table."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from rich.table import Table

from lsr import encoders
from lsr.cli.console import out, progress_bars, say
from lsr.cli.index import IndexBars
from lsr.cli.topics import ask_from_file, warn_of_unknown
from lsr.corpus import DocumentReader
from lsr.errors import InputError
from lsr.eval import (
    DEFAULT_MEASURES,
    Run,
    Scores,
    Subject,
    TestCollection,
    check_trec_ids,
    confidence_interval,
    convention,
    depth_of,
    evaluate,
    explain_oddities,
    flops,
    load_collection,
    load_judged,
    measure_efficiency,
    oddities,
    parse_measures,
    run_queries,
    write_trec_run,
)
from lsr.retrieval import Searcher, index_documents
from lsr.sparse import concatenate

SAMPLE = 2000  # vectors of each side for FLOPS
SHOWN = {
    "encode_ms": "{:.3f}",
    "p50_us": "{:,.0f}",
    "p95_us": "{:,.0f}",
    "p99_us": "{:,.0f}",
    "qps": "{:,.0f}",
    "recall": "{:.4f}",
    "documents_per_second": "{:,.0f}",
    "bytes_per_document": "{:,.0f}",
    "query_terms": "{:.1f}",
    "document_terms": "{:.1f}",
    "flops": "{:.2f}",
}


class Outputs(NamedTuple):
    """Files to write, or None."""

    run: Path | None
    json: Path | None


class Question(NamedTuple):
    """What to measure: names of measures, the judgements, the convention, and whether an index is searched exactly.

    ``topics`` is a file whose queries take the place of the collection's, ``topic_field`` which part of TREC topics.
    """

    measures: Sequence[str]
    split: str | None
    convention: str
    exact: bool
    threads: int = 1
    topics: Path | None = None
    topic_field: str | None = None


def run(dataset: str, encoder: str | None, index: Path | None, question: Question, outputs: Outputs) -> dict[str, Any]:
    """Evaluate and print; what was measured."""
    if encoder and index:
        raise InputError("--encoder and --index exclude each other: an index keeps its own encoder")
    measures, rules = parse_measures(question.measures or DEFAULT_MEASURES), convention(question.convention)
    exact = question.exact or index is None
    collection = (load_judged if question.topics else load_collection)(dataset, question.split)
    if outputs.run:
        check_trec_ids(collection.queries)
    with tempfile.TemporaryDirectory(prefix="lsr-eval-") as temporary:
        if index:
            searcher, rate = Searcher.open(index), None
        else:
            searcher, rate = _index(collection, encoder or "bm25", Path(temporary) / "index")
        searcher, collection = ask_from_file(searcher, collection, question.topics, question.topic_field)
        warn_of_unknown(searcher, collection)
        asked = _ask(searcher, collection, depth_of(measures) + rules.drops_self, exact)
        costs = _costs(searcher, list(collection.queries.values()), exact, question.threads)
    values = evaluate(collection.qrels, asked, measures, rules)
    report = _report(collection, searcher, values, "exact" if exact else "approximate")
    report |= {"convention": rules.name, "notes": explain_oddities(oddities(collection.qrels, asked), rules)}
    report["efficiency"] = {"documents_per_second": rate, **costs}
    _print(report)
    if outputs.run:
        write_trec_run(outputs.run, asked)
    if outputs.json:
        _write_json(outputs.json, {**report, "per_query": values.per_query})
    return report


def _index(collection: TestCollection, encoder_name: str, folder: Path) -> tuple[Searcher, float | None]:
    """A searcher, and the documents encoded and indexed a second."""
    encoder = encoders.load(encoder_name)
    reader = DocumentReader([collection.path])
    with progress_bars() as bars:
        summary = index_documents(reader, encoder, folder, progress=IndexBars(bars, reader))
    return Searcher.open(folder, encoder), summary.documents / summary.seconds


def _ask(searcher: Searcher, collection: TestCollection, depth: int, exact: bool) -> Run:
    searcher.warm_up()
    with progress_bars() as bars:
        task = bars.add_task("searching", total=len(collection.queries), unit="queries", items=0)
        return run_queries(
            lambda texts, k: searcher.rank(texts, k, exact),
            collection.queries,
            depth,
            lambda n: bars.update(task, completed=n, items=n),
        )


def _costs(searcher: Searcher, texts: Sequence[str], exact: bool, threads: int) -> dict[str, Any]:
    index, encoder = searcher.collection, searcher.encoder
    subject = Subject(
        encoder.encode_queries,
        lambda vectors, k, threads: index.search(vectors, k, exact, threads=threads).rows,
        None if exact else lambda vectors, k: index.search(vectors, k, exact=True).rows,
    )
    measured = asdict(measure_efficiency(subject, texts, threads))
    rows = np.random.default_rng(0).choice(len(index), min(len(index), SAMPLE), replace=False)
    sample = concatenate([index.vector(row) for row in rows.tolist()])
    measured["document_terms"] = index.manifest.nonzeros / len(index)
    measured["bytes_per_document"] = index.manifest.bytes / len(index)
    return {**measured, "flops": flops(encoder.encode_queries(texts[:SAMPLE]), sample)}


def _report(collection: TestCollection, searcher: Searcher, values: Scores, search: str) -> dict[str, Any]:
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
    }


def _print(report: dict[str, Any]) -> None:
    line = "{dataset} ({split})  {encoder}  {search} search  {documents:,} documents  {queries:,} queries"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, value in report["measures"].items():
        low, high = report["intervals"][name]
        table.add_row(name, f"{value:.4f}", f"95 %: {low:.4f} to {high:.4f}")
    for name, form in SHOWN.items():
        if (cost := report["efficiency"][name]) is not None:
            table.add_row(name.replace("_", " "), form.format(cost))
    out.print(line.format(**report), soft_wrap=True, markup=False)
    out.print(table)
    for note in report["notes"]:
        say(f"{report['convention']} convention: {note}")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
