"""How is the source of a change read? As the collection was made, unless options say otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import print_json, progress_bars, say
from lsr.corpus import Document, DocumentReader, Fields
from lsr.encoders import PrecomputedVectors
from lsr.errors import InputError
from lsr.retrieval import Changes, Collection

Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE", help="Files, folders, or - for JSONL on standard input, as for lsr index."),
]
Target = Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the index.")]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")]
Keep = Annotated[
    str | None,
    typer.Option("--store", metavar="NAMES", help="Other fields to keep: all, none, or names.  [default: as before]"),
]

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


def reader_of(
    collection: Collection,
    sources: Sequence[str],
    id_field: Sequence[str] | None,
    texts: Sequence[str] | None,
    title: Sequence[str] | None,
    text_fields: str | None,
    store: str | None,
) -> DocumentReader:
    """Of documents whose fields are named by options, or as when the collection was made.

    Raises:
        InputError: a collection of vectors that were given.
    """
    if collection.about.encoder.name == PrecomputedVectors.name:
        raise InputError(
            f"{collection.folder} holds vectors that were given, and texts give none: index all vectors again, or give "
            "new ones in Python, Collection.add(documents, vectors)"
        )
    own = collection.source_fields
    named = [*(texts or []), *(text_fields or "").split(",")]
    return DocumentReader(
        sources,
        Fields(
            id_field or own.id,
            named if any(named) else own.text,
            title or own.title,
            store.split(",") if store else own.store,
        ),
    )


class Watched:
    """The documents of a reader; a bar follows it."""

    def __init__(self, reader: DocumentReader) -> None:
        self._reader, self._bars = reader, progress_bars()

    @property
    def place(self) -> str:
        """Where the document last given is."""
        return self._reader.place

    def __iter__(self) -> Iterator[Document]:
        number = 0
        with self._bars as bars:
            task = bars.add_task("reading", total=self._reader.size, items=0, unit="documents")
            for number, document in enumerate(self._reader, 1):
                yield document
                if number % 256 == 0:
                    bars.update(task, completed=self._reader.position, items=number)
            bars.update(task, completed=self._reader.position, total=self._reader.position, items=number)


@contextmanager
def opened(folder: Path) -> Iterator[Collection]:
    """The collection in a folder, looked after by this process alone."""
    with Collection.open(folder, background=False) as collection:
        yield collection


def tell(
    changes: Changes, as_json: bool, reader: DocumentReader | None = None, dry_run: bool = False, text: str = ""
) -> None:
    """Say what was done, or would be, and what was noted of the source; ``text`` says it otherwise."""
    if as_json:
        print_json({**changes._asdict(), **({"dry_run": True} if dry_run else {})})
    else:
        typer.echo(f"{'dry run: ' if dry_run else ''}{text or changes}")
    for note in reader.notes if reader else ():
        say(note)
