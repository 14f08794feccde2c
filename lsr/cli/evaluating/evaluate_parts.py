"""What does `lsr eval` do with a folder of collections? Measures each, then takes the mean over collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace
from rich.table import Table
from rich.text import Text

from lsr.cli.console import out, say
from lsr.cli.evaluating.outputs import Outputs
from lsr.errors import InputError
from lsr.eval import Question


def run_parts(
    parts: Sequence[Path], question: Question, to: Outputs, measure: Callable[[Question], dict[str, Any]]
) -> None:
    """Let ``measure`` evaluate every part, and print the means; cqadupstack's published number is that of its twelve.

    Raises:
        InputError: options that only make sense for one collection.
    """
    if question.index or question.topics or to.run or to.report or to.certificate:
        raise InputError(
            "--index, --topics, --run, --report and --certificate are for one collection: give one of the parts, "
            f"{parts[0]}"
        )
    reports = {part.name: measure(replace(question, dataset=str(part))) for part in parts}
    names = list(next(iter(reports.values()))["measures"])
    mean = {name: sum(report["measures"][name] for report in reports.values()) / len(reports) for name in names}
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("collection", *names):
        table.add_column(name)
    for part, report in reports.items():
        table.add_row(Text(part), *(f"{report['measures'][name]:.4f}" for name in names))
    table.add_row(f"mean of {len(reports)}", *(f"{mean[name]:.4f}" for name in names), style="bold")
    out.print(table)
    if len(parts) != 12 and parts[0].parent.name == "cqadupstack":
        say(f"cqadupstack has 12 parts, here are {len(parts)}: this mean is not the published number")
    if to.json:
        to.json.write_bytes(msgspec.json.format(msgspec.json.encode({"mean": mean, "parts": reports})))
