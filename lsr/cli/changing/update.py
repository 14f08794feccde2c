"""What does `lsr update` do? It changes fields of documents; nothing is encoded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from lsr.cli.changing.sources import AsJson, Folder, opened, tell
from lsr.cli.console import say
from lsr.corpus import Document, DocumentReader, Fields
from lsr.corpus.passages import without_reserved
from lsr.errors import InputError
from lsr.retrieval import Changes, Collection

BATCH = 4096  # documents that are changed together


def command(
    folder: Folder,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="Document to change.")] = None,
    values: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="New value of a field, JSON or a text; NAME= removes it."),
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="JSONL or CSV of documents with their ids and new fields."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change fields of documents, such as prices; nothing is encoded.

    Example: lsr update my-index --id 42 --set price=9.5 --set in_stock=true
    """
    _check(ids, values, source)
    with opened(folder) as collection:
        if source is None:
            changes = collection.update(dict.fromkeys(ids or [], _fields(values or [])))
        else:
            changes = _from_file(collection, source)
    tell(changes, as_json)


def _check(ids: list[str] | None, values: list[str] | None, source: Path | None) -> None:
    if not (ids and values and source is None) and not (source and not ids and not values):
        raise InputError("lsr update wants --id and --set, or --from FILE: give one of them")


def _from_file(collection: Collection, source: Path) -> Changes:
    own, done = collection.source_fields, Changes()
    reader = DocumentReader([source], Fields(own.id, own.text, own.title, "all", needs_text=False))
    texts = False
    for batch in _batched(reader, BATCH):
        texts = texts or any(document.title or document.text for document in batch)
        done = done.plus(collection.update({one.id: without_reserved(one.fields) for one in batch}))
    if texts:
        say(f"titles and texts of {source} were not looked at: lsr upsert changes them")
    return done


def _batched(documents: Iterable[Document], size: int) -> Iterator[list[Document]]:
    """Documents, so many at a time."""
    found = iter(documents)
    while batch := list(islice(found, size)):
        yield batch


def _fields(words: list[str]) -> dict[str, Any]:
    """Fields from words like price=9.5."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not name or not equals:
            raise InputError(f"--set {word!r:.60}: wanted NAME=VALUE, as price=9.5")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    """JSON, or the text itself; None for nothing."""
    try:
        return msgspec.json.decode(text) if text else None
    except msgspec.MsgspecError:
        return text
