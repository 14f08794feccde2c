"""What do the records of a catalogue say? One struct a kind; their keys name generation and part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import StorageError
from lsr.index.plan import Tuning
from lsr.index.storage.catalogue import WAY_OUT, Key
from lsr.index.storage.files import FileInfo
from lsr.sparse import SparseMatrix, term_dtype

FORMAT, VERSION = "lsr-collection", 3
KEPT = 10  # generations to which one can go back
Rows = NDArray[np.uint32]


class EncoderInfo(msgspec.Struct, frozen=True):
    """The encoder that made the vectors: its name, fingerprint and vocabulary size."""

    name: str
    fingerprint: str
    dim: int


class SourceFields(msgspec.Struct, frozen=True, omit_defaults=True):
    """Names of the fields of records that hold id, text and title, and of those that are kept; none for the usual."""

    id: list[str] = []
    text: list[str] = []
    title: list[str] = []
    store: list[str] = msgspec.field(default_factory=lambda: ["all"])


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for all of a collection.

    Attributes:
        lsr: version that made it.
        encoder: what makes the vectors; ``dim`` is the vocabulary's size when the collection was made.
        encoder_folder: where it is kept below the folder; empty where it comes with lsr.
        encoder_files: by path below it.
        base_terms: of the vocabulary that are kept with the encoder; others may follow, as records.
        settings: of the engine.
        kept: generations to which one can go back.
        passages: words of a passage, and by how many they overlap; empty where documents are whole.
        source: how records become documents.
        summary: what indexing counted (empty and truncated documents).
        tuning: measured frontier of the engine.
    """

    format: str = FORMAT
    version: int = VERSION
    lsr: str
    encoder: EncoderInfo
    encoder_folder: str = ""
    encoder_files: dict[str, FileInfo] = {}
    base_terms: int = 0
    settings: dict[str, Any] = {}
    kept: int = KEPT
    passages: tuple[int, ...] = ()
    source: SourceFields = SourceFields()
    summary: dict[str, int] = {}
    tuning: Tuning | None = None


class GenerationInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change that was acknowledged.

    Attributes:
        made: when, in seconds since 1970.
        verb: what was asked for.
        counts: documents that were added, changed and so on.
    """

    made: float
    verb: str
    counts: dict[str, int] = {}


class SegmentInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """One immutable segment; its name is its folder.

    Attributes:
        documents: rows, those that were deleted since among them.
        nonzeros: stored weights.
        dim: size of the vocabulary that it was built over.
        born: the generation of all rows; -1 where each row has its own, in a file.
        files: by name in the segment's folder.
        fields: name of the file of columns; empty where no document has a field.
    """

    documents: int
    nonzeros: int
    dim: int
    born: int
    fields: str = ""
    files: dict[str, FileInfo] = {}

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files.values())


class Corpus(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an encoder that learns from a corpus has counted, or what a change adds to it.

    Attributes:
        documents, length: how many texts, and their terms together; no whole number where parts of texts have weights.
        terms: uint32[T], bytes of it; those whose documents changed in number.
        counts: int64[T], bytes of it; documents that hold the term.
    """

    documents: int = 0
    length: int | float = 0
    terms: bytes = b""
    counts: bytes = b""


class Batch(msgspec.Struct, frozen=True):
    """Documents that are in no segment yet, a row each: texts, fields by column, and vectors."""

    ids: list[str]
    titles: list[str]
    texts: list[str]
    columns: dict[str, list[Any]]
    indptr: bytes
    terms: bytes
    weights: bytes
    dim: int

    @classmethod
    def of(cls, documents: Sequence[Document], columns: dict[str, list[Any]], vectors: SparseMatrix) -> Batch:
        """Documents with the values of their fields as they are stored, by field."""
        return cls(
            [document.id for document in documents],
            [document.title for document in documents],
            [document.text for document in documents],
            columns,
            vectors.indptr.tobytes(),
            vectors.terms.astype(np.uint32, copy=False).tobytes(),
            vectors.values.tobytes(),
            vectors.dim,
        )

    @property
    def matrix(self) -> SparseMatrix:
        """The vectors.

        Raises:
            VectorError: damage.
        """
        terms = np.frombuffer(self.terms, np.uint32).astype(term_dtype(self.dim), copy=False)
        return SparseMatrix(
            np.frombuffer(self.indptr, np.int64), terms, np.frombuffer(self.weights, np.float32), self.dim
        )


class Deletions(msgspec.Struct, frozen=True):
    """Rows that a generation deleted, uint32 as bytes, by part; and what the encoder has to forget."""

    parts: dict[str, bytes]


class Updates(msgspec.Struct, frozen=True):
    """New values of fields: for each part and field its rows, uint32 as bytes, and their values, None for nothing."""

    parts: dict[str, dict[str, tuple[bytes, list[Any]]]]


class Terms(msgspec.Struct, frozen=True):
    """Names of terms that were added to the vocabulary, from ``first`` on."""

    first: int
    names: list[str]


class Schema(msgspec.Struct, frozen=True):
    """Types of fields by name."""

    types: dict[str, str]


