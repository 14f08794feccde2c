"""What does `lsr rollback` do? It makes an index again what it was at a generation."""

from __future__ import annotations

from typing import Annotated

import typer

from lsr.cli.changing.sources import AsJson, Folder, opened, tell


def command(
    folder: Folder,
    generation: Annotated[int, typer.Argument(metavar="GENERATION", help="One that lsr history lists.")],
    as_json: AsJson = False,
) -> None:
    """Make an index again what it was at an earlier generation.

    Example: lsr rollback my-index 12
    """
    with opened(folder) as collection:
        changes = collection.rollback(generation)
    tell(changes, as_json)
