"""What does the page of a report show, and in which order?"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import Any

from lsr.eval.report.html import Place, figure, table
from lsr.eval.report.plots import Dot, Series, chart
from lsr.eval.report.sections import (
    Measured,
    conventions_section,
    differences_section,
    latency_ms,
    latency_section,
    lengths_section,
    measures_section,
    recall_section,
)
from lsr.eval.tables import SuiteTable


def report_page(
    title: str, made: dict[str, Any], measured: Sequence[Measured], measure: str, overview: SuiteTable | None = None
) -> str:
    """A whole HTML document, in light or dark as the reader's system wants it.

    Args:
        title: heading.
        made: what `lsr.eval.provenance` gave.
        measured: one for each collection.
        measure: by which systems are compared.
        overview: table over all collections; None where there is one collection.
    """
    style = files("lsr.eval.report").joinpath("style.css").read_text("utf-8")
    parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(_origin(made))}</p>']
    if overview is not None:
        parts += [_contents(measured), _overview(overview), _mean_chart(measured, overview)]
    for one in measured:
        parts.append(_collection(one, measure, alone=overview is None))
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f"<title>{escape(title)}</title>\n<style>\n{style}</style>"
    body = "<main>\n" + "\n".join(parts) + "\n</main>"
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>{body}</body></html>\n'


def _collection(one: Measured, measure: str, alone: bool) -> str:
    size = f"{one.documents:,} documents, {len(one.queries):,} judged queries"
    heading = f'<h2 id="{escape(one.name)}">{escape(one.name)}</h2><p class="soft">{size}</p>'
    sections = [
        measures_section(one),
        '<div class="pair">' + latency_section(one, measure) + recall_section(one) + "</div>",
        differences_section(one, measure, opened=alone),
        lengths_section(one),
        conventions_section(one),
    ]
    return heading + "\n".join(filter(None, sections))


def _origin(made: dict[str, Any]) -> str:
    versions, machine = made["versions"], made["machine"]
    words = f"{made['made']}, lsr {versions['lsr']}, Python {versions['python']}, {machine['processor']}, "
    return words + f"{machine['cores']} processors, {machine['memory_gb']} GB, {machine['system']}"


def _contents(measured: Sequence[Measured]) -> str:
    links = "".join(f'<a href="#{escape(one.name)}">{escape(one.name)}</a>' for one in measured)
    return f"<nav>{links}</nav>"


def _overview(overview: SuiteTable) -> str:
    rows: list[list[Place]] = [
        [name, *((entry.text, entry.best) for entry in entries)] for name, entries in overview.rows.items()
    ]
    caption = f"{overview.measure}; the best of each column is marked, a dash was not measured"
    return table(["system", *overview.columns], rows, caption)


def _mean_chart(measured: Sequence[Measured], overview: SuiteTable) -> str:
    """Systems that were measured everywhere: mean effectiveness against mean latency."""
    series = []
    for i, (name, entries) in enumerate(overview.rows.items()):
        times = [latency_ms(one, cell) for one in measured for cell in one.cells if cell.system == name]
        known = [time for time in times if time is not None]
        value = entries[-1].value
        if value is not None and len(known) == len(measured):
            mean = sum(known) / len(known)
            series.append(Series(name, i, [Dot(mean, value, f"{name}: {value:.4f}, {mean:.3g} ms", name)]))
    if len(series) < 2:
        return ""
    words = (
        "Mean over all collections. A query's time is encoding and search, one query a call; of a fusion that of its "
        "parts together. The dashed line joins what no other system beats on both."
    )
    return figure(chart(series, "ms a query", overview.measure, frontier=True), words)
