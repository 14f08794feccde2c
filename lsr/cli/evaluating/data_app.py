"""Which commands does `lsr data` have? Declared here, done in `lsr.cli.evaluating.data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.help import Command, Group

app = typer.Typer(
    cls=Group,
    help="List judged collections; make some. Nothing is downloaded.\n\nExample: lsr data list",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list", cls=Command)
def data_list_command(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="DIR", help="Where to look.  [default: .]")] = None,
) -> None:
    """List judged collections: those in the folders, and where to get others that are known.

    Example: lsr data list ~/beir
    """
    from lsr.cli.evaluating.data import list_collections

    list_collections(folders or [Path()])


@app.command("limit", cls=Command)
def data_limit_command(
    out: Annotated[Path, typer.Option("--out", help="New folder, written in BEIR layout.")],
    people: Annotated[int, typer.Option(help="Documents.", min=2)] = 50_000,
    attributes: Annotated[
        Path | None, typer.Option(help="File with one attribute a line.  [default: 1,850 invented words]")
    ] = None,
    names: Annotated[
        Path | None, typer.Option(help="File with words for names, one a line; two are a name.  [default: invented]")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Keep people and queries of this LIMIT collection, and add others around them."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same collection.")] = 42,
) -> None:
    """Make a LIMIT collection: 1,000 queries, each about one of the pairs of 46 people among many.

    Example: lsr data limit --out limit-50k
    """
    from lsr.cli.evaluating.data import limit

    limit(out, people, attributes, names, seed, source)


@app.command("task", cls=Command)
def data_task_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="New folder, written in BEIR layout.")],
    kind: Annotated[
        str, typer.Option(help="keyword (5 rare words of a document) or part (8 to 20 in a row).")
    ] = "part",
    queries: Annotated[int, typer.Option(help="So many queries.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same queries.")] = 0,
) -> None:
    """Make a judged collection of any corpus: its own words must find the document they are from.

    Example: lsr data task corpus.jsonl --kind keyword --out my-task
    """
    from lsr.cli.evaluating.data import task

    task(source, out, kind, queries, seed)
