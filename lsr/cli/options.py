"""Which options do several commands have?"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from lsr.errors import InputError

IdField = Annotated[list[str] | None, typer.Option(help="Field that holds the id.  [default: _id or id]")]
TextField = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME[^WEIGHT]", help="Field that holds the text; several are joined in order.  [default: text]"
    ),
]
TitleField = Annotated[
    list[str] | None, typer.Option(help="Field that holds the title; several are joined in order.  [default: title]")
]
TextFields = Annotated[
    str | None,
    typer.Option(metavar="NAME,NAME...", help="Fields that are joined to the text, in order; as name,description^0.5."),
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
SelfContained = Annotated[
    bool, typer.Option("--self-contained", help="Keep a copy of the default model in the index too.")
]
Passages = Annotated[
    int | None,
    typer.Option(metavar="WORDS", min=1, help="Divide documents into passages of whole sentences, of so many words."),
]
Overlap = Annotated[
    int | None, typer.Option(metavar="WORDS", min=0, help="That passages share.  [default: a fifth of --passages]")
]


def divided(passages: int | None, overlap: int | None) -> int | tuple[int, int] | None:
    """Words of a passage, and of what overlaps where that is given; None for whole documents.

    Raises:
        InputError: an overlap without passages.
    """
    if overlap is None or passages is None:
        if overlap is not None:
            raise InputError("--overlap is of passages: give --passages too")
        return passages
    return passages, overlap


def fetch(sources: Iterable[str]) -> None:
    """Let ir_datasets fetch those of ``sources`` that it is to give."""
    from lsr.corpus.layouts import irds

    for source in filter(irds.is_irds, sources):
        irds.fetch(source)
