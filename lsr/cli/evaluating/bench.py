"""What does `lsr bench` do? Measures the systems of a suite on its collections and shows one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.progress import Progress as Bars
from rich.table import Table
from rich.text import Text

from lsr.cli.console import out as screen
from lsr.cli.console import progress_bars, say
from lsr.errors import InputError, reason
from lsr.eval import (
    Suite,
    SuiteTable,
    collection_name,
    load_collection,
    markdown,
    parse_measures,
    provenance,
    read_suite,
    suite_table,
)
from lsr.eval.report import Measured, report_page
from lsr.measuring import Bench, Outcome


def command(
    suite: Annotated[Path, typer.Argument(metavar="SUITE.toml", help="Systems and collections.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of results and vectors.  [default: NAME.bench]")
    ] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder for NAME.md, NAME.json and NAME.html.  [default: that of --out]")
    ] = None,
    stop_after: Annotated[
        float | None, typer.Option(metavar="MINUTES", help="Stop after this time; a later run continues.")
    ] = None,
) -> None:
    """Evaluate encoders, engines, fusions and run files on many collections; run it again to continue.

    Example: lsr bench benchmarks/suites/sample.toml
    """
    plan = read_suite(suite)
    folder = out or Path(f"{suite.stem}.bench")
    with progress_bars() as bars:
        outcome = Bench(plan, folder, SuiteBars(bars), None if stop_after is None else 60 * stop_after).run()
    tables = _tables(plan, outcome)
    _print(tables[0])
    for note in _notes(outcome):
        say(note)
    target = (results or folder) / suite.stem
    _write(target.with_name(f"{suite.stem}.md"), _page(plan, tables, outcome).encode())
    _write(target.with_name(f"{suite.stem}.json"), msgspec.json.format(msgspec.json.encode(_values(plan, outcome))))
    _write(target.with_name(f"{suite.stem}.html"), _report(plan, tables[0], outcome).encode())
    say(f"wrote {target}.md, .json and .html")


class SuiteBars:
    """Two bars: cells of the suite, and what goes on in one."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._cells = bars.add_task("suite", total=None, items=0, unit="cells")
        self._step = bars.add_task("", total=None, items=0, unit="", visible=False)

    def cell(self, done: int, total: int, name: str) -> None:
        """Move the first bar."""
        self._bars.update(self._cells, completed=done, total=total, items=done, unit=f"of {total} cells  {name}")

    def step(self, what: str, done: int, total: int) -> None:
        """Move the second bar."""
        unit = "queries" if what == "searching" else "documents"
        self._bars.update(
            self._step, description=what, completed=done, total=total, items=done, unit=unit, visible=True
        )


def _tables(suite: Suite, outcome: Outcome) -> list[SuiteTable]:
    systems = [spec.name for spec in suite.system]
    collections = [collection_name(path) for path in suite.collections]
    names = [str(measure) for measure in parse_measures(suite.measures)]
    return [suite_table(outcome.cells, systems, collections, name) for name in names]


def _print(table: SuiteTable) -> None:
    """The table, in parts where the screen is narrower."""
    first = max(map(len, (*table.rows, table.measure))) + 2
    fit = max(1, (screen.width - first) // (max(map(len, table.columns)) + 2))
    for start in range(0, len(table.columns), fit):
        shown = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        shown.add_column(table.measure, no_wrap=True)
        for name in table.columns[start : start + fit]:
            shown.add_column(name, justify="right", no_wrap=True)
        for name, entries in table.rows.items():
            part = entries[start : start + fit]
            shown.add_row(name, *(Text(entry.text, "bold" if entry.best else "") for entry in part))
        screen.print(shown)


def _notes(outcome: Outcome) -> list[str]:
    """One line for each reason why cells are missing."""
    by_reason: dict[str, list[str]] = {}
    for place, why in outcome.missing.items():
        by_reason.setdefault(why, []).append(" on ".join(place))
    return [f"{len(places)} cells: {why} ({_some(places)})" for why, places in by_reason.items()]


def _some(places: Sequence[str]) -> str:
    return ", ".join(places[:3]) + (", ..." if len(places) > 3 else "")


def _page(suite: Suite, tables: Sequence[SuiteTable], outcome: Outcome) -> str:
    about = provenance()
    lines = [f"# {suite.title}", ""]
    lines += [f"{suite.convention} convention, {suite.depth} results a query, lsr {about['versions']['lsr']}.", ""]
    for table in tables:
        lines += [markdown(table)]
    lines += [f"- {note}" for note in _notes(outcome)]
    return "\n".join(lines).rstrip() + "\n"


def _values(suite: Suite, outcome: Outcome) -> dict[str, Any]:
    cells = [_cell(msgspec.to_builtins(cell)) for cell in outcome.cells.values()]
    missing = [{"system": s, "collection": c, "reason": reason} for (s, c), reason in outcome.missing.items()]
    return {"suite": suite, "cells": cells, "missing": missing}


def _report(suite: Suite, overview: SuiteTable, outcome: Outcome) -> str:
    baseline = suite.baseline or suite.system[0].name
    measured = []
    for path in suite.collections:
        name = collection_name(path)
        if cells := [cell for (_, place), cell in outcome.cells.items() if place == name]:
            cells.sort(key=lambda cell: list(overview.rows).index(cell.system))
            queries = load_collection(path, suite.split).queries
            measured.append(Measured(name, cells[0].documents, queries, cells, baseline))
    return report_page(suite.title, provenance(), measured, overview.measure, overview)


def _cell(cell: dict[str, Any]) -> dict[str, Any]:
    """Without what only the report needs."""
    del cell["values"]["per_query"], cell["lengths"]
    return cell


def _write(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None
