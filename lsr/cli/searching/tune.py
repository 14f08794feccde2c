"""What does `lsr tune` do? Measures an index's settings, shows the frontier and keeps what gives the recall wanted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from lsr.cli.console import out, progress_bars, say
from lsr.corpus import DocumentReader
from lsr.index import Point, Tuning
from lsr.retrieval import Searcher, tune


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    recall: Annotated[float, typer.Option(help="Share of the true top 10 that searches must find on average.")] = 0.95,
    queries: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Real queries, read as documents are.  [default: titles of documents]"),
    ] = None,
    at_most: Annotated[int, typer.Option(help="Number of queries to use at most.", min=20)] = 1000,
) -> None:
    """Find and store the fastest settings of an index that reach a given recall of exact search.

    Example: lsr tune my-index --recall 0.95 --queries queries.jsonl
    """
    texts = [document.text for document in DocumentReader([queries])] if queries else None
    with progress_bars() as bars:
        task = bars.add_task("measuring", total=None, items=0, unit="queries")
        tuning, settings = tune(
            Searcher.open(folder),
            recall,
            texts,
            at_most,
            lambda done, total: bars.update(task, completed=done, total=total, items=done),
        )
    out.print(_table(tuning, settings))
    say(f"measured on {tuning.queries:,} queries held out ({tuning.source})")
    if settings is None:
        say(f"no setting reaches recall {recall:g}: searches with --recall {recall:g} are exact, others are as before")
    else:
        say(f"searches of {folder} now give recall {recall:g} at k = 10 ({_words(settings)})")


def _table(tuning: Tuning, settings: dict[str, Any] | None) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("k", "recall", "95 %", "p50 us", "p99 us"):
        table.add_column(name, justify="right")
    table.add_column("settings")
    for point in tuning.points:
        table.add_row(*_cells(point), style="bold green" if point.k == 10 and point.settings == settings else None)
    return table


def _cells(point: Point) -> tuple[str, ...]:
    between = f"{point.low:.3f}-{point.high:.3f}"
    return (
        str(point.k),
        f"{point.recall:.4f}",
        between,
        f"{point.p50_us:.0f}",
        f"{point.p99_us:.0f}",
        _words(point.settings),
    )


def _words(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in settings.items())
