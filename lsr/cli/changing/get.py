"""What does `lsr get` do? It shows documents by id."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from lsr.cli.changing.sources import Folder, opened
from lsr.cli.console import facts, one_line, out, print_json
from lsr.corpus import Document
from lsr.errors import InputError
from lsr.retrieval import Collection


def command(
    folder: Folder,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Of the documents.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show documents of an index by id.

    Example: lsr get my-index 42
    """
    with opened(folder) as collection:
        for number, name in enumerate(ids):
            document = _found(collection, name)
            if as_json:
                print_json({**document._asdict(), "fields": dict(document.fields)})
                continue
            if number:
                out.print()
            values = {"id": document.id, "title": document.title, "text": document.text, **document.fields}
            out.print(facts(((name, one_line(_shown(value))) for name, value in values.items() if value != ""), "left"))


def _found(collection: Collection, name: str) -> Document:
    document = collection.get(name)
    if document is None:
        raise InputError(f"no document with the id {name!r:.80} in {collection.folder}")
    return document


def _shown(value: Any) -> str:
    """A value as it is typed in a filter; JSON where that has none."""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
