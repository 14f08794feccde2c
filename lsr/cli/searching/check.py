"""What does `lsr check` do? Reads every file of an index and compares checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import facts, out, readable_bytes
from lsr.index.live.snapshots import verify
from lsr.index.storage.places import size_of


def command(folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")]) -> None:
    """Verify every file of an index against its checksum.

    Example: lsr check my-index
    """
    state = verify(folder)
    files = sum(len(info.files) for info in state.segments.values()) + len(state.about.encoder_files)
    rows = [
        ("index", str(folder)),
        ("generation", str(state.newest)),
        ("encoder", f"{state.about.encoder.name} ({state.about.encoder.fingerprint})"),
        ("documents", f"{state.live_documents:,}"),
        ("segments", f"{len(state.segments):,}"),
        ("files", f"{files:,}, {readable_bytes(size_of(folder))}, all checksums right"),
    ]
    out.print(facts(rows))
