"""What is a published system made of? One part of each kind, for documents and for queries, in a few lines of TOML."""

from __future__ import annotations

import math
import sys
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

import msgspec

from lsr.encoders.parts.registry import fault_of_parts, head_of
from lsr.encoders.parts.scorers import SCORERS
from lsr.encoders.side import Backbone, LongTexts, Side, Table, View
from lsr.errors import EncoderError


class Declaration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One system.

    Attributes:
        title: what the literature calls it.
        paper: where it is defined.
        document: how documents are encoded.
        query: how queries are encoded; None means like documents, by the same weights.
        scorer: ``dot``; ``cosine`` and ``query-l2`` scale both sides, or queries only, to length 1.
        separate: whether queries have weights of their own where they could share those of documents.
    """

    title: str
    paper: str
    document: Side
    query: Side | None = None
    scorer: str = "dot"
    separate: bool = False

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "scorer", sys.intern(self.scorer))  # as in `Side`

    @property
    def query_side(self) -> Side:
        """The side that encodes queries."""
        return self.query or self.document

    @property
    def dense(self) -> bool:
        """Whether vectors have no vocabulary: they go into no inverted index."""
        return head_of(self.document).dense

    def replace(self, **changes: Any) -> Declaration:
        """The same with other values."""
        return msgspec.structs.replace(self, **changes)


def system_names() -> list[str]:
    """The published systems that are declared, in order."""
    return sorted(path.name.removesuffix(".toml") for path in _systems() if path.name.endswith(".toml"))


def read_system(name: str) -> Declaration:
    """The declaration called ``name``, or in the TOML file of this name.

    Raises:
        EncoderError: no such name, or a file that holds no declaration.
    """
    if name.endswith(".toml") and Path(name).is_file():
        try:
            return parse_declaration(Path(name).read_text("utf-8"), name)
        except (OSError, UnicodeDecodeError) as error:
            raise EncoderError(f"cannot read {name}: {error}") from None
    if name not in system_names():
        raise EncoderError(f"unknown system {name!r}: wanted a TOML file or one of {', '.join(system_names())}")
    return parse_declaration(files("lsr.encoders").joinpath("systems", f"{name}.toml").read_text("utf-8"), name)


def parse_declaration(text: str, place: str | Path) -> Declaration:
    """The declaration in TOML ``text``; ``place`` names it in messages.

    Raises:
        EncoderError: not TOML, an unknown field or part, or parts that do not go together.
    """
    try:
        declaration = msgspec.convert(tomllib.loads(text.removeprefix("\ufeff")), Declaration)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, RecursionError) as error:
        raise EncoderError(f"{place}: not a declaration of an encoder ({error}{_choices_of(str(error))})") from None
    if declaration.scorer not in SCORERS:
        raise EncoderError(f"{place}: unknown scorer {declaration.scorer!r}: wanted one of {', '.join(SCORERS)}")
    for side in (declaration.document, declaration.query_side):
        if fault := fault_of(side):
            raise EncoderError(f"{place}: {fault}")
    return declaration


def fault_of(side: Side) -> str | None:
    """Why these parts do not go together, or None."""
    if not 2 <= side.max_length <= 1 << 20:
        return f"max_length {side.max_length}: wanted 2 to 1,048,576"
    if not 0 <= side.threshold < math.inf or not 0 <= side.k < 1 << 31:
        return f"k {side.k} and threshold {side.threshold}: wanted finite numbers of 0 or more"
    return fault_of_parts(side)


def _choices_of(fault: str) -> str:
    """What an unknown view, backbone, table or treatment of long texts could be."""
    lists = {"view": View, "backbone": Backbone, "table": Table, "long_texts": LongTexts}
    field = fault.rstrip("`").rpartition(".")[2]
    return f"; wanted one of {', '.join(get_args(lists[field]))}" if "enum" in fault and field in lists else ""


def write_declaration(declaration: Declaration) -> str:
    """The declaration as TOML; `parse_declaration` gives it back."""
    fields = msgspec.to_builtins(declaration)
    lines = [f"{key} = {_toml(value)}" for key, value in fields.items() if not isinstance(value, dict)]
    for key, value in fields.items():
        if isinstance(value, dict):
            lines += ["", f"[{key}]", *(f"{name} = {_toml(part)}" for name, part in value.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A string, number, truth value or list of these; their JSON is TOML, once control characters are escaped."""
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def _systems() -> list[Any]:
    return list(files("lsr.encoders").joinpath("systems").iterdir())
