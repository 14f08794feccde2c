"""What does a file of text hold, in a folder of such files? One document, its date as a field.

Read are .txt, .md, .html, .docx and .pdf.
"""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

from lsr.corpus.document import Document
from lsr.corpus.layouts.docx import read_docx
from lsr.corpus.layouts.pdf import read_pdf
from lsr.corpus.values import decoded
from lsr.errors import InputError, reason

HTML_ENDINGS = (".html", ".htm")
PACKED = {".docx": read_docx, ".pdf": read_pdf}  # what no editor of text opens, and what reads it
TEXT_ENDINGS = (".txt", ".md", ".markdown", *HTML_ENDINGS, *PACKED)
LARGEST, LARGEST_PACKED = 2**26, 2**31  # bytes of one file; the latter hold pictures too
HIDDEN = ("script", "style", "template", "noscript", "head")
BLOCKS = {
    *("address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset", "figure", "footer"),
    *("form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section"),
    *("table", "td", "th", "tr", "ul"),
}


def text_files(folder: Path) -> list[Path]:
    """Files of text below ``folder``, in the order of their paths; hidden ones and those in hidden folders are left."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in TEXT_ENDINGS and path.is_file())
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def read_text_file(path: Path, name: str) -> Document:
    """The document in ``path``, with the id ``name``; its title is a heading, or else the name of the file.

    Raises:
        InputError: it cannot be read, is too large, damaged, or not UTF-8.
        MissingExtraError: a PDF, and the extra ``files`` is not installed.
    """
    ending = path.suffix.lower()
    try:
        size, changed = path.stat().st_size, path.stat().st_mtime
        most = LARGEST_PACKED if ending in PACKED else LARGEST
        if size > most:
            raise InputError(f"{path} has {size:,} bytes: wanted at most {most:,}; split it, or leave it out")
        title, text = PACKED[ending](path) if ending in PACKED else _read(path, ending)
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    when = datetime.fromtimestamp(changed, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Document(name, title or path.stem, text, {"modified": when, "bytes": size})


def _read(path: Path, ending: str) -> tuple[str, str]:
    try:
        text = decoded(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except InputError as fault:
        raise InputError(f"{path}: {fault}") from None
    return _html(text) if ending in HTML_ENDINGS else (_heading(text), text.strip())


def _heading(text: str) -> str:
    """The first line that Markdown takes for a heading."""
    lines = (line.strip() for line in text.splitlines())
    return next((line.lstrip("#").strip() for line in lines if line.startswith("#") and line.strip("# ")), "")


def _html(text: str) -> tuple[str, str]:
    parser = _Text()
    parser.feed(text)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.texts).split("\n"))
    return " ".join("".join(parser.title).split()), "\n".join(line for line in lines if line)


class _Text(HTMLParser):
    """Collects what a browser would show, and the title."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.texts: list[str] = []
        self.title: list[str] = []
        self._hidden: list[str] = []
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag that hides its text, or ends a line."""
        del attrs
        if tag in HIDDEN:
            self._hidden.append(tag)
        elif tag == "body":
            self._hidden.clear()  # a head that was never closed
        self._in_title = tag == "title"
        if tag in BLOCKS:
            self.texts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """Note the end of such a tag."""
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        self._in_title = False
        if tag in BLOCKS:
            self.texts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep text that is shown."""
        if self._in_title:
            self.title.append(data)
        elif not self._hidden:
            self.texts.append(data)
