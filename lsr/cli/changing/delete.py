"""What does `lsr delete` do? It deletes documents by id, or those that meet a filter."""

from __future__ import annotations

from typing import Annotated

import typer

from lsr.cli.changing.sources import AsJson, DryRun, Folder, opened, tell
from lsr.errors import InputError
from lsr.retrieval import Changes


def command(
    folder: Folder,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Document to delete.")] = None,
    filter_text: Annotated[
        str | None,
        typer.Option("--filter", metavar="TEXT", help="Delete all that meet it, as 'price > 100 and not in_stock'."),
    ] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Delete documents by id, or those that meet a filter.

    Example: lsr delete my-index --id 42 --id 43
    """
    _check(ids, filter_text)
    with opened(folder) as collection:
        if dry_run:
            found = sum(name in collection for name in dict.fromkeys(ids)) if ids else collection.count(filter_text)
            changes = Changes(deleted=found)
        else:
            changes = collection.delete(ids) if ids else collection.delete(filter=filter_text)
    tell(changes, as_json, dry_run=dry_run)


def _check(ids: list[str] | None, filter_text: str | None) -> None:
    if bool(ids) == (filter_text is not None):
        raise InputError("lsr delete wants --id or --filter: give one of them")
