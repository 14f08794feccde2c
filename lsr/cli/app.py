"""What is lsr on the command line? One group of commands; `lsr.cli.commands` says where each is."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from lsr._version import __version__
from lsr.cli.commands import Root

app = typer.Typer(
    cls=Root,
    help="Learned sparse retrieval: index documents, search them, serve them, evaluate encoders.\n\n"
    "Example: lsr index corpus.jsonl --out my-index, then lsr search my-index why bees dance",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lsr {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


def command_names() -> dict[str, Any]:
    """The commands by name, for tests and documentation."""
    return typer.main.get_command(app).commands  # type: ignore[attr-defined, no-any-return]
