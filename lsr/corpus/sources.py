"""Which files does a source stand for: a file, a folder, a zip, a pipe, a collection by name?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path

from lsr.corpus.layouts import irds, products
from lsr.corpus.layouts.text_files import TEXT_ENDINGS, text_files
from lsr.corpus.streams import ByteStream, open_file, open_member
from lsr.errors import InputError, reason

LAYOUTS = (
    "JSONL (.jsonl, .json, .ndjson), CSV (.csv), TSV (.tsv), each also as .gz, Parquet (.parquet), "
    "text (.txt, .md, .html, .docx, .pdf), BEIR zip or folder, a folder of such files, or -"
)
JSON_ENDINGS = (".jsonl", ".json", ".ndjson")
CORPORA = ("corpus.jsonl", "corpus.jsonl.gz", "collection.tsv", "collection.tsv.gz", products.WANDS)
# Names of files that are other parts of a collection: queries.dev.jsonl, topics2019.json, test-qrels.jsonl.
NO_DOCUMENTS = re.compile(
    r"^\.|(?<![a-z])(queries|topics|qrels|judge?ments)|(queries|topics|qrels|judge?ments)(?![a-z])"
)

Source = str | PathLike[str]


def paths_of(sources: Source | Iterable[Source]) -> list[Path]:
    """One source, or several, as paths."""
    return [Path(source) for source in ([sources] if isinstance(sources, str | PathLike) else sources)]


def files_of(source: Path) -> list[Path]:
    """The files of documents that a source stands for, in the order of their names.

    Raises:
        InputError: no such source, one that may not be read or has an unknown layout, or a folder without documents.
    """
    if str(source) == "-" or irds.is_irds(source):
        return [source]
    try:
        with suppress(FileNotFoundError, NotADirectoryError):
            source.stat()  # says no where one may not look; the questions below may then answer "not there"
        if products.esci_locale(source):
            return [source]
        if source.is_dir():
            return _files_of_folder(source)
        if not source.exists():
            raise InputError(f"no such file or folder: {source}")
        if source.is_file() and source.name != products.WANDS and not layout(source).endswith(_endings()):
            raise InputError(f"{source}: unknown layout; wanted {LAYOUTS}")
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {source}: {reason(error)}; give a file or folder that you may read") from None
    return [source]


def left_out(source: Path, files: Sequence[Path]) -> str | None:
    """What in a folder may hold documents, and is not among ``files``, its `files_of`, in words."""
    if str(source) == "-" or irds.is_irds(source) or products.esci_locale(source) or not source.is_dir():
        return None
    if all(path.suffix.lower() in TEXT_ENDINGS for path in files):
        return None  # below folders too
    read = {path.name for path in files}
    others = [path for path in sorted(source.iterdir()) if path.name not in read and _looks_like_documents(path)]
    if not others:
        return None
    names = ", ".join(f"{path.name}/" if path.is_dir() else path.name for path in others[:5])
    more = f" and {len(others) - 5:,} more" if len(others) > 5 else ""
    return f"not read in {source}: {names}{more}; name them as sources too, if they hold documents"


def layout(path: Path) -> str:
    """The file's name as it says the layout: in small letters, without .gz."""
    return path.name.lower().removesuffix(".gz")


def open_source(path: Path) -> ByteStream:
    """Open a file of documents, or the documents of a BEIR zip.

    Raises:
        InputError: it cannot be read, or a zip without documents.
    """
    if path.suffix.lower() != ".zip":
        return open_file(path)
    stream = open_member(path, "corpus.jsonl")
    if stream is None:
        raise InputError(f"{path}: no corpus.jsonl inside; wanted a BEIR zip")
    return stream


def total_size(paths: Sequence[Path]) -> int | None:
    """Bytes to read, or None where nobody knows."""
    sizes = [_size(path) for path in paths]
    return None if None in sizes else sum(size for size in sizes if size is not None)


def _endings() -> tuple[str, ...]:
    return (*JSON_ENDINGS, ".csv", ".tsv", ".parquet", ".zip", *TEXT_ENDINGS)


def _files_of_folder(folder: Path) -> list[Path]:
    for name in CORPORA:
        if (folder / name).is_file():
            return [folder / name]
    parts = [path for path in sorted(folder.iterdir()) if path.is_file() and _may_hold_documents(path)]
    if parts or (parts := text_files(folder)):
        return parts
    others = sorted(path.name for path in folder.iterdir() if NO_DOCUMENTS.search(layout(path)) and path.name[0] != ".")
    found = f"found {', '.join(others[:3])} but no documents" if others else "found no documents"
    raise InputError(
        f"{folder}: {found}; wanted corpus.jsonl, collection.tsv, JSONL or Parquet parts, or files of text"
    )


def _may_hold_documents(path: Path) -> bool:
    name = layout(path)
    return name.endswith((*JSON_ENDINGS, ".parquet")) and not NO_DOCUMENTS.search(name)


def _looks_like_documents(path: Path) -> bool:
    name = layout(path)
    beside = tuple(ending for ending in _endings() if ending not in TEXT_ENDINGS)  # a README is no document
    return not NO_DOCUMENTS.search(name) and (path.is_dir() or name.endswith(beside))


def _size(path: Path) -> int | None:
    if str(path) == "-" or irds.is_irds(path):
        return None
    if locale := products.esci_locale(path):
        path = locale[0] / products.ESCI
    if path.suffix.lower() == ".zip":
        stream = open_source(path)
        stream.close()
        return stream.size
    return path.stat().st_size if path.is_file() else None
