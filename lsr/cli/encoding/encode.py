"""What does `lsr encode` do? Turns documents into vectors in a Parquet file, and goes on where it was stopped."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from lsr import encoders
from lsr.cli.console import facts, out, progress_bars, readable_bytes, say, warn_of_empty
from lsr.cli.options import IdField, Language, TextField, TitleField, Truncate
from lsr.corpus import DocumentReader, Fields
from lsr.encoders import BM25Encoder
from lsr.encoders.base import Observation
from lsr.encoders.bulk.parallel import encode_on, gpu_names
from lsr.encoders.bulk.vector_file import Batches, EncodeSummary, observe_all, write_vectors
from lsr.encoders.registry import bm25_language, folder_of, in_language
from lsr.errors import InputError
from lsr.retrieval.index_source import is_index


def command(  # noqa: PLR0913 - one parameter an option
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE", help="Documents, in any layout of lsr index.")],
    out: Annotated[Path, typer.Option("--out", help="Parquet file to write. Run the command again to continue.")],
    encoder: Annotated[str, typer.Option(help="bm25, default, or the folder of a model.")] = "default",
    language: Language = None,
    devices: Annotated[
        str | None, typer.Option(help="cpu, cuda:0, or several: cuda:0,cuda:1.  [default: every GPU, or the CPU]")
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="bfloat16 on a GPU.")] = False,
    id_field: IdField = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    truncate: Truncate = False,
) -> None:
    """Encode documents into a Parquet file of vectors.

    Example: lsr encode corpus.jsonl --encoder my-model --out vectors.parquet
    """
    name, fields = in_language(encoder, language) or encoder, Fields(id_field, text_field, title_field)
    _check(out, sources)
    reader = DocumentReader(sources, fields)
    chosen = _devices(name, devices)
    loaded = encoders.load(name, device=chosen[0] if len(chosen) == 1 else "cpu", half=half, truncate=truncate)
    started = time.perf_counter()
    with progress_bars() as bars:
        if isinstance(loaded, BM25Encoder) and not loaded.learned:
            _observe(loaded, sources, fields, bars)
        task = bars.add_task("encoding", total=reader.size, items=0, unit="documents")
        summary = write_vectors(
            reader,
            loaded,
            out,
            lambda documents: bars.update(task, completed=reader.position, items=documents),
            _spread(name, chosen, half, truncate) if len(chosen) > 1 else None,
        )
    _print(summary, out, loaded.name, time.perf_counter() - started)
    for note in reader.notes:
        say(note)


def _check(path: Path, sources: Sequence[str]) -> None:
    if path.suffix != ".parquet":
        raise InputError(f"--out {path}: wanted a name that ends in .parquet")
    if index := next((source for source in sources if is_index(Path(source))), None):
        raise InputError(f"{index} is an index, and has the vectors: lsr convert {index} {path}")


def _observe(encoder: BM25Encoder, sources: Sequence[str], fields: Fields, bars: Progress) -> None:
    """Let BM25 see all documents before it weighs the first."""
    if passing := next((source for source in sources if _passes(source)), None):
        name = "standard input" if passing == "-" else f"the pipe {passing}"
        raise InputError(
            f"{encoder.name} reads the documents twice, and {name} can be read once: write them to a file first, or "
            "index them (lsr index) and convert the index (lsr convert)"
        )
    reader = DocumentReader(sources, fields)
    task = bars.add_task("counting", total=reader.size, items=0, unit="documents")
    observe_all(reader, encoder, lambda documents: bars.update(task, completed=reader.position, items=documents))


def _passes(source: str) -> bool:
    """Whether a source is gone once it is read."""
    path = Path(source)
    return source == "-" or (path.exists() and not path.is_file() and not path.is_dir())


def _devices(encoder_name: str, wanted: str | None) -> list[str]:
    """Where to run: what was named, or every GPU for an encoder that torch runs, or the CPU."""
    if bm25_language(encoder_name):
        return ["cpu"]
    if wanted:
        return wanted.split(",")
    if next(folder_of(encoder_name).rglob("body.onnx"), None):
        return ["cpu"]
    if not (found := gpu_names()):
        say("no GPU found: encoding on the CPU")
    return found or ["cpu"]


def _spread(encoder_name: str, devices: list[str], half: bool, truncate: bool) -> Batches:
    def run_there(batches: Iterable[list[str]]) -> Iterator[Observation]:
        return encode_on(encoder_name, devices, batches, half, truncate)

    return run_there


def _print(summary: EncodeSummary, path: Path, encoder: str, seconds: float) -> None:
    new = summary.documents - summary.resumed
    size = path.stat().st_size
    rows = [
        ("vectors", str(path)),
        ("encoder", encoder),
        ("documents", f"{summary.documents:,}"),
        ("taken over", f"{summary.resumed:,}"),
        ("non-zeros", f"{summary.nonzeros:,} ({summary.nonzeros / summary.documents:.1f} a document)"),
        ("bytes", f"{size:,} ({readable_bytes(size)})"),
        ("seconds", f"{seconds:.1f} ({new / max(seconds, 1e-9):,.0f} documents/s)"),
        ("truncated documents", f"{summary.truncated:,}"),
    ]
    out.print(facts(rows))
    warn_of_empty(summary.empty)
