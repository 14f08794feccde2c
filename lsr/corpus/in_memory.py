"""Which documents do Python objects hold? Iterables of documents or dicts, and tables of Arrow, pandas and polars."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from lsr.corpus.document import Document
from lsr.corpus.fields import FieldReader, Fields
from lsr.errors import InputError

Table = Any  # of pyarrow, pandas or polars, none of which is imported for its type
ROWS = 1024  # of a table that are turned into Python objects at a time


class Records:
    """Documents of Python objects, read as often as these can be.

    Args:
        source: `Document` or mappings, or a table of pyarrow (also a reader of batches), pandas or polars.
        fields: which fields are id, title, text, and which others are kept; None keeps all.

    Raises:
        InputError: something that holds no documents.
    """

    def __init__(self, source: object, fields: Fields | None = None) -> None:
        one = isinstance(source, str | bytes | Mapping | Document)
        if one or not (isinstance(source, Iterable) or hasattr(source, "to_batches")):
            raise InputError(
                f"the documents are {source!r:.60}: wanted several lsr.Document, or dicts, or a table; "
                "lsr.DocumentReader reads files"
            )
        self._source, self.fields = source, fields or Fields(store="all")
        self.place = "the first record"

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents; `InputError` names the record that is none."""
        reader, table = FieldReader(self.fields), False
        for number, record in enumerate(_records(self._source), 1):
            if isinstance(record, Document):
                self.place = f"document {number}"
                yield record
                continue
            self.place = f"record {number}"
            if not isinstance(record, Mapping):
                raise InputError(f"{self.place}: found a {type(record).__name__}, wanted lsr.Document or a dict")
            table = True
            yield self._document(reader, record)
        if table:
            reader.finish()

    def _document(self, reader: FieldReader, record: Mapping[str, Any]) -> Document:
        try:
            return reader.document({str(name): _plain(value) for name, value in record.items()}, self.place)
        except InputError as fault:
            raise InputError(f"{self.place}: {fault}") from None


def _records(source: Any) -> Iterator[Any]:
    """Rows of a table as dicts, a limited number at a time; of anything else what it yields."""
    if hasattr(source, "to_batches"):  # a table of pyarrow
        for batch in source.to_batches(max_chunksize=ROWS):
            yield from batch.to_pylist()
    elif hasattr(source, "iter_rows") and hasattr(source, "columns"):  # polars
        yield from source.iter_rows(named=True)
    elif hasattr(source, "iloc") and hasattr(source, "columns"):  # pandas
        for start in range(0, len(source), ROWS):
            yield from source.iloc[start : start + ROWS].to_dict("records")
    else:
        for one in source:
            if hasattr(one, "to_pylist"):  # batches of a reader of pyarrow
                yield from one.to_pylist()
            else:
                yield one


def _plain(value: Any) -> Any:
    """A value as JSON has it: times as texts, numbers of numpy as those of Python, nothing for a missing number."""
    if hasattr(value, "isoformat"):
        return None if str(value) == "NaT" else value.isoformat()
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    return None if type(value).__name__ in ("NAType", "NaTType") else value
