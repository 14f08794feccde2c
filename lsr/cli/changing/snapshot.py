"""What does `lsr snapshot` do? It makes a consistent copy of an index, whatever is written meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.changing.sources import Folder, opened
from lsr.cli.console import say


def command(
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", metavar="NEW", help="Folder of the copy; new or empty.")],
) -> None:
    """Make a consistent copy of an index, whatever is written meanwhile.

    Example: lsr snapshot my-index --to backups/monday
    """
    with opened(folder) as collection:
        collection.snapshot(to)
        say(f"{to}: {len(collection):,} documents of generation {collection.generation}")
