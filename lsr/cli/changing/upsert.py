"""What does `lsr upsert` do? Reads documents, encodes what is new, and writes it."""

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
    """Add documents to an index, in place of those with the same ids.

    Documents that are there as they are stay, and are not encoded again.

    Example: lsr upsert changed.jsonl --to my-index
    """
    with opened(to) as collection:
        reader = reader_of(collection, sources, id_field, text_field, title_field, text_fields, store)
        changes = collection.upsert(Watched(reader))
    tell(changes, as_json, reader)
