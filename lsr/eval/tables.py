"""How does a suite read at a glance? Rows of systems, columns of collections and their mean, the best marked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lsr.eval.cells import Cell

Cells = Mapping[tuple[str, str], Cell]
DIGITS = 4


class Entry(NamedTuple):
    """One place of the table: its value, None where it was not measured, and whether it is the column's best."""

    value: float | None
    best: bool
    text: str


class SuiteTable(NamedTuple):
    """Rows of systems over columns of collections and "mean"."""

    measure: str
    columns: list[str]
    rows: dict[str, list[Entry]]


def suite_table(cells: Cells, systems: Sequence[str], collections: Sequence[str], measure: str) -> SuiteTable:
    """The table of one measure; a system has a mean only where it was measured on every collection.

    Values that are equal to four digits share the mark of the best, which needs another system to be better than.
    """
    values = {name: [_value(cells, name, collection, measure) for collection in collections] for name in systems}
    full = {name: [*found, _mean(found)] for name, found in values.items()}
    best = [_best(column) for column in zip(*full.values(), strict=True)]
    rows = {name: [_entry(value, top) for value, top in zip(found, best, strict=True)] for name, found in full.items()}
    for name, found in values.items():
        if rows[name][-1].value is None:
            known = sum(value is not None for value in found)
            rows[name][-1] = Entry(None, False, f"{known} of {len(collections)}")
    return SuiteTable(measure, [*collections, "mean"], rows)


def markdown(table: SuiteTable) -> str:
    """The table in Markdown."""
    head = f"| {table.measure} | " + " | ".join(table.columns) + " |"
    lines = [head, "|---" + "|---:" * len(table.columns) + "|"]
    for name, entries in table.rows.items():
        cells = (f"**{entry.text}**" if entry.best else entry.text for entry in entries)
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _value(cells: Cells, system: str, collection: str, measure: str) -> float | None:
    cell = cells.get((system, collection))
    return None if cell is None else cell.values.measures[measure]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _best(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if len(known) > 1 else None


def _entry(value: float | None, best: float | None) -> Entry:
    if value is None:
        return Entry(None, False, "–")  # noqa: RUF001
    return Entry(value, best is not None and round(value, DIGITS) == round(best, DIGITS), f"{value:.{DIGITS}f}")
