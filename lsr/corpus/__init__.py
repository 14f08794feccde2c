"""Where do documents come from? Files of many layouts in, a stream of `Document` out.

`DocumentReader` reads JSONL, BEIR folders and zips, MS MARCO TSV, Parquet and standard input with bounded
memory; `ByteStream` opens one file of a folder or zip; `SeenIds` finds a repeated id.
"""

from typing import TYPE_CHECKING

from lsr.corpus.document import Document
from lsr.on_first_use import on_first_use

if TYPE_CHECKING:
    from lsr.corpus.fields import Fields
    from lsr.corpus.layouts.json_text import json_objects, json_value
    from lsr.corpus.reader import DocumentReader
    from lsr.corpus.streams import ByteStream, has_member, open_member
    from lsr.corpus.unique import SeenIds

# A search reads no sources.
__getattr__ = on_first_use(
    __name__,
    {
        "fields": ("Fields",),
        "layouts.json_text": ("json_objects", "json_value"),
        "reader": ("DocumentReader",),
        "streams": ("ByteStream", "has_member", "open_member"),
        "unique": ("SeenIds",),
    },
)

__all__ = [
    "ByteStream",
    "Document",
    "DocumentReader",
    "Fields",
    "SeenIds",
    "has_member",
    "json_objects",
    "json_value",
    "open_member",
]
