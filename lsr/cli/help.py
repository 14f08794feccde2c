"""How does help read? Flags without a type, values by a word, commands by task."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

SEARCHING, CHANGING, EVALUATING = "Index and search", "Change an index", "Evaluate"
ENCODING, TRAINING = "Encoders and vectors", "Train"
WORDS = {"str": "TEXT", "int": "NUMBER", "float": "NUMBER", "path": "PATH"}


class Command(TyperCommand):
    """A command whose help names values in words."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As of any command."""
        return _named(super().get_params(ctx))


class Group(TyperGroup):
    """A group of commands in the order in which they are declared."""

    def get_params(self, ctx: Any) -> list[Any]:
        """As of any group."""
        return _named(super().get_params(ctx))


def _untyped(ctx: Any) -> None:
    """The type that is shown of an argument."""


def _named(params: list[Any]) -> list[Any]:
    for param in params:
        if param.param_type_name == "argument":
            param.display_type_rich = _untyped  # its name says what it is
        if param.param_type_name == "option" and param.metavar is None:
            kind = (
                str(param.display_type_rich(ctx=None) or "").strip("<>").removeprefix("list[").split(" ")[0].strip("]")
            )
            param.metavar = "" if param.is_flag else WORDS.get(kind)
    return params
