"""What does `lsr encoders` do? Lists the declared systems, shows one, and converts encoders between layouts."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from lsr.cli.console import facts, readable_bytes, say
from lsr.cli.console import out as screen
from lsr.cli.help import Command, Group
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


app = typer.Typer(
    cls=Group,
    help="List the known encoder systems; convert and shrink encoders.\n\nExample: lsr encoders list",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list", cls=Command)
def encoders_list_command() -> None:
    """List every declared system and its parts.

    Example: lsr encoders list
    """
    for name, title, does in READY:
        screen.print(Text.assemble((f"{name:<20}", "bold"), title), soft_wrap=True)
        screen.print(Text(f"    {does}"), soft_wrap=True)
    screen.print(Text(HEADING, "dim"), soft_wrap=True)
    for name in (name for name in system_names() if name not in [one for one, *_ in READY]):
        declaration = read_system(name)
        screen.print(Text.assemble((f"{name:<20}", "bold"), declaration.title), soft_wrap=True)
        screen.print(Text(f"    documents  {_line(declaration.document)}"), soft_wrap=True)
        queries = _line(declaration.query) if declaration.query else "like documents"
        screen.print(Text(f"    queries    {queries}"), soft_wrap=True)


@app.command("show", cls=Command)
def encoders_show_command(name: Annotated[str, typer.Argument(metavar="SYSTEM", help="Name from the list.")]) -> None:
    """Show the declaration of one system.

    Example: lsr encoders show splade-v3
    """
    from lsr.encoders.declaration import write_declaration

    screen.print(Text(write_declaration(read_system(name)).strip()))


@app.command("export", cls=Command)
def encoders_export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an encoder.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    layout: Annotated[
        str, typer.Option("--to", help="onnx (runs without torch), sentence-transformers, or lsr.")
    ] = "onnx",
    int8: Annotated[
        bool, typer.Option("--int8", help="With onnx: one byte per number, a quarter of the size.")
    ] = False,
    keep_terms_of: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="With onnx: leave out terms without weight in these documents."),
    ] = None,
) -> None:
    """Write an encoder in another layout.

    Example: lsr encoders export my-model --out my-model-onnx
    """
    _check_options(layout, int8 or bool(keep_terms_of))
    encoder = _network(folder)
    if layout == "onnx":
        _export_onnx(encoder, out, int8, keep_terms_of)
    elif layout == "sentence-transformers":
        from lsr.encoders.convert.to_sentence_transformers import write

        write(encoder, out)
    else:
        with new_folder(out) as new:
            encoder.save(new)
    _say_written(out, ("layout", layout))


@app.command("average", cls=Command)
def encoders_average_command(
    folders: Annotated[
        list[Path], typer.Argument(metavar="DIR", help="Encoders trained from the same initial weights.")
    ],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
) -> None:
    """Average the weights of several runs: often better than each, at the cost of one.

    Example: lsr encoders average run-0/encoder run-1/encoder --out averaged
    """
    from lsr.encoders.convert.average import average as write_average

    write_average(folders, out)
    rows = [("encoder", str(out)), ("runs", str(len(folders))), ("fingerprint", load(out, "cpu").fingerprint)]
    screen.print(facts(rows))


@app.command("rescale", cls=Command)
def encoders_rescale_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trained encoder of stems.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    expansions: Annotated[float, typer.Option(help="Factor for the logits of expansion terms.")] = 1.0,
    threshold: Annotated[
        float | None, typer.Option(help="Share of a document's largest weight below which a weight is left out.")
    ] = None,
) -> None:
    """Rescale expansions after training and drop small ones; choose both numbers on a dev set.

    Example: lsr encoders rescale averaged --expansions 1.3 --threshold 0.15 --out scaled
    """
    from lsr.encoders.convert.rescale import rescale as write_rescaled

    write_rescaled(folder, out, expansions, threshold)
    screen.print(facts([("encoder", str(out)), ("fingerprint", load(out, "cpu").fingerprint)]))


@app.command("expand", cls=Command)
def encoders_expand_command(
    expander: Annotated[Path, typer.Argument(metavar="DIR", help="A SPLADE, or another sparse encoder.")],
    data: Annotated[list[str], typer.Option(help="Queries with documents, as lsr train reads them; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    base: Annotated[str, typer.Option(help="Encoder of stems that gets more terms.")] = "default",
    factor: Annotated[float, typer.Option(help="Factor for the weights taken from the other encoder.")] = 0.2,
    int8: Annotated[bool, typer.Option("--int8", help="Store the other encoder as bytes.")] = False,
    most: Annotated[
        int, typer.Option(min=0, help="Keep this many of the heaviest terms of a document; 0 keeps all.")
    ] = 180,
) -> None:
    """Let a SPLADE add stems to documents; queries still need no network.

    Example: lsr encoders expand splade-tiny --data pairs.parquet --out expanded
    """
    _require_training("fitting vectors of stems")
    from lsr.training.data.sources import read_data
    from lsr.training.teachers.expander import expand

    expand(base, expander, read_data(data), out, factor, int8, most)
    _say_written(out)


@app.command("prune", cls=Command)
def encoders_prune_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trained encoder of stems, or a SPLADE.")],
    data: Annotated[list[str], typer.Option(help="Texts to count words in, as lsr train reads them; may be repeated.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    least: Annotated[int, typer.Option(min=0, help="A piece stays if its words occur this often in the texts.")] = 40,
) -> None:
    """Remove rare word-pieces from an encoder; their words are split into other pieces.

    Example: lsr encoders prune splade-tiny --data pairs.parquet --least 200 --out smaller
    """
    _require_training("reading a network")
    from lsr.training.data.sources import read_data
    from lsr.training.student.word_piece_pruning import prune

    pieces = prune(folder, read_data(data).documents, least, out)
    _say_written(out, ("word-pieces", f"{pieces:,}"))


def _check_options(layout: str, of_onnx: bool) -> None:
    if layout not in LAYOUTS:
        raise InputError(f"--to {layout}: wanted {', '.join(LAYOUTS)}")
    if of_onnx and layout != "onnx":
        raise InputError("--int8 and --keep-terms-of go with --to onnx")


def _network(folder: Path) -> NeuralEncoder:
    encoder = load(folder, device="cpu")
    if not isinstance(encoder, NeuralEncoder):
        raise EncoderError(f"{folder}: {encoder.name} cannot be exported; wanted an encoder that lsr train wrote")
    return encoder


def _require_training(purpose: str) -> None:
    try:
        import lsr.training.data.sources
        import lsr.training.student.student  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(error.name or "torch", "train", purpose) from None


def _say_written(target: Path, *more: tuple[str, str]) -> None:
    """Name, fingerprint and size of a new encoder."""
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    rows = [("encoder", str(target)), *more, ("fingerprint", load(target, device="cpu").fingerprint)]
    screen.print(facts([*rows, ("bytes", f"{size:,} ({readable_bytes(size)})")]))


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
