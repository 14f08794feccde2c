"""What does `lsr eval` do? Measures an encoder or an index, shows a table, and writes what is asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress as Bars
from rich.table import Table

from lsr.cli.console import out, progress_bars, say
from lsr.cli.evaluating.many_measures import ManyMeasures
from lsr.cli.evaluating.outputs import Outputs, make_room
from lsr.cli.evaluating.topics import ask_from_file, warn_of_unknown
from lsr.cli.options import Download, Language, Truncate, fetch
from lsr.cli.searching.index import IndexBars
from lsr.corpus import DocumentReader
from lsr.encoders.registry import in_language
from lsr.errors import InputError, reason
from lsr.eval import (
    Cell,
    Evidence,
    Line,
    Question,
    SweepPoint,
    TestCollection,
    check_evidence,
    check_run_ids,
    compare_certificates,
    load_collection,
    measured,
    parse_measures,
    provenance,
    read_certificate,
    read_run,
    sub_collections,
    subtopics_for,
    write_run,
)
from lsr.eval.report import Measured, report_page
from lsr.measuring import Evaluation, evaluate_system
from lsr.retrieval import Searcher

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


COMMAND = ManyMeasures
Dataset = Annotated[
    str | None,
    typer.Argument(
        metavar="DATASET",
        help="Judged collection: a BEIR folder or zip, or a folder of MS MARCO, TREC, WANDS or ESCI; irds:NAME; "
        "with --topics and --index also a file of judgements.",
    ),
]
Measures = Annotated[
    list[str] | None, typer.Option(metavar="NAME...", help="Names of ir-measures.  [default: nDCG@10 RR@10 R@100]")
]
ConventionName = Annotated[
    str,
    typer.Option(
        help="trec: queries without results count as 0; beir: these are left out, and so are documents with the "
        "query's id."
    ),
]
RunFile = Annotated[
    Path | None, typer.Option("--run", help="Write the results: a TREC run, or .tsv (MS MARCO), or .json.")
]
BaselineRun = Annotated[
    Path | None, typer.Option(metavar="RUN", help="With --report: a run to compare with, query by query.")
]
CertificateFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE.json", help="Write a certificate: all inputs and results, which --verify checks."),
]
StatedFile = Annotated[
    Path | None, typer.Option(metavar="FILE.json", help="Measure again what a certificate states and compare.")
]
TopicsFile = Annotated[
    Path | None,
    typer.Option(
        help="Use these queries instead of the collection's: TREC topics, id TAB text, or vectors of queries."
    ),
]


def command(  # noqa: PLR0913 - one parameter an option
    dataset: Dataset = None,
    encoder: Annotated[
        str | None, typer.Option(help="bm25, default, or the folder of a model.  [default: default]")
    ] = None,
    language: Language = None,
    index: Annotated[
        Path | None, typer.Option(help="Evaluate this index with the approximate search that lsr serve uses.")
    ] = None,
    measures: Measures = None,
    split: Annotated[str | None, typer.Option(help="Judgements to use.  [default: test, or else dev]")] = None,
    convention: ConventionName = "trec",
    exact: Annotated[bool, typer.Option("--exact", help="With --index: search exactly.")] = False,
    threads: Annotated[int, typer.Option(help="Threads that measure queries per second.", min=1)] = 1,
    run_file: RunFile = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the measured values as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write tables and charts.")] = None,
    baseline: BaselineRun = None,
    certificate: CertificateFile = None,
    verify: StatedFile = None,
    topics: TopicsFile = None,
    topic_field: Annotated[
        str | None, typer.Option(help="Field of TREC topics to use.  [default: title or query]")
    ] = None,
    truncate: Truncate = False,
    download: Download = False,
) -> None:
    """Measure an encoder, or a finished index, on a judged collection.

    If DATASET is left out, --index, --topics and --run together write a run of all topics.

    With --verify, exit code 1 means that something differs. DATASET, --encoder and --index give new locations.

    Example: lsr eval scifact.zip --encoder bm25 --measures nDCG@10 R@100
    """
    encoder = in_language(encoder, language)
    place = str(index) if index else None
    if verify:
        if not _verified(verify, {"dataset": dataset, "encoder": encoder, "index": place}):
            raise typer.Exit(1)
        return
    fetch([dataset] if download and dataset else [])
    question = Question(
        dataset=dataset or "",
        encoder=encoder,
        index=place,
        measures=tuple(measures or ()),
        split=split,
        convention=convention,
        exact=exact,
        threads=threads,
        topics=str(topics) if topics else None,
        topic_field=topic_field,
        truncate=truncate,
    )
    outputs = Outputs(run_file, json_file, report, certificate, baseline)
    _start(question, outputs)


def _start(question: Question, outputs: Outputs) -> None:
    """Evaluate one collection, or each of a folder; without a dataset, write a run."""
    for path in filter(None, outputs[:3]):
        make_room(path)
    if not question.dataset:
        _run_only(question, outputs)
    elif parts := sub_collections(question.dataset):
        from lsr.cli.evaluating.evaluate_parts import run_parts

        run_parts(parts, question, outputs, lambda part: _evaluate_one(part, Outputs()))
    else:
        _evaluate_one(question, outputs)


def _run_only(question: Question, outputs: Outputs) -> None:
    if not (question.index and question.topics and outputs.run):
        raise InputError(
            "missing argument DATASET: give a judged collection; without judgements, --index, --topics and --run "
            "together write a run"
        )
    asked = {"encoder": question.encoder, "split": question.split, **outputs._replace(run=None)._asdict()}
    if wrong := [f"--{name}" for name, value in asked.items() if value]:
        raise InputError(f"{', '.join(wrong)}: wanted a judged collection beside it; give DATASET, or leave it out")
    from lsr.cli.evaluating.run_topics import write_topics_run

    write_topics_run(question, outputs.run)


def _evaluate_one(question: Question, outputs: Outputs) -> dict[str, Any]:
    """Evaluate, print and write; what was measured."""
    if outputs.baseline and not outputs.report:
        raise InputError("--baseline is what --report compares with: give --report FILE.html too")
    if outputs.baseline:
        _check_baseline(outputs.baseline, question.measures)
    if outputs.run and not question.topics:
        check_run_ids(outputs.run, load_collection(question.dataset, question.split).queries)
    found = _evaluate(question, with_sweep=outputs.report is not None)
    _print(found)
    if outputs.run:
        write_run(outputs.run, found.run)
        deepest = max(map(len, found.run.values()), default=0)
        say(f"wrote {outputs.run}: at most {deepest:,} results a query, as many as these measures need")
    if outputs.json:
        _write(outputs.json, _json({**_summary(found), "per_query": found.values.per_query}))
    if outputs.report:
        _print_sweep(found.sweep)
        _write(outputs.report, _report(found, outputs.baseline).encode())
    if outputs.certificate:
        _write(outputs.certificate, _json(found.certificate(["lsr", *sys.argv[1:]])))
    return _summary(found)


def _check_baseline(run: Path, measures: Sequence[str]) -> None:
    """Refuse what would be refused after hours of encoding."""
    if not run.is_file():
        raise InputError(f"--baseline {run}: no such file")
    distances = [one for one in parse_measures(measures) if one.NAME == "ILD"]
    check_evidence(distances, Evidence(), f"the run of --baseline, {run}, has none: leave out the one or the other")


def _verified(path: Path, changes: Mapping[str, str | None]) -> bool:
    """Measure again what a certificate states, print what agrees and what differs; whether all that must agree does.

    Args:
        path: of the certificate.
        changes: dataset, encoder or index where they lie elsewhere now; None keeps the stated path.
    """
    stated = read_certificate(path)
    given = {name: value for name, value in changes.items() if value is not None}
    question = msgspec.structs.replace(stated.question, **given)
    lines = compare_certificates(stated, _evaluate(question).certificate(stated.command))
    _print_lines(lines)
    differing = [line.name for line in lines if line.agrees is False]
    say(f"{len(differing)} lines differ: {', '.join(differing)}" if differing else "everything that must agree does")
    return not differing


class _Bars:
    """Bars for encoding, building and searching."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._index: Any = None
        self._search: Any = None

    def reading(self, reader: DocumentReader) -> None:
        self._index = IndexBars(self._bars, reader)

    def encoded(self, documents: int) -> None:
        self._index.encoded(documents)

    def building(self, done: int, total: int) -> None:
        self._index.building(done, total)

    def searched(self, done: int, total: int) -> None:
        if self._search is None:
            self._search = self._bars.add_task("searching", total=total, unit="queries", items=0)
        self._bars.update(self._search, completed=done, items=done)


