"""What does `lsr add` do? Reads documents, encodes what is new, and writes it."""

from __future__ import annotations

from lsr.cli.changing.sources import AsJson, Keep, Sources, Target, Watched, opened, reader_of, tell
from lsr.cli.options import IdField, TextField, TextFields, TitleField


def command(
    sources: Sources,
    to: Target,
    id_field: IdField = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    text_fields: TextFields = None,
    store: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Add documents to an index; an id that is there already is refused.

    Example: lsr add more.jsonl --to my-index
    """
    with opened(to) as collection:
        reader = reader_of(collection, sources, id_field, text_field, title_field, text_fields, store)
        changes = collection.add(Watched(reader))
    tell(changes, as_json, reader)
