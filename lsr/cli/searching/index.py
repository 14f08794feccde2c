"""What does `lsr index` do? Reads, encodes, builds, and says what it made."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress as Bars

from lsr import encoders, index
from lsr.cli.console import facts, out, progress_bars, readable_bytes, say, warn_of_empty, warn_of_unread
from lsr.cli.options import (
    Declared,
    Download,
    IdField,
    Language,
    Overlap,
    Passages,
    SelfContained,
    Store,
    TextField,
    TextFields,
    TitleField,
    Truncate,
    divided,
    fetch,
)
from lsr.corpus import DocumentReader, Fields
from lsr.corpus.passages import without_reserved
from lsr.corpus.schema import parse_types
from lsr.encoders.registry import in_language
from lsr.errors import InputError
from lsr.formats import VectorSource, is_vector_file
from lsr.formats.vectors import EXACT
from lsr.index import IndexSettings
from lsr.retrieval import IndexSummary, index_documents, index_vectors
from lsr.retrieval.index_source import is_index, vector_source

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="JSONL (.gz too), CSV, TSV, Parquet, folders of text, HTML, PDF and Word files, BEIR folder or zip, "
        "MS MARCO TSV, or - for JSONL on standard input; "
        "or vectors: .csr, .bin, .ciff, Parquet of lsr encode, an index; JSONL vectors need --vectors.",
    ),
]
Vectors = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help="Index the vectors in the files: auto, or a format of lsr convert."),
]


def command(  # noqa: PLR0913 - one parameter an option
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", help="Folder of the index. An existing index is replaced at the end.")],
    encoder: Annotated[
        str | None, typer.Option(help="bm25, default, or the folder of a model.  [default: default; none with vectors]")
    ] = None,
    language: Language = None,
    engine: Annotated[str, typer.Option(help="windowed, or seismic.")] = "windowed",
    id_field: IdField = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    text_fields: TextFields = None,
    store: Store = "all",
    declared: Declared = None,
    vectors: Vectors = None,
    self_contained: SelfContained = False,
    truncate: Truncate = False,
    passages: Passages = None,
    overlap: Overlap = None,
    download: Download = False,
) -> None:
    """Encode documents and build an index, or index precomputed vectors.

    Example: lsr index corpus.jsonl --out my-index
    """
    fetch(sources if download else [])
    name = in_language(encoder, language)
    texts = [*(text_field or []), *(text_fields or "").split(",")]
    fields = Fields(id_field, texts, title_field, store.split(","))
    types = parse_types(declared or [])
    settings = IndexSettings(engine)
    if vectors or is_vector_file(Path(sources[0])) or is_index(Path(sources[0])):
        _refuse(passages)
        _run_vectors(vector_source(sources, vectors), out, name, settings)
        return
    reader = DocumentReader(sources, fields)
    loaded = encoders.load(name or encoders.DEFAULT, truncate=truncate)
    with progress_bars() as bars:
        summary = index_documents(
            reader,
            loaded,
            out,
            settings,
            IndexBars(bars, reader),
            types=types,
            self_contained=self_contained,
            passages=divided(passages, overlap),
        )
    _print(summary, out, loaded.name)
    _print_fields(out)
    for note in reader.notes:
        say(note)
    warn_of_unread(summary, loaded)


def _refuse(passages: int | None) -> None:
    if passages:
        raise InputError("--passages divides texts, and vectors are made of whole ones: index the texts")


def _run_vectors(source: VectorSource, folder: Path, encoder_name: str | None, settings: IndexSettings) -> None:
    encoder = encoders.load(encoder_name) if encoder_name else None
    with progress_bars() as bars:
        summary = index_vectors(source, folder, encoder, settings, IndexBars(bars, source))
    made_by = source.vocabulary.about.get("encoder", encoders.PrecomputedVectors.name)
    _print(summary, folder, encoder.name if encoder else made_by)
    if source.rounded:
        say(f"rounded: {source.rounded:,} weights are whole numbers above {EXACT:,} (float32)")


class IndexBars:
    """Two bars: documents encoded, measured in bytes read; and the building of the index."""

    def __init__(self, bars: Bars, reader: DocumentReader | VectorSource) -> None:
        self._bars, self._reader = bars, reader
        self._encoding = bars.add_task("encoding", total=reader.size, items=0, unit="documents")
        self._building = bars.add_task("building", total=None, items=0, unit="steps", start=False)

    def encoded(self, documents: int) -> None:
        """Move the first bar."""
        self._bars.update(self._encoding, completed=self._reader.position, items=documents)

    def building(self, done: int, total: int) -> None:
        """Finish the first bar and move the second."""
        if not self._bars.tasks[self._encoding].finished:
            size = max(1, self._reader.position)
            self._bars.update(self._encoding, completed=size, total=size)
        self._bars.start_task(self._building)
        self._bars.update(self._building, completed=done, total=total, items=done)


def _print_fields(folder: Path) -> None:
    """Types of the fields, with how many words keywords have."""
    with index.Store(folder) as store:
        collection = store.current
    words = [name for name, kind in collection.fields.items() if kind.startswith("keyword")]
    distinct = {
        one.field: f" ({one.distinct:,} {'value' if one.distinct == 1 else 'values'})"
        for one in collection.facets(words, top=1)
    }
    fields = without_reserved(collection.fields)
    named = ", ".join(f"{name}: {kind}{distinct.get(name, '')}" for name, kind in fields.items())
    if named:
        say(f"fields: {named}")


def _print(summary: IndexSummary, folder: Path, encoder: str) -> None:
    rate = summary.documents / max(summary.seconds, 1e-9)
    rows = [
        ("index", str(folder)),
        ("encoder", encoder),
        ("documents", f"{summary.documents:,}"),
        ("terms", f"{summary.terms:,}"),
        ("non-zeros", f"{summary.nonzeros:,} ({summary.nonzeros / summary.documents:.1f} a document)"),
        ("bytes", f"{summary.bytes:,} ({readable_bytes(summary.bytes)})"),
        ("seconds", f"{summary.seconds:.1f} ({rate:,.0f} documents/s)"),
        ("truncated documents", f"{summary.truncated:,}"),
    ]
    out.print(facts(rows))
    warn_of_empty(summary.empty)
