"""What does `lsr info` do? Says what an index holds, without reading its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import facts, out, print_json, readable_bytes
from lsr.index import Collection


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what an index holds: documents, fields, encoder, segments and bytes.

    Example: lsr info my-index --json
    """
    manifest = Collection(folder).manifest
    settings = dict(manifest.settings)
    engine = settings.pop("engine")
    values = {
        "documents": manifest.documents,
        "deleted": 0,
        "segments": len(manifest.segments),
        "generation": manifest.generation,
        "bytes": manifest.bytes,
        "reclaimable_bytes": 0,
        "nonzeros": manifest.nonzeros,
        "terms": manifest.encoder.dim,
        "encoder": manifest.encoder.name,
        "fingerprint": manifest.encoder.fingerprint,
        "engine": engine,
        "settings": settings,
        "fields": manifest.fields,
        "version": manifest.lsr,
    }
    if as_json:
        print_json(values)
        return
    named = ", ".join(f"{name} {value:g}" for name, value in settings.items())
    rows = [
        ("index", str(folder)),
        ("documents", f"{manifest.documents:,}"),
        ("fields", ", ".join(f"{name}: {kind}" for name, kind in manifest.fields.items()) or "none"),
        ("encoder", f"{manifest.encoder.name} ({manifest.encoder.fingerprint})"),
        ("engine", f"{engine} ({named})" if named else engine),
        ("segments", f"{len(manifest.segments):,}"),
        ("generation", str(manifest.generation)),
        ("bytes", f"{manifest.bytes:,} ({readable_bytes(manifest.bytes)})"),
    ]
    out.print(facts(rows))
