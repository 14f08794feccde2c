"""What does a report say of one collection? Tables and charts of its cells, each a string of HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from lsr.eval.cells import Cell
from lsr.eval.measures.significance import compare, p_text
from lsr.eval.report.html import Place, figure, table
from lsr.eval.report.plots import Dot, Series, chart, difference_bars, histogram_bars
from lsr.eval.runs.conventions import CONVENTIONS

MOVES = 12  # queries shown on each side of a comparison
COSTS = (
    ("encode_ms", "encode ms", "{:.3f}"),
    ("p50_us", "p50 us", "{:,.0f}"),
    ("p99_us", "p99 us", "{:,.0f}"),
    ("qps", "queries/s", "{:,.0f}"),
    ("document_terms", "terms/document", "{:.0f}"),
    ("bytes_per_document", "bytes/document", "{:,.0f}"),
    ("recall", "recall@10", "{:.4f}"),
)
RULES = (
    "Equal scores: the larger document id comes first in every measure, as in trec_eval. ir-measures alone orders "
    "RR@k the other way round.",
    "A judged query without results: counts as 0 (trec, trec_eval -c); is left out of the mean (beir, as its "
    "EvaluateRetrieval does).",
    "A document that has the id of its query: is kept (trec); is taken out before measuring (beir).",
    "A query without judgements never counts; a document without judgements is not relevant.",
    "Measures on a binary scale count grades of 1 and more, unless the name says otherwise, as AP(rel=2); nDCG gains "
    "the grade itself and divides by log2(rank + 1).",
    "Encoders see title, a space, text.",
)


class Measured(NamedTuple):
    """A collection: its size, query texts by id, cells in order, and the system that others are compared with."""

    name: str
    documents: int
    queries: Mapping[str, str]
    cells: Sequence[Cell]
    baseline: str | None


def latency_ms(one: Measured, cell: Cell) -> float | None:
    """Median milliseconds of a query, encoding and search; of a fusion the sum of its parts; None where unknown."""
    if cell.efficiency:
        return float(cell.efficiency["encode_ms"] + cell.efficiency["p50_us"] / 1e3)
    by_name = {other.system: other for other in one.cells}
    parts = [latency_ms(one, by_name[name]) for name in cell.about.get("fuses", ()) if name in by_name]
    known = [part for part in parts if part is not None]
    return sum(known) if known and len(known) == len(cell.about["fuses"]) else None


def measures_section(one: Measured) -> str:
    """Means with their intervals, and costs."""
    names = list(one.cells[0].values.measures)
    best = {name: max(round(cell.values.measures[name], 4) for cell in one.cells) for name in names}
    rows: list[list[Place]] = [[cell.system, *(_mean(cell, name, best[name]) for name in names)] for cell in one.cells]
    means = table(["system", *names], rows, "Means, and 95 % intervals by resampling queries")
    timed = [cell for cell in one.cells if cell.efficiency]
    costs = [[cell.system, str(cell.about.get("search", "")), *_costs(cell)] for cell in timed]
    head = ["system", "search", *(name for _, name, _ in COSTS)]
    return means + (table(head, costs, "One query a call, one thread, k = 10") if costs else "")


def latency_section(one: Measured, measure: str) -> str:
    """Effectiveness against latency."""
    series = []
    for i, cell in enumerate(one.cells):
        if (time := latency_ms(one, cell)) is not None:
            value = cell.values.measures[measure]
            dots = [Dot(time, value, f"{cell.system}: {value:.4f}, {time:.3g} ms", cell.system)]
            encode = cell.efficiency.get("encode_ms", 0.0)
            dots += [
                Dot(encode + point.p50_us / 1e3, point.measures[measure], f"{cell.system}, {point.way}")
                for point in cell.sweep
            ]
            series.append(Series(cell.system, i, dots))
    if not series:
        return ""
    words = f"{measure} against the median time of a query, encoding and search. Unnamed points: other settings."
    return figure(chart(series, "ms a query", measure, frontier=True), words)


def recall_section(one: Measured) -> str:
    """Recall against latency of approximate engines."""
    series = [
        Series(
            cell.system,
            i,
            [
                Dot(p.p50_us, p.recall, f"{p.way}: {p.recall:.4f}, {p.p50_us:.0f} us", _last(cell, j))
                for j, p in enumerate(cell.sweep)
            ],
            joined=True,
        )
        for i, cell in enumerate(one.cells)
        if cell.sweep
    ]
    if not series:
        return ""
    words = (
        "Share of the exact best 10 that was found, against the median time of a search, over the settings that each "
        "index knows."
    )
    return figure(chart(series, "us a search", "recall@10 of exact"), words)


def differences_section(one: Measured, measure: str, opened: bool) -> str:
    """Query by query against the baseline."""
    baseline = next((cell for cell in one.cells if cell.system == one.baseline), None)
    others = [cell for cell in one.cells if cell.system != one.baseline]
    if baseline is None or not others:
        return ""
    parts = [_difference(one, baseline, cell, measure, opened) for cell in others]
    return f"<h3>Query by query against {escape(baseline.system)}</h3>" + "".join(parts)


def lengths_section(one: Measured) -> str:
    """How many terms documents have."""
    shown: dict[str, tuple[int, Cell]] = {}
    for i, cell in enumerate(one.cells):
        if cell.lengths:
            shown.setdefault(str(cell.about.get("fingerprint")), (i, cell))
    if not shown:
        return ""
    pictures = [figure(histogram_bars(c.lengths, i, "terms"), str(c.about["encoder"])) for i, c in shown.values()]
    return '<h3>Terms of a document</h3><div class="pair">' + "".join(pictures) + "</div>"


def conventions_section(one: Measured) -> str:
    """Means under every convention, why they differ, and the rules."""
    names = list(one.cells[0].values.measures)
    rows, notes = [], []
    for cell in one.cells:
        for rules, means in cell.values.by_convention.items():
            here = " (used here)" if rules == cell.values.convention else ""
            rows.append([cell.system, rules + here, *(f"{means[name]:.4f}" for name in names)])
        notes += [f"<li><b>{escape(cell.system)}</b>: {escape(note)}</li>" for note in cell.values.notes]
    head = ["system", "convention", *names]
    reasons = "".join(notes) or f"<li>Nothing in these runs is treated differently by {' and '.join(CONVENTIONS)}.</li>"
    all_rules = "".join(f"<li>{escape(rule)}</li>" for rule in RULES)
    lists = f"<h4>Where the conventions differ</h4><ul>{reasons}</ul><h4>The rules</h4><ul>{all_rules}</ul>"
    body = table(head, rows) + lists
    return f"<details><summary>Conventions</summary>{body}</details>"


def _difference(one: Measured, baseline: Cell, cell: Cell, measure: str, opened: bool) -> str:
    a, b = baseline.values.per_query[measure], cell.values.per_query[measure]
    both = [query for query in a if query in b]
    found = compare({query: a[query] for query in both}, {query: b[query] for query in both})
    moves = sorted(((b[query] - a[query], query) for query in both), reverse=True)
    words = (
        f"{cell.system}: {measure} {found.delta.mean:+.4f} (95 % {found.delta.low:+.4f} to {found.delta.high:+.4f}), "
        f"{found.wins:,} better, {found.losses:,} worse, {found.ties:,} equal, p {p_text(found.t_test)} (paired t-test)"
    )
    bars = difference_bars([(d, f"{d:+.4f}  {_query_text(one, q)} ({q})") for d, q in moves], f"{measure} difference")
    gains = [move for move in moves[:MOVES] if move[0] > 0]
    losses = [move for move in moves[::-1][:MOVES] if move[0] < 0]
    lists = f'<div class="pair">{_moves(one, "Gains most", gains)}{_moves(one, "Loses most", losses)}</div>'
    return f"<details{' open' if opened else ''}><summary>{escape(words)}</summary>{figure(bars, '')}{lists}</details>"


def _query_text(one: Measured, query: str) -> str:
    """Text of a judged query; nothing where other topics were asked."""
    return one.queries.get(query, "")


def _moves(one: Measured, heading: str, moves: Sequence[tuple[float, str]]) -> str:
    items = "".join(
        f'<li><b class="{"up" if delta > 0 else "down"}">{delta:+.3f}</b><span>{escape(_query_text(one, query))} '
        f'<span class="soft">{escape(query)}</span></span></li>'
        for delta, query in moves
    )
    return f'<div><h4>{heading}</h4><ol class="moves">{items or "<li><b></b><span>none</span></li>"}</ol></div>'


def _mean(cell: Cell, name: str, best: float) -> tuple[str, bool]:
    value, (low, high) = cell.values.measures[name], cell.values.intervals[name]
    return f"{value:.4f}  ({low:.3f} to {high:.3f})", round(value, 4) == best


def _costs(cell: Cell) -> list[str]:
    values = [(cell.efficiency.get(key), form) for key, _, form in COSTS]
    return ["" if value is None else form.format(value) for value, form in values]


def _last(cell: Cell, at: int) -> str:
    """A line is named at its end."""
    return cell.system if at == len(cell.sweep) - 1 else ""
