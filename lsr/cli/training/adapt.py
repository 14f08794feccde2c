"""What does `lsr adapt` do? Tunes an encoder on a corpus and shows whether that helped."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lsr.cli import console
from lsr.cli.console import progress_bars, say
from lsr.corpus import DocumentReader

if TYPE_CHECKING:
    from lsr.training.adaptation.adaptation import Compared, Report

REFUSED = 3  # exit code: done, and the encoder was not better


def command(  # noqa: PLR0913  one for each option
    corpus: Annotated[list[str], typer.Argument(metavar="CORPUS", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="New folder; the adapted encoder is OUT/encoder.")],
    encoder: Annotated[str, typer.Option(help="Folder of the encoder to tune, or default.")] = "default",
    recipe: Annotated[
        str | None, typer.Option(help="Name or TOML file.  [default: what suits the encoder's system]")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training.", min=1)] = 60,
    minutes: Annotated[
        float | None, typer.Option(help="Take fewer steps, to finish in about this time.", min=0.1)
    ] = None,
    judged: Annotated[
        Path | None, typer.Option(help="Judged collection to report on too; it does not affect the result.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also write an encoder that is not clearly better (never a worse one).")
    ] = False,
    seed: Annotated[int, typer.Option(help="Random seed for making and sampling queries.")] = 0,
) -> None:
    """Fine-tune an encoder on your own documents, without labels.

    Example: lsr adapt corpus.jsonl --out adapted
    """
    from lsr.errors import require

    require("accelerate", "onnxscript", purpose="lsr adapt")
    from lsr.encoders.registry import folder_of
    from lsr.training.adaptation.adaptation import Adaptation, adapt
    from lsr.training.loop.validation import read_dev

    settings = Adaptation(recipe, steps, minutes, seed, force)
    documents, task = list(DocumentReader(corpus)), read_dev(judged) if judged else None
    with progress_bars() as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, items=0)
            bars.update(tasks[stage], completed=done, items=done)

        report = adapt(documents, folder_of(encoder), out, settings, task, show)
    _print("questions kept back", report.held_out)
    if report.judged and judged:
        _print(f"judged queries of {judged.name}", report.judged)
    say(f"{report.steps:,} steps on {report.pairs:,} pairs, {report.seconds:.0f} s in all; {out / 'report.json'}")
    _end(report, out)


def _end(report: Report, folder: Path) -> None:
    difference = report.held_out.differences["nDCG@10"]
    found = f"nDCG@10 {difference.a:.4f} before, {difference.b:.4f} after on questions kept back: {report.conclusion}"
    if report.written:
        say(f"{found}; wrote {folder / 'encoder'}")
        return
    hint = "keep the one before" if report.conclusion == "worse" else "--force keeps it all the same"
    say(f"{found}; the adapted encoder was not written ({hint})")
    raise typer.Exit(REFUSED)


def _print(title: str, compared: Compared) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", title_justify="left", title_style="")
    for name in (f"{compared.queries:,} {title}", "bm25", "before", "after", "after - before", "95 %", "p"):
        table.add_column(name, justify="left" if name == f"{compared.queries:,} {title}" else "right")
    for name, one in compared.differences.items():
        between = f"{one.delta.low:+.4f} {one.delta.high:+.4f}"
        values = f"{compared.bm25.means[name]:.4f}", f"{one.a:.4f}", f"{one.b:.4f}", f"{one.delta.mean:+.4f}"
        table.add_row(name, *values, between, f"{one.t_test:.4f}", style="bold" if one.t_test < 0.05 else None)
    for kind, (old, new) in compared.kinds.items():
        table.add_row(f"  nDCG@10, {kind}", "", f"{old:.4f}", f"{new:.4f}", f"{new - old:+.4f}", "", "")
    for side in ("document", "query"):
        terms = [getattr(one, f"{side}_terms") for one in (compared.bm25, compared.before, compared.after)]
        table.add_row(f"terms a {side}", *(f"{value:.1f}" for value in terms), f"{terms[2] - terms[1]:+.1f}", "", "")
    console.out.print(table)