KINDS: dict[str, Any] = {
    "about": About,
    "generation": GenerationInfo,
    "segment": SegmentInfo,
    "batch": Batch,
    "deletions": Deletions,
    "updates": Updates,
    "corpus": Corpus,
    "terms": Terms,
    "schema": Schema,
}
JSON = {"about", "generation", "segment", "schema"}  # what people may want to read
COMPRESSED = b"\xc1"  # before a frame of zstd; msgpack never uses it
SMALL, LARGEST = 1024, 10**9  # bytes of records that are compressed, the largest that SQLite takes
LEVEL = 1
DAMAGE = (msgspec.MsgspecError, zstandard.ZstdError, ValueError, KeyError, AttributeError, RecursionError, MemoryError)
ABOUT, SCHEMA = Key("about"), Key("schema")


def encode(key: Key, value: msgspec.Struct) -> bytes:
    """A record as it is stored."""
    return msgspec.json.encode(value) if key.kind in JSON else _compressed(msgspec.msgpack.encode(value))


def decode(path: Path, key: Key, content: bytes) -> Any:
    """What a record says.

    Raises:
        StorageError: another format version, or damage.
    """
    try:
        if key == ABOUT and (version := msgspec.json.decode(content).get("version")) != VERSION:
            raise StorageError(
                f"{path.parent} has collection format {version}, this lsr reads format {VERSION}: use the lsr version "
                "that wrote it, or a newer one"
            )
        if key.kind in JSON:
            return msgspec.json.decode(content, type=KINDS[key.kind])
        return msgspec.msgpack.decode(_plain(content), type=KINDS[key.kind])
    except DAMAGE as error:
        raise StorageError(f"{path} is damaged (a record of {key.kind}: {error}): {WAY_OUT}") from None


def _compressed(plain: bytes) -> bytes:
    if not SMALL < len(plain) <= LARGEST:
        return plain
    packed = COMPRESSED + zstandard.ZstdCompressor(LEVEL).compress(plain)
    return packed if len(packed) < len(plain) else plain


def _plain(content: bytes) -> bytes:
    """What was compressed.

    Raises:
        ValueError: a frame that claims to be larger than any record.
        zstandard.ZstdError: damage.
    """
    if not content.startswith(COMPRESSED):
        return content
    frame = content[1:]
    if not 0 <= (size := zstandard.frame_content_size(frame)) <= LARGEST:
        raise ValueError(f"{size:,} bytes")
    return zstandard.ZstdDecompressor().decompress(frame)


class State(NamedTuple):
    """Everything that the records say.

    Attributes:
        about: of the collection.
        types: of fields by name.
        generations: those that are kept, by number.
        segments: by name.
        batches, deletions, updates, corpora, terms: by generation.
    """

    about: About
    types: dict[str, str]
    generations: dict[int, GenerationInfo]
    segments: dict[str, SegmentInfo]
    batches: dict[int, Batch]
    deletions: dict[int, Deletions]
    updates: dict[int, Updates]
    corpora: dict[int, Corpus]
    terms: dict[int, Terms]

    @property
    def live_documents(self) -> int:
        """Documents that are there now."""
        rows = sum(info.documents for info in self.segments.values()) + sum(len(b.ids) for b in self.batches.values())
        return rows - sum(len(own) // 4 for one in self.deletions.values() for own in one.parts.values())

    @property
    def newest(self) -> int:
        """Number of the newest generation."""
        return max(self.generations)

    @property
    def next_term(self) -> int:
        """Number of the next term that is new."""
        ends = [terms.first + len(terms.names) for terms in self.terms.values()]
        return max(ends, default=self.about.base_terms)

    @property
    def dim(self) -> int:
        """Size of the vocabulary."""
        return max(self.about.encoder.dim, self.next_term)


FIELDS = {  # of a state, by kind of the records that it is made of
    "generation": "generations",
    "batch": "batches",
    "deletions": "deletions",
    "updates": "updates",
    "corpus": "corpora",
    "terms": "terms",
}


def state_of(path: Path, values: Mapping[Key, Any], before: State | None, kinds: Collection[str]) -> State:
    """The state that decoded records make; ``before`` has all but those of ``kinds``.

    Raises:
        StorageError: damage: a record is missing.
    """
    own = sorted(key for key in values if key.kind in kinds)
    found: dict[str, dict[Any, Any]] = {FIELDS[kind]: {} for kind in kinds if kind in FIELDS}
    for key in own:
        if key.kind in FIELDS:
            found[FIELDS[key.kind]][key.generation] = values[key]
    about = values.get(ABOUT)
    if about is None:
        raise StorageError(f"{path} is damaged (it does not say what it holds): {WAY_OUT}")
    types = values[SCHEMA].types if SCHEMA in values else {}
    segments = {key.name: values[key] for key in own if key.kind == "segment"}
    state = before or State(about, types, {}, {}, {}, {}, {}, {}, {})
    state = state._replace(about=about, types=types, **found)
    if "segment" in kinds:
        state = state._replace(segments=segments)
    if not state.generations:
        raise StorageError(f"{path} is damaged (it has no generation): {WAY_OUT}")
    return state


def rows_of(content: bytes) -> Rows:
    """Rows as a record holds them, uint32[N]."""
    return np.frombuffer(content, np.uint32)


def batch_name(generation: int) -> str:
    """What deletions call the batch of a generation."""
    return f"batch-{generation}"


def documents_of(batch: Batch) -> Iterator[Document]:
    """The documents of a batch, without fields."""
    return map(Document, batch.ids, batch.titles, batch.texts)
