"""What does `lsr restore` do? It checks a snapshot and makes it an index of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.changing.sources import opened
from lsr.cli.console import say
from lsr.index.live.snapshots import restore


def command(
    snapshot: Annotated[Path, typer.Argument(metavar="SNAPSHOT", help="Folder that lsr snapshot made.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the index; new or empty.")],
) -> None:
    """Check every file of a snapshot, and make it an index.

    Example: lsr restore backups/monday --to my-index
    """
    restore(snapshot, to)
    with opened(to) as collection:
        say(f"{to}: {len(collection):,} documents of generation {collection.generation}")
