"""How do documents become an index? Streamed through the encoder in batches, then built and published."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from lsr._version import __version__
from lsr.corpus import Document, DocumentReader, Fields, SeenIds
from lsr.corpus.document import checked
from lsr.corpus.fields import names_of
from lsr.corpus.in_memory import Records, Table
from lsr.corpus.passages import NUMBER, SHARE, as_passages, passages_of
from lsr.corpus.schema import Schema
from lsr.encoders import Encoder, Observation, load
from lsr.errors import InputError
from lsr.index import About, CollectionWriter, EncoderInfo, IndexSettings
from lsr.index.storage.places import size_of
from lsr.index.storage.records import SourceFields, State
from lsr.retrieval.changing.counting import corpus_of
from lsr.retrieval.opening import is_shipped
from lsr.sparse import SparseMatrix

BATCH_CHARACTERS = 2**20


class Progress(Protocol):
    """Is told how indexing proceeds."""

    def encoded(self, documents: int) -> None:
        """So many documents are encoded."""

    def building(self, done: int, total: int) -> None:
        """So many of the steps of building are done."""


class Silence:
    """A `Progress` that ignores everything."""

    def encoded(self, documents: int) -> None:
        """Ignore it."""

    def building(self, done: int, total: int) -> None:
        """Ignore it."""


@dataclass(frozen=True)
class IndexSummary:
    """What indexing did.

    Attributes:
        documents, terms, nonzeros: size of the collection, its vocabulary and its vectors.
        bytes: of all files in the index folder.
        seconds: from the first document to the published index.
        truncated: documents longer than the encoder reads.
        empty: documents without any term; no query finds them.
        uncovered: share of the letters outside ASCII, in a sample, that stand in no term, 0 to 1.
    """

    documents: int
    terms: int
    nonzeros: int
    bytes: int
    seconds: float
    truncated: int
    empty: int
    uncovered: float = 0.0


def index_documents(  # noqa: PLR0913  one parameter a choice
    documents: Iterable[Document | Mapping[str, Any]] | Table,
    encoder: Encoder | str | Path,
    folder: str | Path,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
    observe: Callable[[Sequence[str]], Observation] | None = None,
    types: Mapping[str, str] | None = None,
    fields: Fields | None = None,
    self_contained: bool = False,
    passages: int | tuple[int, int] | None = None,
) -> IndexSummary:
    """Encode ``documents`` and make them the index in ``folder``; an index there before is replaced at the very end.

    Memory holds one batch and, while building, one segment.

    Args:
        documents: read once, in order: a `DocumentReader`, `Document` or dicts, or a table of pyarrow, pandas or
            polars; ids may be whole numbers.
        encoder: or its name or folder; saved with the index. One that learns from a corpus and has seen one is left as
            it is: the index gets a copy that learns from these documents alone.
        folder: of the index.
        settings: of the engine.
        progress: told of every step.
        observe: gives the vectors of each batch of texts in order, where they were computed before; None asks
            ``encoder``.
        fields: which keys of dicts, or columns of a table, are id, title, text, and which others are kept; None keeps
            all.
        self_contained: keep a copy of the encoder even where it comes with lsr.
        passages: words of a passage, or these and by how many words passages overlap: documents are divided into
            passages, and searches answer documents by their best one; see `lsr.corpus.passages`. None keeps them whole.
        types: of fields that are declared, as `lsr.corpus.schema.TYPES` names them; the others are inferred.

    Raises:
        InputError: an id given twice, something that is no document, none at all, a value that does not fit its
            field's type, or what their stream raises.
        StorageError: the folder cannot be written.
    """
    if not isinstance(documents, DocumentReader):
        documents = Records(documents, fields)
    own = (encoder if isinstance(encoder, Encoder) else load(encoder)).fresh()
    coverage, divided = Coverage(own), _divided(passages)
    batches = _encoded(documents, own, observe or own.observe, coverage, divided)
    kept = Kept(Schema(types), self_contained, source_of(documents.fields), divided)
    summary = write_index(batches, lambda: own, folder, settings, progress, kept=kept)
    return replace(summary, uncovered=coverage.uncovered)


def source_of(fields: Fields) -> SourceFields:
    """Names of fields as a collection keeps them."""
    return SourceFields(*(list(names_of(names)) for names in (fields.id, fields.text, fields.title, fields.store)))


class Coverage:
    """How much of the letters outside ASCII stands in terms? Looked at in the first documents that have some.

    Args:
        encoder: finds terms in texts.
    """

    DOCUMENTS, CHARACTERS = 200, 2000
    UNKNOWN = ("[UNK]", "<unk>")

    def __init__(self, encoder: Encoder) -> None:
        self._encoder, self._left, self._letters, self._covered = encoder, self.DOCUMENTS, 0, 0

    @property
    def uncovered(self) -> float:
        """Share of the letters that stand in no term, 0 to 1."""
        return 1 - self._covered / self._letters if self._letters else 0.0

    def look(self, text: str) -> None:
        """Count the letters of ``text``, unless enough were counted."""
        if self._left == 0 or text.isascii():
            return
        text = text[: self.CHARACTERS]
        letters = {i for i, character in enumerate(text) if not character.isascii() and character.isalpha()}
        self._left -= bool(letters)
        self._letters += len(letters)
        spans = [span for span in self._encoder.spans(text) if self._encoder.terms[span.term] not in self.UNKNOWN]
        self._covered += len(letters & {i for span in spans for i in range(span.start, span.end)})


class Encoded(NamedTuple):
    """A batch of documents, where each is in its source, a row for each, and how many were cut."""

    documents: list[Document]
    places: list[str]
    matrix: SparseMatrix
    truncated: int


class Kept(NamedTuple):
    """What a collection keeps beside documents and vectors.

    Attributes:
        schema: declared types of fields.
        self_contained: whether there is a copy of the encoder even where it comes with lsr.
        source: how records become documents, for those that come later.
        passages: words of a passage, and by how many they overlap; none where documents are whole.
    """

    schema: Schema | None = None
    self_contained: bool = False
    source: SourceFields = SourceFields()
    passages: tuple[int, ...] = ()


def write_index(
    batches: Iterable[Encoded],
    encoder: Callable[[], Encoder],
    folder: str | Path,
    settings: IndexSettings | None = None,
    progress: Progress | None = None,
    weigh: Callable[[SparseMatrix], SparseMatrix] | None = None,
    kept: Kept | None = None,
) -> IndexSummary:
    """Make vectors the index in ``folder``; ``encoder``, asked for after the last batch, is kept there.

    Args:
        batches: documents with their rows.
        encoder: makes the queries.
        folder: of the index.
        settings: of the engine.
        progress: told of every step.
        weigh: makes document vectors of the rows; None asks the encoder.
        kept: what else is kept.

    Raises:
        InputError: an id given twice, no documents, or what the batches raise.
        StorageError: the folder cannot be written.
    """
    started, progress, kept = time.perf_counter(), progress or Silence(), kept or Kept()
    ids, counts = SeenIds(), {"documents": 0, "truncated": 0, "empty": 0}
    with CollectionWriter(Path(folder), settings, schema=kept.schema) as writer:
        for documents, places, matrix, truncated in batches:
            counts["documents"] += _refuse_repeated(ids, places, documents, bool(kept.passages))
            writer.append(matrix, documents)
            counts["truncated"] += truncated
            counts["empty"] += int((matrix.indptr[1:] == matrix.indptr[:-1]).sum())
            progress.encoded(counts["documents"])
        maker = encoder()
        about = _saved(writer, maker, counts, kept)
        corpus, terms = corpus_of(maker)
        state = writer.commit(about, weigh or maker.weigh, maker.dim, corpus, terms, progress.building)
    return _summary(Path(folder), state, maker.dim, time.perf_counter() - started)


def _saved(writer: CollectionWriter, maker: Encoder, counts: dict[str, int], kept: Kept) -> About:
    """Keep the encoder, without what it has counted, unless it comes with lsr."""
    own = maker.fresh()
    if kept.self_contained or not is_shipped(own):
        writer.save_encoder(own.fingerprint, own.save)
    base = 0 if maker.vocabulary_grows else len(own.terms)
    info = EncoderInfo(maker.name, own.fingerprint, own.dim)
    return About(
        lsr=__version__,
        encoder=info,
        base_terms=base,
        source=kept.source,
        passages=kept.passages,
        summary=counts,
    )


def _encoded(
    documents: Iterable[Document],
    encoder: Encoder,
    observe: Callable[[Sequence[str]], Observation],
    coverage: Coverage,
    passages: tuple[int, ...],
) -> Iterator[Encoded]:
    for places, batch in _batches(documents, encoder.batch_documents, passages):
        observation = observe([document.weighted_text for document in batch])
        for document in batch:
            coverage.look(document.full_text)
        yield Encoded(batch, places, observation.matrix, observation.truncated)


def _summary(folder: Path, state: State, dim: int, seconds: float) -> IndexSummary:
    counts, segments = state.about.summary, state.segments.values()
    nonzeros = sum(segment.nonzeros for segment in segments)
    return IndexSummary(
        counts["documents"], dim, nonzeros, size_of(folder), seconds, counts["truncated"], counts["empty"]
    )


def _batches(
    documents: Iterable[Document], size: int, passages: tuple[int, ...]
) -> Iterator[tuple[list[str], list[Document]]]:
    """Documents, or all passages of them, with their places; a limited number and characters at a time."""
    places: list[str] = []
    batch: list[Document] = []
    characters = 0
    for number, found in enumerate(documents, 1):
        place = getattr(documents, "place", f"document {number}")
        try:
            document = checked(found)
            rows = as_passages(document, *passages) if passages else [document]
        except InputError as fault:
            raise InputError(f"{place}: {fault}") from None
        places += [place] * len(rows)
        batch += rows
        characters += len(document.text)
        if len(batch) >= size or characters >= BATCH_CHARACTERS:
            yield places, batch
            places, batch, characters = [], [], 0
    if batch:
        yield places, batch


def _refuse_repeated(ids: SeenIds, places: list[str], batch: list[Document], passages: bool) -> int:
    """How many documents there are."""
    first = [at for at, document in enumerate(batch) if not passages or document.fields[NUMBER] == 1]
    for at in ids.add([batch[at].id for at in first]):
        name = batch[first[at]].id
        raise InputError(
            f"{places[first[at]]}: the id {name!r} was given before; every document needs an id of its own"
        )
    return len(first)


def _divided(passages: int | tuple[int, int] | None) -> tuple[int, ...]:
    """Words of a passage and of what overlaps; none for whole documents."""
    if passages is None:
        return ()
    found = (passages, passages // SHARE) if isinstance(passages, int) else (*passages,)
    passages_of("", *found)  # refuses numbers that do not fit
    return found
