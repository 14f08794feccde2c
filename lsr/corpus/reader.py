"""Which documents does a source hold? One reader for every layout, streaming."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from lsr.corpus import irds, products
from lsr.corpus.document import Document, Fields
from lsr.corpus.streams import ByteStream, json_objects, open_file, open_member, utf8_fault
from lsr.errors import InputError

LAYOUTS = "JSONL (.jsonl, .json, .ndjson), TSV (.tsv), each also as .gz, Parquet (.parquet), BEIR zip or folder, or -"
JSON_ENDINGS = (".jsonl", ".json", ".ndjson")
PARQUET_ROWS = 1024


class DocumentReader:
    """The documents of one or several sources, in order, read once.

    Attributes:
        place: where the document last given stands, e.g. "corpus.jsonl, line 3".
        size: bytes to read in all, or None where nobody knows (standard input).
    """

    def __init__(self, sources: Sequence[str | Path], fields: Fields | None = None) -> None:
        """Look at the sources without reading them.

        Raises:
            InputError: a source does not exist or has an unknown layout.
        """
        self.place = "the first source"
        self._fields = fields or Fields()
        self._paths = [path for source in sources for path in _files(Path(source))]
        self._current: ByteStream | None = None
        self._done = 0
        self.size = _total_size(self._paths)

    @property
    def position(self) -> int:
        """Bytes read so far."""
        return self._done + (self._current.position() if self._current else 0)

    def __iter__(self) -> Iterator[Document]:
        """Yield the documents.

        Raises:
            InputError: a line or row that is no document, with its place.
        """
        for path in self._paths:
            yield from self._read(path)
            self._done += self._current.position() if self._current else 0
            self._current = None

    def _read(self, path: Path) -> Iterator[Document]:
        if irds.is_irds(path):
            return self._placed(irds.read_documents(path))
        if path.name == products.WANDS:
            return self._placed(products.read_wands(path))
        if locale := products.esci_locale(path):
            return self._placed(products.read_esci(locale[0] / products.ESCI, locale[1]))
        self._current = stream = _open(path)
        name = path.name.removesuffix(".gz")
        if name.endswith(".parquet"):
            return self._parquet(stream, path)
        return self._tsv(stream) if name.endswith(".tsv") else self._jsonl(stream)

    def _placed(self, rows: Iterator[tuple[str, Document]]) -> Iterator[Document]:
        for self.place, document in rows:
            yield document

    def _jsonl(self, stream: ByteStream) -> Iterator[Document]:
        for self.place, record in json_objects(stream):
            yield self._document(record)

    def _tsv(self, stream: ByteStream) -> Iterator[Document]:
        for number, line in stream.lines():
            self.place = f"{stream.name}, line {number}"
            try:
                key, tab, text = line.decode("utf-8").rstrip("\r\n").partition("\t")
            except UnicodeDecodeError as fault:
                raise InputError(f"{self.place}: {utf8_fault(line, fault)}") from None
            if not key or not tab:
                raise InputError(f"{self.place}: found no id followed by a tab, wanted id, tab, text")
            yield Document(key, "", text)

    def _parquet(self, stream: ByteStream, path: Path) -> Iterator[Document]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        row = 0
        try:
            file = pq.ParquetFile(stream.stream)
            rows, size = max(1, file.metadata.num_rows), path.stat().st_size
            self._current = ByteStream(stream.name, stream.stream, size, lambda: size * row // rows)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                for record in batch.to_pylist():
                    row += 1
                    self.place = f"{path.name}, row {row}"
                    yield self._document(record)
        except pa.ArrowException as error:
            raise InputError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
        finally:
            stream.close()

    def _document(self, record: dict[str, object]) -> Document:
        try:
            return self._fields.document(record)
        except InputError as error:
            raise InputError(f"{self.place}: {error}") from None


def _open(path: Path) -> ByteStream:
    if path.suffix != ".zip":
        return open_file(path)
    stream = open_member(path, "corpus.jsonl")
    if stream is None:
        raise InputError(f"{path}: no corpus.jsonl inside; wanted a BEIR zip")
    return stream


def _files(source: Path) -> list[Path]:
    """The files that a source named on the command line stands for."""
    if str(source) == "-":
        return [source]
    if irds.is_irds(source) or products.esci_locale(source):
        return [source]
    if source.is_dir():
        return _files_of_folder(source)
    if source.name == products.WANDS and source.exists():
        return [source]
    if not source.exists():
        raise InputError(f"no such file or folder: {source}")
    name = source.name.removesuffix(".gz")
    if not name.endswith((*JSON_ENDINGS, ".tsv", ".parquet", ".zip")):
        raise InputError(f"{source}: unknown layout; wanted {LAYOUTS}")
    return [source]


def _files_of_folder(folder: Path) -> list[Path]:
    for name in ("corpus.jsonl", "corpus.jsonl.gz", "collection.tsv", "collection.tsv.gz", products.WANDS):
        if (folder / name).is_file():
            return [folder / name]
    endings = (*JSON_ENDINGS, ".parquet")
    parts = sorted(p for p in folder.iterdir() if p.name.removesuffix(".gz").endswith(endings) and p.is_file())
    if not parts:
        raise InputError(f"{folder}: found no documents; wanted corpus.jsonl, collection.tsv or JSONL or Parquet parts")
    return parts


def _total_size(paths: Sequence[Path]) -> int | None:
    sizes = [_size(path) for path in paths]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _size(path: Path) -> int | None:
    if locale := products.esci_locale(path):
        path = locale[0] / products.ESCI
    if path.suffix != ".zip":
        return None if str(path) == "-" or irds.is_irds(path) else path.stat().st_size
    stream = _open(path)
    stream.close()
    return stream.size
