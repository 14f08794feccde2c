"""How is a line of topics, judgements or results divided? At tabs, or at ASCII white space as in trec_eval."""

from __future__ import annotations

import re
from collections.abc import Collection

from lsr.errors import InputError

ODD = re.compile(r"[\0\r\x1c-\x1f]")  # what str.split takes for white space and trec_eval does not, and worse
WORD = re.compile(r"[^ \t\n\v\f\r]+")  # a space that does not break is part of an id


def checked(text: str) -> str:
    """``text``, one line of a file, where it holds nothing that hides another line or ends an id early.

    Raises:
        InputError: a carriage return or NUL in it.
    """
    if "\r" in text:
        raise InputError("found a carriage return inside the line, wanted lines that end in LF or CR LF: convert them")
    if "\0" in text:
        raise InputError("found a NUL character, wanted text: is this another kind of file?")
    return text


def columns(text: str, wanted: Collection[int]) -> list[str]:
    """The columns of one line: what tabs separate where that gives as many as ``wanted``, else what white space does.

    So ids may hold spaces in a file with tabs.

    Raises:
        InputError: see `checked`.
    """
    if not text.isascii() or ODD.search(text):
        by_tabs = checked(text).split("\t")
        return by_tabs if len(by_tabs) in wanted else WORD.findall(text)
    if "\t" in text and len(by_tabs := text.split("\t")) in wanted:
        return by_tabs
    return text.split()
