"""Which options do several commands have?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

IdField = Annotated[list[str] | None, typer.Option(help="Field that holds the id.  [default: _id or id]")]
TextField = Annotated[
    list[str] | None, typer.Option(help="Field that holds the text; several are joined in order.  [default: text]")
]
TitleField = Annotated[
    list[str] | None, typer.Option(help="Field that holds the title; several are joined in order.  [default: title]")
]
TextFields = Annotated[
    str | None, typer.Option(metavar="NAME,NAME...", help="Fields that are joined to the text, in order.")
]
Store = Annotated[
    str, typer.Option(metavar="NAMES", help="Other fields to keep: all, none, or names with commas between.")
]
Declared = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="NAME:TYPE",
        help="Type of a field: keyword, integer, float, boolean, datetime, keywords, json, or of a dense vector, which "
        "is never inferred, vector or vector_int8.  [default: inferred]",
    ),
]
Language = Annotated[
    str | None,
    typer.Option(
        help="Language of bm25's stemmer and stop words: german or de, french or fr, ..., or none.  [default: english]"
    ),
]
Truncate = Annotated[
    bool,
    typer.Option(
        "--truncate",
        help="Read of a document that is longer than the network reads at once only the beginning, as published "
        "numbers have it.",
    ),
]
Download = Annotated[bool, typer.Option("--download", help="Let ir_datasets download what irds:NAME needs.")]


def fetch(sources: Iterable[str]) -> None:
    """Let ir_datasets fetch those of ``sources`` that it is to give."""
    from lsr.corpus.layouts import irds

    for source in filter(irds.is_irds, sources):
        irds.fetch(source)
