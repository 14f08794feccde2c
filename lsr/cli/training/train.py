"""What does `lsr train` do? Runs a recipe, shows how it goes, and says what came of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from lsr.cli import console
from lsr.cli.console import facts, progress_bars, say
from lsr.errors import InputError
from lsr.training.data.sampling_order import Order
from lsr.training.recipe import Penalty, Recipe, read_recipe, recipe_names

if TYPE_CHECKING:
    from lsr.training.loop.session import Plan

SHOWN = ("loss", "terms", "flops", "dead", "k", "dev ndcg")


def command(  # noqa: PLR0913  one for each option
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="Recipe name or TOML file; 'list' prints the names.")],
    data: Annotated[
        list[str] | None,
        typer.Option(help="JSONL, Parquet, triples (.tsv), BEIR or training folder; may be repeated.  [required]"),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="Folder of the run.  [required]")] = None,
    model: Annotated[Path | None, typer.Option(help="Folder of the weights to start from.  [required]")] = None,
    dev: Annotated[
        list[str] | None, typer.Option(help="Judged sets to measure on, PATH or PATH:SPLIT.  [required]")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Variant of the recipe: tiny takes minutes on a CPU.")] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="bm25, scores, or the folder of an encoder; replaces the recipe's teachers."),
    ] = None,
    mix: Annotated[
        list[float] | None,
        typer.Option(help="How often to draw from each --data, in order, such as 3 and 1.  [default: by size]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed for data order, dropout and new weights.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the newest checkpoint.")] = False,
) -> None:
    """Train an encoder by a recipe; "lsr train list" shows the recipes.

    Example: lsr train splade --data pairs.jsonl --dev scifact.zip --model my-weights --out my-run
    """
    if recipe == "list":
        _list_recipes()
        return
    from lsr.training.loop.session import Plan

    chosen = read_recipe(recipe, profile)
    start, sources, judged, folder = _places(model, data, dev, out)
    if mix:
        Order([1] * len(sources), tuple(mix))  # refuses weights that do not fit, before anything is read
    plan = Plan(start, tuple(sources), tuple(judged), folder, tuple(teacher or ()), tuple(mix or ()) or None, seed)
    _train(chosen, plan, resume)


def _train(recipe: Recipe, plan: Plan, resume: bool) -> None:
    """Train and print what the dev set says."""
    from lsr.training.loop.session import prepare

    started = time.perf_counter()
    trainer = prepare(recipe, plan, resume)
    for fault in trainer.passed_over:
        say(f"{fault}; going on from step {trainer.step:,}")
    if not trainer.processes.first:
        trainer.run()
        return
    with progress_bars() as bars:
        task = bars.add_task("training", total=recipe.steps, items=0, unit="steps")
        latest: dict[str, float] = {}

        def show(step: int, values: dict[str, float]) -> None:
            latest.update({key: value for key, value in values.items() if key in SHOWN})
            words = "  ".join(f"{key} {value:.4g}" for key, value in latest.items())
            bars.update(task, completed=step, items=step, unit=f"steps  {words}")

        result = trainer.run(show)
    rows = [
        ("recipe", recipe.title),
        ("steps", f"{result.steps:,}"),
        ("nDCG@10 before", f"{result.before:.4f}"),
        ("nDCG@10 best", f"{result.best:.4f} ({_step(result.best_step)})"),
        ("encoder", str(plan.out / "encoder")),
        ("seconds", f"{time.perf_counter() - started:.1f}"),
    ]
    console.out.print(facts(rows))


def _step(number: int) -> str:
    """Where the best encoder came from."""
    return f"step {number:,}" if number else "step 0, the untouched start: training made it no better"


def _places(
    model: Path | None, data: list[str] | None, dev: list[str] | None, out: Path | None
) -> tuple[Path, list[str], list[str], Path]:
    """All four, or a message that names what is missing."""
    if model is None or not data or not dev or out is None:
        given = {"--model": model, "--data": data, "--dev": dev, "--out": out}
        missing = ", ".join(option for option, value in given.items() if not value)
        raise InputError(f"training needs {missing}; see lsr train --help")
    return model, data, dev, out


def _list_recipes() -> None:
    """Print every recipe, as a table of Markdown."""
    head = ("recipe", "system", "losses", "documents", "queries", "what it is")
    rows = [head, *(_row(name) for name in recipe_names())]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    rows.insert(1, tuple("-" * width for width in widths))  # type: ignore[arg-type]
    for row in rows:
        cells = (f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        console.out.print(Text(f"| {' | '.join(cells)} |"), soft_wrap=True)


def _row(name: str) -> tuple[str, str, str, str, str, str]:
    recipe = read_recipe(name)
    losses = [*recipe.losses, *(["reconstruction"] if recipe.codes else [])]
    losses += ["contrast of codes"] if recipe.codes and recipe.codes.contrast else []
    sides = (_penalty(recipe.document), _penalty(recipe.query))
    return name, recipe.system, ", ".join(losses), *sides, recipe.title


def _penalty(penalty: Penalty | None) -> str:
    """What keeps one side sparse."""
    if penalty is None:
        return ""
    mask = f" above {penalty.above}" if penalty.above else ""
    weight = penalty.weight if isinstance(penalty.weight, float) else penalty.weight.value
    return f"{'DF-' if penalty.frequency else ''}{penalty.norm.upper()}{mask} {weight:g}"
