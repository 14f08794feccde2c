"""What does `lsr sync` do? It makes an index exactly what its source says, and says what that took."""

from __future__ import annotations

from lsr.cli.changing.sources import AsJson, DryRun, Keep, Sources, Target, Watched, opened, reader_of, tell
from lsr.cli.options import IdField, TextField, TextFields, TitleField


def command(  # noqa: PLR0913 - one parameter an option
    sources: Sources,
    to: Target,
    dry_run: DryRun = False,
    id_field: IdField = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    text_fields: TextFields = None,
    store: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Make an index exactly what a source says; only what differs is encoded.

    Example: lsr sync catalogue.csv --to my-index
    """
    with opened(to) as collection:
        reader = reader_of(collection, sources, id_field, text_field, title_field, text_fields, store)
        changes = collection.sync(Watched(reader), dry_run=dry_run)
    tell(changes, as_json, reader, dry_run, changes.of_sync)
