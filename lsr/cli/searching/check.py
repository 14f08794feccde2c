"""What does `lsr check` do? Reads every file of an index and compares checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import facts, out, readable_bytes
from lsr.index import Collection


def command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")]) -> None:
    """Verify every file of an index against its checksum.

    Example: lsr check my-index
    """
    manifest = Collection.verify(folder)
    rows = [
        ("index", str(folder)),
        ("generation", str(manifest.generation)),
        ("encoder", f"{manifest.encoder.name} ({manifest.encoder.fingerprint})"),
        ("documents", f"{manifest.documents:,}"),
        ("segments", f"{len(manifest.segments):,}"),
        ("files", f"{len(manifest.files):,}, {readable_bytes(manifest.bytes)}, all checksums right"),
    ]
    out.print(facts(rows))