def _evaluate(question: Question, with_sweep: bool = False) -> Evaluation:
    def prepare(searcher: Searcher | None, collection: TestCollection) -> tuple[Searcher | None, TestCollection]:
        path = Path(question.topics) if question.topics else None
        asking, judged = ask_from_file(searcher, collection, path, question.topic_field)
        if asking:
            warn_of_unknown(asking, judged)
        return asking, judged

    with progress_bars() as bars:
        return evaluate_system(question, _Bars(bars), with_sweep, prepare)


def _summary(found: Evaluation) -> dict[str, Any]:
    return {
        "dataset": found.collection.name,
        "split": found.collection.split,
        "documents": found.documents,
        "queries": len(found.collection.queries),
        "encoder": found.about["encoder"],
        "fingerprint": found.about["fingerprint"],
        "search": found.about["search"],
        "measures": found.values.measures,
        "intervals": found.values.intervals,
        "convention": found.values.convention,
        "notes": found.values.notes,
        "efficiency": found.efficiency,
    }


def _print(found: Evaluation) -> None:
    line = "{dataset} ({split})  {encoder}  {search} search  {documents:,} documents  {queries:,} queries"
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    for name, value in found.values.measures.items():
        low, high = found.values.intervals[name]
        table.add_row(name, f"{value:.4f}", f"95 %: {low:.4f} to {high:.4f}")
    for name, form in SHOWN.items():
        if (cost := found.efficiency[name]) is not None:
            table.add_row(name.replace("_", " "), form.format(cost))
    out.print(line.format(**_summary(found)), soft_wrap=True, markup=False)
    out.print(table)
    for note in found.values.notes:
        say(f"{found.values.convention} convention: {note}")


