"""What does `lsr mine` do? Finds hard negatives for pairs and writes them as a training folder."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from lsr.cli import console
from lsr.cli.console import facts, progress_bars
from lsr.errors import InputError
from lsr.training.data.sources import read_data
from lsr.training.data.training_folder import EXAMPLES, write_row_folder
from lsr.training.mining.mining import MiningReport, MiningSettings, mine

WORDS = {
    "pairs": "pairs of a query and a positive",
    "negatives": "negatives found",
    "candidates": "candidates seen",
    "known": "dropped: an answer, or its text",
    "filtered": "dropped: scored like the positive",
    "short": "pairs with fewer than wanted",
    "without": "pairs without any negative",
}


def command(  # noqa: PLR0913  one for each option
    data: Annotated[list[str], typer.Argument(metavar="DATA", help="Pairs, in any layout of lsr train --data.")],
    out: Annotated[Path, typer.Option("--out", help="New folder; lsr train --data reads it.")],
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="bm25, or the folder of an encoder; repeat it to alternate between encoders.  [default: bm25]"
        ),
    ] = None,
    negatives: Annotated[int, typer.Option(help="Negatives for each pair.", min=1)] = 4,
    depth: Annotated[int, typer.Option(help="Candidates of a search; negatives are drawn from them.", min=1)] = 100,
    skip: Annotated[int, typer.Option(help="Leave out this many of the best.", min=0)] = 0,
    share: Annotated[
        float,
        typer.Option("--filter", help="Drop documents that score above this share of the positive; inf drops none."),
    ] = 0.95,
    judge: Annotated[
        str | None, typer.Option(help="Encoder whose scores --filter compares.  [default: the one that searches]")
    ] = None,
    scored: Annotated[bool, typer.Option("--scores", help="Write the scores, for distillation.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed finds the same negatives.")] = 0,
) -> None:
    """Find hard negatives for pairs: documents that an encoder mistakes for answers.

    Example: lsr mine pairs.parquet --out mined
    """
    settings = MiningSettings(tuple(encoder or ("bm25",)), negatives, depth, skip, share, judge, scored, seed)
    _check_new(out)
    started = time.perf_counter()
    pairs = read_data(data)
    with progress_bars() as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, items=0, unit="texts")
            bars.update(tasks[stage], completed=done, items=done)

        examples, report = mine(pairs, settings, show)
    write_row_folder(out, pairs.queries, pairs.documents, examples)
    seconds = time.perf_counter() - started
    record = {
        "data": data,
        "settings": asdict(settings),
        "report": asdict(report),
        "seconds": round(seconds, 1),
    }
    (out / "mined.json").write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    _print(report, out, seconds)


def _check_new(folder: Path) -> None:
    if (folder / EXAMPLES).exists():
        raise InputError(f"{folder} holds training data: choose a new folder for --out")


def _print(report: MiningReport, folder: Path, seconds: float) -> None:
    rows = [(WORDS[name], f"{value:,}") for name, value in report.rows()]
    rows[1] = (rows[1][0], f"{report.negatives:,} ({report.negatives / report.pairs:.2f} a pair)")
    console.out.print(facts([*rows, ("training folder", str(folder)), ("seconds", f"{seconds:.1f}")]))
