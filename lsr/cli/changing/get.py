"""What does `lsr get` do? It shows documents by id."""

from __future__ import annotations

from typing import Annotated

import typer

from lsr.cli.changing.sources import Folder, opened
from lsr.cli.console import facts, one_line, out, print_json
from lsr.errors import InputError


def command(
    folder: Folder,
    ids: Annotated[list[str], typer.Argument(metavar="ID", help="Of the documents.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show documents of an index by id.

    Example: lsr get my-index 42
    """
    with opened(folder) as collection:
        for name in ids:
            document = collection.get(name)
            if document is None:
                raise InputError(f"no document with the id {name!r:.80} in {folder}")
            if as_json:
                print_json({**document._asdict(), "fields": dict(document.fields)})
                continue
            rows = [("id", document.id), ("title", one_line(document.title)), ("text", one_line(document.text))]
            rows += [(name, one_line(str(value))) for name, value in document.fields.items()]
            out.print(facts(row for row in rows if row[1]), soft_wrap=True)
