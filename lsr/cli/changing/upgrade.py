"""What does `lsr upgrade` do? It makes an index of an older format one of today, without encoding anything."""

from __future__ import annotations

from lsr.cli.changing.sources import Folder, opened
from lsr.cli.console import say
from lsr.index.storage.records import VERSION


def command(folder: Folder) -> None:
    """Convert an index of an older format; the first change does that too.

    Example: lsr upgrade my-index
    """
    with opened(folder) as collection:
        old = collection.store.contents.database is None
        with collection.store.changing():
            pass
    say(f"{folder} {'has' if old else 'had'} format {VERSION} {'now' if old else 'already'}")
