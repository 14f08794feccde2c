"""What does `lsr compare` do? Measures runs against the first one, query by query."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from lsr.cli.console import out, say
from lsr.cli.evaluating.many_measures import ManyMeasures
from lsr.errors import InputError
from lsr.eval import (
    DEFAULT_MEASURES,
    Difference,
    Evidence,
    Interval,
    Qrels,
    Run,
    Scores,
    compare,
    confidence_interval,
    evaluate,
    explain_oddities,
    holm,
    is_sum,
    load_qrels,
    oddities,
    p_text,
    parse_measures,
    read_run,
    subtopics_for,
)
from lsr.eval import convention as conventions

COLUMNS = ("measure", "A", "B", "B - A", "95 %", "w/l/t", "t-test", "bootstrap", "Holm")  # 80 characters in all


COMMAND = ManyMeasures


def command(
    a: Annotated[Path, typer.Argument(metavar="A.run", help="The baseline run.")],
    qrels: Annotated[str, typer.Option(help="Judged collection, or a file of judgements (TREC or BEIR).")],
    b: Annotated[
        list[Path] | None, typer.Argument(metavar="B.run", help="Runs to compare. Without one, A is measured alone.")
    ] = None,
    measures: Annotated[
        list[str] | None, typer.Option(metavar="NAME...", help="Names of ir-measures.  [default: nDCG@10 RR@10 R@100]")
    ] = None,
    convention: Annotated[str, typer.Option(help="trec or beir, as for lsr eval.")] = "trec",
    shown: Annotated[int, typer.Option("--queries", help="How many of the largest differences to show.", min=0)] = 5,
) -> None:
    """Compare runs by query: means, wins and losses, paired tests with Holm's correction.

    Example: lsr compare bm25.run splade.run --qrels scifact.zip
    """
    wanted, rules = parse_measures(measures or DEFAULT_MEASURES), conventions(convention)
    judged, others = load_qrels(qrels), b or []
    runs = {path: _read_judged(path, judged) for path in (a, *others)}
    evidence = Evidence(subtopics_for(wanted, qrels))
    scores = {path: evaluate(judged, found, wanted, rules, evidence) for path, found in runs.items()}
    if others:
        _print_differences(a, others, wanted, scores)
    else:
        out.print(_means(scores[a]))
    for path, answers in runs.items():
        for note in explain_oddities(oddities(judged, answers, rules), rules):
            say(f"{path.name}: {note}")
    for path, answers in runs.items():
        deepest = max(map(len, answers.values()), default=0)
        for measure in wanted:
            if deepest < measure.params.get("cutoff", 0):
                say(f"{path.name}: no query has more than {deepest:,} results, so {measure} may be higher than this")
    for other in others:
        _print_extremes(other, *_common(scores[a], scores[other], str(wanted[0])), str(wanted[0]), shown)


def _read_judged(path: Path, qrels: Qrels) -> Run:
    """A run with a judged query at least."""
    found = read_run(path)
    if not qrels.keys() & found.keys():
        there, judged = next(iter(found)), next(iter(qrels))
        raise InputError(f"{path}: no query is judged; it has {there!r}, the judgements {judged!r}, for example")
    return found


def _means(scores: Scores) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    for name, mean in scores.mean.items():
        one = confidence_interval([*scores.per_query[name].values()])
        table.add_row(Text(name), f"{mean:.4f}", f"95 %: {one.low:.4f} to {one.high:.4f}")
    return table


def _print_differences(a: Path, others: Sequence[Path], measures: Sequence[Any], scores: Mapping[Path, Scores]) -> None:
    found = {
        (b, str(one)): _difference(one, *_common(scores[a], scores[b], str(one))) for b in others for one in measures
    }
    corrected = holm({f"{b} {name}": difference.t_test for (b, name), difference in found.items()})
    out.print(f"A is {a}; w/l/t: queries that B wins, loses, ties; then p-values", soft_wrap=True, markup=False)
    for b in others:
        out.print(f"\nB is {b}", soft_wrap=True, markup=False)
        out.print(_table({key: one for key, one in found.items() if key[0] == b}, corrected))


def _difference(measure: Any, first: Mapping[str, float], second: Mapping[str, float]) -> Difference:
    """How two systems differ; of measures that are sums, the difference of the sums."""
    found, n = compare(first, second), len(first)
    if not is_sum(measure):
        return found
    return found._replace(a=n * found.a, b=n * found.b, delta=Interval(*(n * value for value in found.delta)))


def _common(a: Scores, b: Scores, name: str) -> tuple[dict[str, float], dict[str, float]]:
    """One measure of both over the queries that count for both."""
    queries = [query for query in a.per_query[name] if query in b.per_query[name]]
    return {q: a.per_query[name][q] for q in queries}, {q: b.per_query[name][q] for q in queries}


def _table(found: Mapping[tuple[Path, str], Difference], corrected: Mapping[str, float]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name == "measure" else "right", no_wrap=True)
    for (b, name), one in found.items():
        p = corrected[f"{b} {name}"]
        interval = f"{one.delta.low:+.3f} {one.delta.high:+.3f}"
        counts = f"{one.wins}/{one.losses}/{one.ties}"
        values = f"{one.a:.4f}", f"{one.b:.4f}", f"{one.delta.mean:+.4f}", interval
        tests = (p_text(value) for value in (one.t_test, one.bootstrap, p))
        table.add_row(Text(name), *values, counts, *tests, style="bold" if p < 0.05 else None)
    return table


def _print_extremes(b: Path, first: dict[str, float], second: dict[str, float], name: str, shown: int) -> None:
    changed = sorted((q for q in first if second[q] != first[q]), key=lambda q: -abs(second[q] - first[q]))
    for query in changed[:shown]:
        moved = f"{first[query]:.4f} -> {second[query]:.4f} ({second[query] - first[query]:+.4f})"
        out.print(f"{b.stem}  query {query}  {name}  {moved}", soft_wrap=True, markup=False)
