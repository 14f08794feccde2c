"""What does the user see while waiting, and after? Progress bars and tables; results go to standard output.

Names, terms and texts are shown as they are: brackets are no markup, characters that steer a terminal become pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from rich.console import Console, ConsoleOptions, ConsoleRenderable, RenderHook, RenderResult
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, Task, TextColumn, TimeRemainingColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from lsr.cli import streams

if TYPE_CHECKING:
    from lsr.encoders import Encoder
    from lsr.retrieval import IndexSummary

MUCH = 0.5  # share of letters without terms that is worth a warning
PIPED = 100_000  # columns: what is piped is never wrapped, and a table has one row a line


def _piped() -> bool:
    return sys.stdout is None or not sys.stdout.isatty()


# Controls of terminals, and characters that turn the direction of a line, to what is shown in their place.
HARMLESS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n"},
    **{0x7F: "\u2421", **dict.fromkeys([*range(0x80, 0xA0), 0x061C, 0x200E, 0x200F], "\ufffd")},
    **dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), *range(0xD800, 0xE000)], "\ufffd"),
}


def harmless(text: str) -> str:
    """``text`` without characters that steer a terminal; a line break stays."""
    return text.translate(HARMLESS)


def one_line(text: str) -> str:
    """``text`` with pictures for line breaks too, so that nothing in it looks like a line of ours."""
    return harmless(text).replace("\n", "\u240a")


class _Screen(Console):
    """A console that takes nothing for markup."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)
        self.push_render_hook(_Harmless())

    def on_broken_pipe(self) -> None:
        """The reader left: that is no error."""
        raise SystemExit(0)


class _Harmless(RenderHook):
    """Lets everything be shown by `_Shown`."""

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        return [_Shown(renderable) for renderable in renderables]


class _Shown:
    """What it is given, with harmless characters."""

    def __init__(self, renderable: ConsoleRenderable) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text, style, control in console.render(self._renderable, options):
            yield Segment(text if control else harmless(text), style, control)


out = _Screen(soft_wrap=False, width=PIPED if _piped() else None)
err = _Screen(stderr=True)


class Rate(ProgressColumn):
    """Items a second, from the field ``items`` of the task."""

    def render(self, task: Task) -> Text:
        """Text of the column."""
        items, elapsed = task.fields.get("items", 0), task.elapsed or 0
        rate = f"{items / elapsed:,.0f}/s" if elapsed > 0 and items else "-"
        return Text(f"{items:,} {task.fields.get('unit', '')}  {rate}")


def say(message: str) -> None:
    """One line on standard error, never wrapped."""
    err.print(Text(message), soft_wrap=True)


def print_json(value: Any) -> None:
    """One line of JSON on standard output, in UTF-8 whatever the encoding there."""
    streams.write_line(msgspec.json.encode(value))


class _Bars(Progress):
    """Bars that go away where what they show fails."""

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        if kind is not None:
            self.live.transient = True
            for task in self.task_ids:
                self.update(task, visible=False)
        super().__exit__(kind, value, at)


def progress_bars() -> Progress:
    """Bars on standard error with what is done, the rate and the time left."""
    columns = (
        SpinnerColumn(finished_text="✓"),
        TextColumn("{task.description:<9}", markup=False),
        BarColumn(bar_width=30),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    return _Bars(*columns, console=err)


def facts(rows: Iterable[tuple[str, str]], justify: Literal["left", "right"] = "right") -> Table:
    """A table of names and values without lines."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(justify=justify)
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
        longer = "1 document is" if summary.truncated == 1 else f"{summary.truncated:,} documents are"
        say(
            f"warning: {longer} longer than {encoder.name} reads ({encoder.longest:,} "
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
