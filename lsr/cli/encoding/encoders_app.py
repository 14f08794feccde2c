"""Which commands does `lsr encoders` have? Declared here, done in `lsr.cli.encoding.encoders`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.help import Command, Group

app = typer.Typer(
    cls=Group,
    help="List the systems that encoders are declared as; convert encoders.\n\nExample: lsr encoders list",
    no_args_is_help=True,
    add_completion=False,
)


@app.command("list", cls=Command)
def encoders_list_command() -> None:
    """List every declared system and its parts.

    Example: lsr encoders list
    """
    from lsr.cli.encoding.encoders import list_systems

    list_systems()


@app.command("show", cls=Command)
def encoders_show_command(name: Annotated[str, typer.Argument(metavar="SYSTEM", help="Name from the list.")]) -> None:
    """Show the declaration of one system.

    Example: lsr encoders show splade-v3
    """
    from lsr.cli.encoding.encoders import show

    show(name)


@app.command("export", cls=Command)
def encoders_export_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an encoder.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    layout: Annotated[
        str, typer.Option("--to", help="onnx (runs without torch), sentence-transformers, or lsr.")
    ] = "onnx",
    int8: Annotated[bool, typer.Option("--int8", help="With onnx: a byte a number, a quarter of the size.")] = False,
    keep_terms_of: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="With onnx: leave out terms that these documents never fire."),
    ] = None,
) -> None:
    """Write an encoder in another layout.

    Example: lsr encoders export my-model --out my-model-onnx
    """
    from lsr.cli.encoding.encoders import export

    export(folder, out, layout, int8, keep_terms_of)


@app.command("average", cls=Command)
def encoders_average_command(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Encoders of several runs from one start.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
) -> None:
    """Average the weights of several runs: often better than each, at the cost of one.

    Example: lsr encoders average run-0/encoder run-1/encoder --out averaged
    """
    from lsr.cli.encoding.encoders import average

    average(folders, out)


@app.command("rescale", cls=Command)
def encoders_rescale_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trained encoder of stems.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    expansions: Annotated[float, typer.Option(help="What logits of fired stems are multiplied by.")] = 1.0,
    threshold: Annotated[
        float | None, typer.Option(help="Share of a document's largest weight below which a weight is left out.")
    ] = None,
) -> None:
    """Set after training how much expansions weigh, and how many stay; choose by queries of a dev set.

    Example: lsr encoders rescale averaged --expansions 1.3 --threshold 0.15 --out scaled
    """
    from lsr.cli.encoding.encoders import rescale

    rescale(folder, out, expansions, threshold)


@app.command("fold", cls=Command)
def encoders_fold_command(
    expander: Annotated[Path, typer.Argument(metavar="DIR", help="A SPLADE, or another sparse encoder.")],
    data: Annotated[list[str], typer.Option(help="Queries with documents, as lsr train reads them; repeat it.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    base: Annotated[str, typer.Option(help="Encoder of stems that gets more terms.")] = "default",
    factor: Annotated[float, typer.Option(help="Of what a stem adds to the other encoder's scores.")] = 0.2,
    int8: Annotated[bool, typer.Option("--int8", help="Store the other encoder as bytes.")] = False,
    most: Annotated[int, typer.Option(min=0, help="Terms that a document keeps, the heaviest; 0 keeps all.")] = 180,
) -> None:
    """Let a SPLADE add stems to documents, folded so that queries need no network.

    Example: lsr encoders fold splade-tiny --data pairs.parquet --out folded
    """
    from lsr.cli.encoding.encoders import fold

    fold(base, expander, data, out, factor, int8, most)


@app.command("cut", cls=Command)
def encoders_cut_command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A trained encoder of stems, or a SPLADE.")],
    data: Annotated[list[str], typer.Option(help="Texts to count words in, as lsr train reads them; repeat it.")],
    out: Annotated[Path, typer.Option("--out", help="New folder to write.")],
    least: Annotated[int, typer.Option(help="How often words of a piece stand in the texts, for it to stay.")] = 40,
) -> None:
    """Take rare word-pieces out of an encoder: each costs a row, and words are spelt by others.

    Example: lsr encoders cut splade-tiny --data pairs.parquet --least 200 --out smaller
    """
    from lsr.cli.encoding.encoders import cut

    cut(folder, data, out, least)
