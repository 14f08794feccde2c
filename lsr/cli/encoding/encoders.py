"""What does `lsr encoders` do? Lists the declared systems, shows one, and converts encoders between layouts."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from rich.text import Text

from lsr.cli.console import facts, out, readable_bytes, say
from lsr.corpus import DocumentReader
from lsr.encoders import Side, load, read_system, system_names
from lsr.encoders.convert.prune import choose_rows
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError, InputError, MissingExtraError

SAMPLE_DOCUMENTS = 20_000
READY = (
    ("default", "The model that comes with lsr", "ready: --encoder default, or no --encoder; weights are part of lsr"),
    ("bm25", "BM25 over stems", "ready: --encoder bm25, with --language; learns from the documents, needs no weights"),
)
HEADING = (
    "\nDeclared systems. They have no weights here: train them (lsr train), or give the folder of a model "
    "(--encoder DIR).\n"
)
LAYOUTS = ("onnx", "sentence-transformers", "lsr")


def list_systems() -> None:
    """What comes with lsr; then name, title and parts of each system, which need weights."""
    for name, title, does in READY:
        out.print(Text.assemble((f"{name:<20}", "bold"), title), soft_wrap=True)
        out.print(Text(f"    {does}"), soft_wrap=True)
    out.print(Text(HEADING, "dim"), soft_wrap=True)
    for name in system_names():
        declaration = read_system(name)
        out.print(Text.assemble((f"{name:<20}", "bold"), declaration.title), soft_wrap=True)
        out.print(Text(f"    documents  {_line(declaration.document)}"), soft_wrap=True)
        queries = _line(declaration.query) if declaration.query else "like documents"
        out.print(Text(f"    queries    {queries}"), soft_wrap=True)


def show(name: str) -> None:
    """The declaration of one system."""
    from lsr.encoders.declaration import write_declaration

    out.print(Text(write_declaration(read_system(name)).strip()))


def export(folder: Path, target: Path, layout: str, int8: bool, sample: str | None = None) -> None:
    """Write the encoder in ``folder`` to ``target`` in another layout.

    Raises:
        InputError: an unknown layout, or options of another one.
        EncoderError: an encoder without a network.
    """
    if layout not in LAYOUTS:
        raise InputError(f"--to {layout}: wanted {', '.join(LAYOUTS)}")
    if (int8 or sample) and layout != "onnx":
        raise InputError("--int8 and --keep-terms-of go with --to onnx")
    encoder = load(folder, device="cpu")
    if not isinstance(encoder, NeuralEncoder):
        raise EncoderError(f"{folder}: {encoder.name} cannot be exported; wanted an encoder that lsr train wrote")
    if layout == "onnx":
        _export_onnx(encoder, target, int8, sample)
    elif layout == "sentence-transformers":
        from lsr.encoders.convert.to_sentence_transformers import write

        write(encoder, target)
    else:
        with new_folder(target) as new:
            encoder.save(new)
    _say_written(target, ("layout", layout))


def average(folders: Sequence[Path], target: Path) -> None:
    """Write the mean of several encoders to ``target``."""
    from lsr.encoders.convert.average import average as write_average

    write_average(folders, target)
    rows = [("encoder", str(target)), ("runs", str(len(folders))), ("fingerprint", load(target, "cpu").fingerprint)]
    out.print(facts(rows))


def rescale(folder: Path, target: Path, expansions: float, threshold: float | None) -> None:
    """Write an encoder of stems with other weights of expansions to ``target``."""
    from lsr.encoders.convert.rescale import rescale as write_rescaled

    write_rescaled(folder, target, expansions, threshold)
    out.print(facts([("encoder", str(target)), ("fingerprint", load(target, "cpu").fingerprint)]))


def fold(base: str, expander: Path, sources: Sequence[str], target: Path, factor: float, int8: bool, most: int) -> None:
    """Write an encoder of stems that holds what another says of documents to ``target``.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        from lsr.training.data.sources import read_data
        from lsr.training.teachers.expander import fold as write_folded
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "fitting vectors of stems") from None
    write_folded(base, expander, read_data(sources), target, factor, int8, most)
    _say_written(target)


def cut(folder: Path, sources: Sequence[str], target: Path, least: int) -> None:
    """Write an encoder without rare word-pieces to ``target``.

    Raises:
        MissingExtraError: torch is not installed.
    """
    try:
        from lsr.training.data.sources import read_data
        from lsr.training.student.word_piece_pruning import cut as write_cut
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", "reading a network") from None
    pieces = write_cut(folder, read_data(sources).documents, least, target)
    _say_written(target, ("word-pieces", f"{pieces:,}"))


def _say_written(target: Path, *more: tuple[str, str]) -> None:
    """Name, fingerprint and size of a new encoder."""
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    rows = [("encoder", str(target)), *more, ("fingerprint", load(target, device="cpu").fingerprint)]
    out.print(facts([*rows, ("bytes", f"{size:,} ({readable_bytes(size)})")]))


def _export_onnx(encoder: NeuralEncoder, target: Path, int8: bool, sample: str | None) -> None:
    try:
        from lsr.encoders.convert.export import export_onnx
    except ImportError:
        raise MissingExtraError("torch", "export", "exporting an encoder") from None
    if sample is None:
        return export_onnx(encoder, target, int8)
    texts = [document.full_text for document in islice(DocumentReader([sample]), SAMPLE_DOCUMENTS)]
    pruning = choose_rows(encoder, texts)
    export_onnx(encoder, target, int8, pruning)
    say(
        f"kept {pruning.rows.size:,} of {encoder.dim:,} terms; the others had {pruning.loss:.2%} of the weight held out"
    )
    return None


def _line(side: Side) -> str:
    """The parts in the order in which they act."""
    head = f"{side.head} {side.table}" if side.head == "table" else side.head
    sparse = f"{side.sparsifier} {side.k or ''}".strip() if side.sparsifier != "none" else ""
    view = side.view if side.view != "plain" else ""
    backbone = side.backbone if side.backbone != "none" else ""
    activation = side.activation if side.activation != "identity" else ""
    pool = side.pool if head not in ("bm25",) and side.head != "table" else ""
    return " > ".join(part for part in (view, backbone, head, activation, pool, *side.gates, sparse) if part)
