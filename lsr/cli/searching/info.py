"""What does `lsr info` do? Says what an index holds, without reading its segments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import facts, out, print_json, readable_bytes
from lsr.index.live.facts import facts_of


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what an index holds: documents, fields, encoder, segments and bytes.

    Example: lsr info my-index --json
    """
    found = facts_of(folder)
    if as_json:
        print_json(found._asdict())
        return
    named = ", ".join(f"{name} {value:g}" for name, value in found.settings.items())
    free = f", {readable_bytes(found.reclaimable_bytes)} reclaimable" if found.reclaimable_bytes else ""
    rows = [
        ("index", str(folder)),
        ("documents", f"{found.documents:,}"),
        ("deleted", f"{found.deleted:,}"),
        ("fields", ", ".join(f"{name}: {kind}" for name, kind in found.fields.items()) or "none"),
        ("encoder", f"{found.encoder} ({found.fingerprint})"),
        ("engine", f"{found.engine} ({named})" if named else found.engine),
        ("segments", f"{found.segments:,}{_recent(found.recent)}"),
        ("generation", str(found.generation)),
        ("bytes", f"{found.bytes:,} ({readable_bytes(found.bytes)}{free})"),
    ]
    out.print(facts(rows))


def _recent(documents: int) -> str:
    """Documents that are in no segment yet, in words."""
    return f", and {documents:,} newest document{'s' * (documents > 1)}" if documents else ""
