"""What does `lsr data` do? Lists judged collections, and makes some."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from lsr.cli.console import out as screen
from lsr.cli.console import say
from lsr.cli.help import Command, Group
from lsr.corpus import DocumentReader
from lsr.corpus.streams import open_file
from lsr.eval import (
    LimitShape,
    extend_limit,
    find_collections,
    invented_attributes,
    make_limit,
    missing_collections,
    read_limit,
    self_task,
    write_collection,
)

ATTRIBUTES = 1850


app = typer.Typer(
    cls=Group,
    help="List judged collections, or make one. Nothing is downloaded.\n\nExample: lsr data list",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list", cls=Command)
def data_list_command(
    folders: Annotated[list[Path] | None, typer.Argument(metavar="DIR", help="Where to look.  [default: .]")] = None,
) -> None:
    """List judged collections in these folders, and where to get others.

    Example: lsr data list ~/beir
    """
    found = find_collections(folders or [Path()])
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for name in ("collection", "split", "licence", "note"):
        table.add_column(name, overflow="fold")
    for path, known in found:
        about = (known.split, known.licence, known.note) if known else ("", "", "")
        table.add_row(*map(Text, (path.name.removesuffix(".zip"), *about)))
    missing = missing_collections(found)
    for known in missing:
        table.add_row(*map(Text, (known.name, known.split, known.licence, known.note)), style="dim")
    screen.print(table)
    for place in [*(f"here: {path}" for path, _ in found), *(f"get {known.name}: {known.source}" for known in missing)]:
        screen.print(Text(place), soft_wrap=True)
    say("nothing was downloaded; irds:NAME reads what ir_datasets has on this disk")


@app.command("limit", cls=Command)
def data_limit_command(
    out: Annotated[Path, typer.Option("--out", help="New folder, written in BEIR layout.")],
    people: Annotated[int, typer.Option(help="Number of documents.", min=2)] = 50_000,
    attributes: Annotated[
        Path | None, typer.Option(help="File of attributes, one per line.  [default: 1,850 invented words]")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option(help="File of words for names, one per line; a name is made of two.  [default: invented]"),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="Keep the people and queries of this LIMIT collection and add more people."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed makes the same collection.")] = 42,
) -> None:
    """Make a LIMIT collection: 1,000 queries, each answered by a different pair of 46 people.

    Example: lsr data limit --out limit-50k
    """
    shape, called = LimitShape(people=people, seed=seed), _lines(names) if names else []
    if source:
        base = read_limit(source)
        documents = extend_limit(base, _lines(attributes) if attributes else [], shape, called)
        queries, qrels = base.queries, base.qrels
    else:
        liked = _lines(attributes) if attributes else invented_attributes(ATTRIBUTES, seed)
        documents, queries, qrels = make_limit(liked, shape, called)
    count = write_collection(out, documents, queries, qrels)
    say(f"wrote {out}: {count:,} documents, {len(queries):,} queries")


@app.command("task", cls=Command)
def data_task_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="New folder, written in BEIR layout.")],
    kind: Annotated[
        str, typer.Option(help="keyword (5 rare words of a document) or part (8 to 20 in a row).")
    ] = "part",
    queries: Annotated[int, typer.Option(help="Number of queries.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same queries.")] = 0,
) -> None:
    """Make a judged collection from any corpus: queries of words from one document, which they must find.

    Example: lsr data task corpus.jsonl --kind keyword --out my-task
    """
    texts, qrels = self_task(DocumentReader([source]), kind, queries, seed)
    if len(texts) < queries:
        say(f"note: {len(texts):,} queries, {queries:,} were wanted: no more documents are long enough")
    count = write_collection(out, DocumentReader([source]), texts, qrels)
    say(f"wrote {out}: {count:,} documents, {len(texts):,} queries")


def _lines(path: Path) -> list[str]:
    return [line.strip() for _, line in open_file(path).text_lines()]