def _print_sweep(points: list[SweepPoint]) -> None:
    if not points:
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    names = list(points[0].measures)
    for name in ("recall@10", "p50 us", *names):
        table.add_column(name, justify="right")
    table.add_column("search")
    for point in points:
        means = (f"{point.measures[name]:.4f}" for name in names)
        table.add_row(f"{point.recall:.4f}", f"{point.p50_us:.0f}", *means, point.way)
    out.print(table)


def _report(found: Evaluation, baseline: Path | None) -> str:
    collection, made = found.collection, provenance()
    names = list(found.values.measures)
    shared: dict[str, Any] = {"key": "", "collection": collection.name, "documents": found.documents, "made": made}
    facts: dict[str, Any] = {
        "efficiency": found.efficiency,
        "lengths": found.lengths,
        "sweep": found.sweep,
        "about": found.about,
    }
    cells = [Cell(system=found.about["encoder"], values=found.values, **facts, **shared)]
    if baseline:
        run = read_run(baseline, collection.queries)
        evidence = Evidence(subtopics_for(parse_measures(names), collection.path, collection.split))
        values = measured(collection.qrels, run, names, found.values.convention, evidence)
        cells.append(Cell(system=baseline.stem, values=values, about={"run": str(baseline)}, **shared))
    title = f"{found.about['encoder']} on {collection.name}"
    one = Measured(collection.name, found.documents, collection.queries, cells, baseline.stem if baseline else None)
    return report_page(title, made, [one], names[0])


def _print_lines(lines: list[Line]) -> None:
    words = {True: "agrees", False: "DIFFERS", None: "reported"}
    for line in lines:
        found = "" if line.stated == line.found else f"  now {_short(line.found)}"
        text = f"{words[line.agrees]:<9} {line.name:<28} {_short(line.stated)}{found}"
        out.print(text, soft_wrap=True, markup=False, style="bold red" if line.agrees is False else None)


def _short(value: str) -> str:
    """A checksum by its beginning."""
    return f"{value[:16]}..." if len(value) == 64 and " " not in value else value


def _json(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value))


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None
