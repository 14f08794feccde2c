"""What does a Word document (.docx) say? Its paragraphs, tables and notes as lines, and its title."""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO
from xml.etree import ElementTree  # that of Python 3.11 and later refuses entities that grow without bound

from lsr.corpus.streams import DAMAGE
from lsr.errors import InputError, reason

LARGEST = 2**28  # bytes of the text, unpacked
RELATIONS, CORE, MAIN = "_rels/.rels", "docProps/core.xml", "word/document.xml"
NOTES = ("footnotes.xml", "endnotes.xml")  # beside the main part
LINE_BREAKS = ("br", "cr")
HIDDEN = ("Fallback", "pPr", "rPr", "tblPr")  # the same again for old programs; properties
HEADINGS = ("title", "heading")


def read_docx(path: Path) -> tuple[str, str]:
    """Title and text; the title is that of the properties, or else the first heading, and may be empty.

    Raises:
        InputError: damaged, protected by a password, or no such document.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise InputError(f"{path}: not a .docx file, or protected by a password; save it again, or leave it out")
        with zipfile.ZipFile(path) as archive:
            return _read(archive, path)
    except (ElementTree.ParseError, *DAMAGE) as error:
        raise InputError(f"{path}: damaged ({reason(error)}); save it again, or leave it out") from None


def _read(archive: zipfile.ZipFile, path: Path) -> tuple[str, str]:
    main = _main_part(archive, path)
    if main not in archive.namelist():
        raise InputError(f"{path}: found no text ({main}) in it, wanted a document of Word; leave it out")
    text = _Text()
    for part in (main, *(posixpath.join(posixpath.dirname(main), name) for name in NOTES)):
        if part in archive.namelist():
            with _opened(archive, part, path) as stream:
                text.feed(stream)
    return " ".join((_title(archive, path) or text.heading).split()), text.text()


def _main_part(archive: zipfile.ZipFile, path: Path) -> str:
    """The part that the package says is its document."""
    if RELATIONS in archive.namelist():
        with _opened(archive, RELATIONS, path) as stream:
            for _, relation in ElementTree.iterparse(stream):  # noqa: S314
                if relation.get("Type", "").endswith("/officeDocument"):
                    return relation.get("Target", MAIN).lstrip("/")
    return MAIN


def _title(archive: zipfile.ZipFile, path: Path) -> str:
    if CORE not in archive.namelist():
        return ""
    with _opened(archive, CORE, path) as stream:
        found = [element.text for _, element in ElementTree.iterparse(stream) if _name(element) == "title"]  # noqa: S314
    return (found and found[0]) or ""


def _opened(archive: zipfile.ZipFile, part: str, path: Path) -> IO[bytes]:
    if (size := archive.getinfo(part).file_size) > LARGEST:
        raise InputError(f"{path}: {part} has {size:,} bytes: wanted at most {LARGEST:,}; split it, or leave it out")
    return archive.open(part)


class _Text:
    """Collects what is shown, a line a paragraph, and the first heading."""

    def __init__(self) -> None:
        self.heading = ""
        self._pieces: list[str] = []
        self._hidden = 0  # elements that are open and show nothing
        self._heading_from = -1  # the piece at which a heading began

    def feed(self, stream: IO[bytes]) -> None:
        """Read one part."""
        for event, element in ElementTree.iterparse(stream, ("start", "end")):  # noqa: S314
            name = _name(element)
            if name in HIDDEN:
                self._hidden += 1 if event == "start" else -1
            if event == "start":
                self._start(name, element)
            else:
                self._end(name, element)
                element.clear()

    def text(self) -> str:
        """All of it."""
        lines = (line.strip() for line in "".join(self._pieces).split("\n"))
        return "\n".join(line for line in lines if line)

    def _start(self, name: str, element: ElementTree.Element) -> None:
        if name == "p":
            self._pieces.append("\n")
            self._heading_from = -1
        elif name == "pStyle" and _attribute(element, "val").lower().startswith(HEADINGS):
            self._heading_from = len(self._pieces)

    def _end(self, name: str, element: ElementTree.Element) -> None:
        if name == "p":
            if self._heading_from >= 0 and not self.heading:
                self.heading = "".join(self._pieces[self._heading_from :]).strip()
            self._pieces.append("\n")
        elif not self._hidden:
            self._pieces += _shown(name, element)


def _shown(name: str, element: ElementTree.Element) -> Iterator[str]:
    if name == "t" and element.text:
        yield element.text
    elif name == "tab":
        yield "\t"
    elif name == "noBreakHyphen":
        yield "-"
    elif name in LINE_BREAKS:
        yield "\n"


def _name(element: ElementTree.Element) -> str:
    """Without the namespace, of which there are two."""
    return element.tag.rpartition("}")[2]


def _attribute(element: ElementTree.Element, name: str) -> str:
    return next((value for key, value in element.attrib.items() if key.rpartition("}")[2] == name), "")
