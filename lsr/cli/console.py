"""What does the user see while waiting, and after? Progress bars and tables; results go to standard output."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from lsr.encoders import Encoder
    from lsr.retrieval import IndexSummary

MUCH = 0.5  # share of letters without terms that is worth a warning
PIPED = 100_000  # columns: what is piped is never wrapped, and a table has one row a line


def _piped() -> bool:
    return sys.stdout is None or not sys.stdout.isatty()


out = Console(highlight=False, soft_wrap=False, width=PIPED if _piped() else None)
err = Console(stderr=True, highlight=False)


class Rate(ProgressColumn):
    """Items a second, from the field ``items`` of the task."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        items, elapsed = task.fields.get("items", 0), task.elapsed or 0
        rate = f"{items / elapsed:,.0f}/s" if elapsed > 0 and items else "-"
        return Text(f"{items:,} {task.fields.get('unit', '')}  {rate}")


def say(message: str) -> None:
    """One line on standard error, never wrapped, brackets taken as they are."""
    err.print(message, soft_wrap=True, markup=False)


def progress_bars() -> Progress:
    """Bars on standard error with what is done, the rate and the time left."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<9}"),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%"),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    return Progress(*columns, console=err)


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values without lines."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def readable_bytes(size: float) -> str:
    """A size such as 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def warn_of_unread(summary: IndexSummary, encoder: Encoder) -> None:
    """Say what of the documents can never be found: words beyond what the encoder reads, and letters without terms."""
    if summary.truncated and encoder.longest:
        say(
            f"warning: {summary.truncated:,} documents are longer than {encoder.name} reads ({encoder.longest:,} "
            "word-pieces); no query will find the words after that"
        )
    if summary.uncovered > MUCH:
        say(
            f"warning: {encoder.name} has no terms for {summary.uncovered:.0%} of the letters outside ASCII "
            "(in a sample): try --encoder bm25 --language none"
        )


def warn_of_empty(documents: int) -> None:
    """Say how many documents can never be found, if any."""
    if documents:
        hold = "1 document holds" if documents == 1 else f"{documents:,} documents hold"
        say(f"warning: {hold} no term (no text, or no word that the encoder reads there); no query finds them")
