"""What does `lsr compact` do? It gives the room of deleted documents back at once."""

from __future__ import annotations

from lsr.cli.changing.sources import Folder, opened
from lsr.cli.console import readable_bytes, say
from lsr.index.storage.places import size_of


def command(folder: Folder) -> None:
    """Write an index anew, without deleted documents and its history.

    All room of deleted documents is given back, and weights of bm25 follow the corpus again.

    Example: lsr compact my-index
    """
    before = size_of(folder) if folder.is_dir() else 0
    with opened(folder) as collection:
        collection.compact()
    say(f"{readable_bytes(before)} before, {readable_bytes(size_of(folder))} now")
