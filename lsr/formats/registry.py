"""Which formats are there, and which is a file in? Each declared once; the command line and the docs read this."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

from lsr.errors import InputError
from lsr.formats import json_lines, matrices, topics
from lsr.formats.vectors import VectorBatch, Vocabulary

JSON_LINES = (".jsonl", ".json", ".ndjson")


class Format(NamedTuple):
    """One way to keep vectors.

    Attributes:
        name: what a person calls it.
        what: one line on it.
        endings: of file names; .gz may follow where ``packed``.
        read: vectors of a file, batch after batch; terms are learned on the way.
        write: all batches into a new file.
        whole: keeps whole numbers only.
        packed: is read from .gz too.
    """

    name: str
    what: str
    endings: tuple[str, ...]
    read: Callable[[Path, Vocabulary], Iterator[VectorBatch]]
    write: Callable[[Iterable[VectorBatch], Path, Vocabulary], None]
    whole: bool = False
    packed: bool = False


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function whose module, which takes long to import, is imported when it is called."""
    return lambda *arguments: getattr(import_module(module), name)(*arguments)


FORMATS = {
    entry.name: entry
    for entry in (
        Format(
            "anserini",
            "JsonVectorCollection: JSON lines with contents and whole weights",
            JSON_LINES,
            json_lines.read_json_lines,
            json_lines.write_anserini,
            whole=True,
            packed=True,
        ),
        Format(
            "anserini-topics",
            "encoded queries: id, tab, tokens as often as their whole weight",
            (".tsv",),
            topics.read_topics_tsv,
            topics.write_topics_tsv,
            whole=True,
            packed=True,
        ),
        Format(
            "seismic",
            "JSON lines with content and float weights",
            JSON_LINES,
            json_lines.read_json_lines,
            json_lines.write_seismic,
            packed=True,
        ),
        Format("seismic-bin", "Seismic's inner format", (".bin",), matrices.read_bin, matrices.write_bin),
        Format("csr", "matrix of the BigANN sparse track", (".csr",), matrices.read_csr, matrices.write_csr),
        Format(
            "ciff",
            "Common Index File Format: posting lists with whole weights",
            (".ciff",),
            _late("lsr.formats.ciff.ciff", "read_ciff"),
            _late("lsr.formats.ciff.ciff", "write_ciff"),
            whole=True,
            packed=True,
        ),
        Format(
            "parquet",
            "what lsr encode writes",
            (".parquet",),
            _late("lsr.formats.parquet", "read_parquet"),
            _late("lsr.formats.parquet", "write_parquet"),
        ),
    )
}


def format_of(path: Path, name: str | None, writing: bool = False) -> Format:
    """The format called ``name``, or the one that the file's name (and, of JSON lines, its content) says.

    Raises:
        InputError: no such format, or none that can be told for certain.
    """
    if name and name != "auto":
        if name not in FORMATS:
            raise InputError(f"unknown format {name!r}: wanted {', '.join(FORMATS)}")
        return FORMATS[name]
    stem = path.name.removesuffix(".gz")
    fit = [entry for entry in FORMATS.values() if stem.endswith(entry.endings)]
    if len(fit) == 1:
        return fit[0]
    if fit and not writing:
        return FORMATS["seismic"]  # one reader takes the JSON lines of both
    option = "--to" if writing else "--from"
    names = ", ".join(entry.name for entry in fit or FORMATS.values())
    raise InputError(f"{path}: the name does not say the format; give {option} with one of {names}")
