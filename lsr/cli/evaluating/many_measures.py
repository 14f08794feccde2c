"""How does ``--measures`` take several values in a row?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsr.cli.help import Command
from lsr.errors import InputError
from lsr.eval.measures.names import parse_measures


class ManyMeasures(Command):
    """Lets ``--measures`` take several values in a row: ``--measures nDCG@10 R@100 DATASET``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As of any command, with the option in front of every measure."""
        spread: list[str] = []
        taking = False
        for arg in args:
            if taking and spread[-1] != "--measures" and not arg.startswith("-") and _is_measure(arg):
                spread.append("--measures")
            elif not (spread and spread[-1] == "--measures"):
                taking = arg.partition("=")[0] == "--measures"
            spread.append(arg)
        return super().parse_args(ctx, spread)


def _is_measure(word: str) -> bool:
    """Whether a word after --measures is one more; what is neither that nor a place is a mistake, and is said."""
    if Path(word).exists() or any(mark in word for mark in "/:\\") or Path(word).suffix[1:].isalpha():
        return False
    try:
        return bool(parse_measures([word]))
    except InputError as fault:
        raise InputError(f"{fault}" if "@" in word else f"{fault}; and no file or folder has this name") from None
