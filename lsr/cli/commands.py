"""Where is the command of a name? In a module of its own, imported when it is called."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any, NamedTuple

import typer

from lsr.cli.help import CHANGING, ENCODING, EVALUATING, SEARCHING, TRAINING, Command, Group


class Entry(NamedTuple):
    """What is known of a command before it is called.

    Attributes:
        home: module below lsr.cli, with a function ``command``, or a group ``app``.
        panel: of the help.
        help: the first line of its own.
    """

    home: str
    panel: str
    help: str


COMMANDS = {
    "index": Entry("searching.index", SEARCHING, "Encode documents and build an index, or index precomputed vectors."),
    "convert": Entry("encoding.convert", ENCODING, "Convert vectors from one format into another, streaming."),
    "search": Entry("searching.search", SEARCHING, "Search an index and show why each hit was found."),
    "serve": Entry(
        "searching.serve", SEARCHING, "Serve an index over HTTP: POST /v1/search, GET /healthz, documentation at /docs."
    ),
    "eval": Entry(
        "evaluating.evaluate", EVALUATING, "Measure an encoder, or a finished index, on a judged collection."
    ),
    "compare": Entry(
        "evaluating.compare",
        EVALUATING,
        "Compare runs by query: means, wins and losses, paired tests with Holm's correction.",
    ),
    "fuse": Entry("evaluating.fuse", EVALUATING, "Merge several runs into one."),
    "bench": Entry(
        "evaluating.bench",
        EVALUATING,
        "Evaluate encoders, engines, fusions and run files on many collections; run it again to continue.",
    ),
    "tune": Entry(
        "searching.tune",
        SEARCHING,
        "Find and store the fastest settings of an index that reach a given recall of exact search.",
    ),
    "info": Entry(
        "searching.info", SEARCHING, "Show what an index holds: documents, fields, encoder, segments and bytes."
    ),
    "check": Entry("searching.check", SEARCHING, "Verify every file of an index against its checksum."),
    "sync": Entry("changing.sync", CHANGING, "Make an index exactly what a source says; only what differs is encoded."),
    "add": Entry("changing.add", CHANGING, "Add documents to an index; an id that is there already is refused."),
    "upsert": Entry("changing.upsert", CHANGING, "Add documents to an index, in place of those with the same ids."),
    "update": Entry("changing.update", CHANGING, "Change fields of documents, such as prices; nothing is encoded."),
    "delete": Entry("changing.delete", CHANGING, "Delete documents by id, or those that meet a filter."),
    "get": Entry("changing.get", CHANGING, "Show documents of an index by id."),
    "compact": Entry("changing.compact", CHANGING, "Write an index anew, without deleted documents and its history."),
    "snapshot": Entry(
        "changing.snapshot", CHANGING, "Make a consistent copy of an index, whatever is written meanwhile."
    ),
    "restore": Entry("changing.restore", CHANGING, "Check every file of a snapshot, and make it an index."),
    "history": Entry("changing.history", CHANGING, "List the last changes of an index; lsr rollback goes back to one."),
    "rollback": Entry("changing.rollback", CHANGING, "Make an index again what it was at an earlier generation."),
    "upgrade": Entry(
        "changing.upgrade", CHANGING, "Convert an index of an older format; the first change does that too."
    ),
    "encode": Entry("encoding.encode", ENCODING, "Encode documents into a Parquet file of vectors."),
    "train": Entry("training.train", TRAINING, 'Train an encoder by a recipe; "lsr train list" shows the recipes.'),
    "mine": Entry(
        "training.mine", TRAINING, "Find hard negatives for pairs: documents that an encoder mistakes for answers."
    ),
    "adapt": Entry(
        "training.adapt",
        TRAINING,
        "Fine-tune an encoder on your own documents, without labels.",
    ),
    "encoders": Entry("encoding.encoders", ENCODING, "List the known encoder systems; convert and shrink encoders."),
    "data": Entry("evaluating.data", EVALUATING, "List judged collections, or make one. Nothing is downloaded."),
}


class Commands(dict[str, Any]):
    """The commands by name; one is built when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        found = super().__getitem__(name)
        if isinstance(found, Entry):
            found = self[name] = _built(name, found)
        return found

    def get(self, name: str, default: Any = None) -> Any:
        """The command, or ``default``."""
        return self[name] if name in self else default  # noqa: SIM401 - get of a dict would not build it

    def items(self) -> Iterator[tuple[str, Any]]:  # type: ignore[override]
        """Names and commands, all of them built."""
        return ((name, self[name]) for name in self)


class Root(Group):
    """The group of all commands; its help imports none of them."""

    _listing = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.commands = Commands(COMMANDS)

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, in order."""
        return [*self.commands]

    def get_command(self, ctx: Any, name: str) -> Any:
        """The command ``name``; for a list of all, one that only knows its place and its help."""
        if self._listing and name in COMMANDS:
            return Command(name, help=COMMANDS[name].help, rich_help_panel=COMMANDS[name].panel)
        return super().get_command(ctx, name)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """As of any group."""
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False


def _built(name: str, entry: Entry) -> Any:
    module = import_module(f"lsr.cli.{entry.home}")
    if hasattr(module, "app"):
        holder = module.app
    else:
        holder = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="markdown")
        holder.command(name, cls=getattr(module, "COMMAND", Command), rich_help_panel=entry.panel)(module.command)
    command = typer.main.get_command(holder)
    command.name = name
    return command
