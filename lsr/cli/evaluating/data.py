"""What does `lsr data` do? Lists judged collections, and makes some."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from lsr.cli.console import out as screen
from lsr.cli.console import say
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


def list_collections(folders: Sequence[Path]) -> None:
    """Print what is there and what is not."""
    found = find_collections(folders)
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


def limit(out: Path, people: int, attributes: Path | None, names: Path | None, seed: int, source: Path | None) -> None:
    """Make a LIMIT collection, around the wanted people of ``source`` where there is one."""
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


def task(source: str, out: Path, kind: str, n: int, seed: int) -> None:
    """Make a collection whose queries are words of its documents."""
    queries, qrels = self_task(DocumentReader([source]), kind, n, seed)
    if len(queries) < n:
        say(f"note: {len(queries):,} queries, {n:,} were wanted: no more documents are long enough")
    count = write_collection(out, DocumentReader([source]), queries, qrels)
    say(f"wrote {out}: {count:,} documents, {len(queries):,} queries")


def _lines(path: Path) -> list[str]:
    return [line.strip() for _, line in open_file(path).text_lines()]
