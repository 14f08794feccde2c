"""Which documents does a source hold? One reader for every layout, streaming."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from lsr.corpus.document import Document
from lsr.corpus.fields import ID_NAMES, FieldReader, Fields, PlacedError
from lsr.corpus.layouts import irds, products
from lsr.corpus.layouts.json_text import json_objects
from lsr.corpus.layouts.parquet import open_parquet, records
from lsr.corpus.layouts.table import Choice, csv_records, tab_records
from lsr.corpus.layouts.text_files import TEXT_ENDINGS, read_text_file
from lsr.corpus.sources import Source, files_of, layout, left_out, open_source, paths_of, total_size
from lsr.corpus.streams import ByteStream
from lsr.corpus.values import identifier
from lsr.errors import InputError

Made = TypeVar("Made")
Table = Callable[[ByteStream, Choice], Iterator[tuple[str, dict[str, str]]]]

PARQUET_ROWS = 1024
TAB = "\t"
COLUMNS = "all after the first are the text; where the first line names them, choose with --id-field and --text-field"
HEADERS = (*ID_NAMES, "docno", "document_id", "passage_id", "product_id", "qid", "query_id")  # of a column of ids


class DocumentReader:
    """The documents of one or several sources, in order, read once.

    Attributes:
        place: where the document last given is, e.g. "corpus.jsonl, line 3".
        fields: of records, as they were given.
        size: bytes to read in all, or None where nobody knows (standard input, a pipe).
    """

    def __init__(self, sources: Source | Iterable[Source], fields: Fields | None = None) -> None:
        """Look at the sources without reading them.

        Args:
            sources: files, folders, "irds:NAME" or "-"; one may stand alone.
            fields: of records, and of tables whose first line names the columns; without, a TSV is id, tab, text, and
                collections of products have their own.

        Raises:
            InputError: a source does not exist, may not be read or has an unknown layout.
        """
        self.place = "the first source"
        self.fields = fields or Fields()
        self._fields = FieldReader(self.fields)
        named = [(source, files_of(source)) for source in paths_of(sources)]
        self._paths = [path for _, files in named for path in files]
        self._names = {path: _name_in(source, path) for source, files in named for path in files}
        self._left_out = [note for source, files in named if (note := left_out(source, files))]
        self._headers: list[str] = []
        self._current: ByteStream | None = None
        self._done = 0
        self.size = total_size(self._paths)

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._done + (self._current.position() if self._current else 0)

    @property
    def ignored_fields(self) -> list[str]:
        """Fields of the records so far that held something which is in no document, sorted."""
        return self._fields.ignored

    @property
    def notes(self) -> list[str]:
        """What a person should know of what was read so far, a line each."""
        return [*self._left_out, *self._headers, *self._fields.notes]

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents.

        Raises:
            InputError: a line or row that is no document, with its place; or no record has a text.
        """
        for path in self._paths:
            yield from self._read(path)
            self._done += self._current.position() if self._current else 0
            self._current = None
        self._fields.finish()

    def _read(self, path: Path) -> Iterator[Document]:
        if irds.is_irds(path):
            return self._placed(irds.read_documents(path))
        if path.name == products.WANDS:
            return self._placed(products.read_wands(path))
        if locale := products.esci_locale(path):
            return self._placed(products.read_esci(locale[0] / products.ESCI, locale[1]))
        if path.suffix.lower() in TEXT_ENDINGS:
            return self._text_file(path)
        self._current = stream = open_source(path)
        if layout(path).endswith(".parquet"):
            return self._parquet(stream, path)
        if layout(path).endswith(".csv"):
            return self._table(stream, csv_records)
        if not layout(path).endswith(".tsv"):
            return self._jsonl(stream)
        return self._table(stream, tab_records) if self._fields.named else self._tsv(stream)

    def _placed(self, rows: Iterator[tuple[str, Document]]) -> Iterator[Document]:
        for self.place, document in rows:
            yield document

    def _jsonl(self, stream: ByteStream) -> Iterator[Document]:
        for self.place, record in json_objects(stream):
            yield self._here(self._fields.document, record, self.place)

    def _table(self, stream: ByteStream, rows: Table) -> Iterator[Document]:
        with closing(stream):
            for place, record in rows(stream, self._fields.columns):
                self.place = place
                yield self._here(self._fields.document, record, place, True)

    def _tsv(self, stream: ByteStream) -> Iterator[Document]:
        for number, (self.place, line) in enumerate(stream.text_lines()):
            key, tab, text = line.partition("\t")
            if number == 0 and tab and key.lower() in HEADERS:
                self._headers.append(f"{self.place}: passed over as a header, {line!r:.60}")
                continue
            if not key or not tab:
                raise InputError(f"{self.place}: found no id followed by a tab, wanted id, tab, text")
            if number == 0 and TAB in text:
                self._headers.append(f"{self.place}: {line.count(TAB) + 1} columns; {COLUMNS}")
            yield Document(self._here(identifier, key), "", text)

    def _text_file(self, path: Path) -> Iterator[Document]:
        self.place, self._current = str(path), None
        document = read_text_file(path, self._names[path])
        yield document._replace(fields=self._fields.kept(document.fields))
        self._done += int(document.fields["bytes"])

    def _parquet(self, stream: ByteStream, path: Path) -> Iterator[Document]:
        row = 0
        try:
            if not stream.stream.seekable():
                raise InputError(f"{path}: found a pipe, wanted a file: Parquet is not read from front to back")
            with open_parquet(path, stream.stream) as file:
                rows, size = max(1, file.metadata.num_rows), stream.size or 0
                self._current = ByteStream(stream.name, stream.stream, size, lambda: size * row // rows)
                self.place = path.name
                columns = self._here(self._fields.columns, file.schema_arrow.names)
                for row, record in records(path, file, PARQUET_ROWS, columns, first=1):
                    self.place = f"{path.name}, row {row}"
                    yield self._here(self._fields.document, record, self.place)
        finally:
            stream.close()

    def _here(self, make: Callable[..., Made], *arguments: object) -> Made:
        """What ``make`` gives; what it refuses is refused with its place."""
        try:
            return make(*arguments)
        except PlacedError:
            raise
        except InputError as error:
            raise InputError(f"{self.place}: {error}") from None


def _name_in(source: Path, path: Path) -> str:
    """The id of a file of text: its path below the folder that is the source, or as it was given."""
    return path.relative_to(source).as_posix() if path != source and source.is_dir() else path.as_posix()
