"""What do TREC topics ask? Older ones without closing tags (SGML), newer ones in XML; fields by name."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping
from html import unescape
from xml.parsers import expat

from lsr.corpus.streams import ByteStream
from lsr.corpus.values import decoded
from lsr.errors import InputError

Topic = tuple[str, dict[str, str]]  # place, text by field; the text of the topic itself under ""
TOPICS = ("topic", "top")
# The fields of the tracks, which may stand anywhere; others begin a line. What their text may begin with says so twice.
LABELS = {
    **{"num": "Number", "title": "Topic", "desc": "Description", "narr": "Narrative", "dom": "Domain"},
    **{"smry": "Summary", "con": "Concept(s)", "fac": "Factor(s)", "def": "Definition(s)", "nat": "Nationality"},
    **dict.fromkeys(("head", "number", "query", "question", "description", "narrative"), ""),
}
TAG = re.compile(r"<(/?)([A-Za-z][\w.-]*)\s*>")
TOP = re.compile(r"<top\b[^>]*>(.*?)(?:</top>|(?=<top\b)|\Z)", re.DOTALL | re.IGNORECASE)
ENTITY = re.compile(r"&(?:\w+|#\d{1,7}|#x[0-9a-f]{1,6});", re.IGNORECASE)


def trec_topics(stream: ByteStream) -> Iterator[Topic]:
    """The topics of a file.

    XML is read in the encoding that it declares, other topics in UTF-8, or UTF-16 where the file begins with its mark.

    Raises:
        InputError: not XML, an unknown encoding, or bytes that are not of it; the message names the line.
    """
    content = b"".join(stream.blocks())
    start = _text(content[:1024], "replace").lstrip("\ufeff \t\r\n").lower()
    if start.startswith(("<?xml", "<!doctype", "<topic")):
        yield from _xml(stream.name, content)
    else:
        yield from _sgml(stream.name, _checked_text(stream.name, content))


def _text(content: bytes, errors: str) -> str:
    is_wide = content.startswith((BOM_UTF16_LE, BOM_UTF16_BE))
    return content.decode("utf-16" if is_wide else "utf-8", errors)


def _checked_text(name: str, content: bytes) -> str:
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return _text(content, "replace")
    for number, line in enumerate(content.split(b"\n"), 1):
        try:
            decoded(line)
        except InputError as fault:
            raise InputError(f"{name}, line {number}: {fault}") from None
    return content.decode()


def _sgml(name: str, text: str) -> Iterator[Topic]:
    for match in TOP.finditer(text):
        place = f"{name}, line {text.count(chr(10), 0, match.start()) + 1}"
        yield place, {field: _shown(field, content) for field, content in _fields(match[1])}


def _fields(text: str) -> Iterator[tuple[str, str]]:
    """(field, its text) of one topic: from its tag to its closing tag, or to the tag of the next field."""
    field, start = "", 0
    for tag in TAG.finditer(text):
        name = tag[2].lower()
        begins = not tag[1] and (name in LABELS or not text[: tag.start()].rpartition("\n")[2].strip())
        if begins or (tag[1] and name == field):
            if field:
                yield field, text[start : tag.start()]
            field, start = name if begins else "", tag.end()
    if field:
        yield field, text[start:]


def _shown(field: str, content: str) -> str:
    """What a field says: without its label and the tags of pairs within it, entities as characters, on one line."""
    closed = {tag[2].lower() for tag in TAG.finditer(content) if tag[1]}
    content = TAG.sub(lambda tag: "" if tag[2].lower() in closed else tag[0], content)
    words = " ".join(ENTITY.sub(lambda entity: unescape(entity[0]), content).split())
    label = LABELS.get(field)
    said = re.match(rf"{re.escape(label)}\s*:\s*", words, re.IGNORECASE) if label else None
    return words[said.end() :] if said else words


def _xml(name: str, content: bytes) -> Iterator[Topic]:
    """Fields of each <topic> or <top>; entities are never expanded."""
    parser, found = expat.ParserCreate(), _Elements()
    parser.StartElementHandler = lambda tag, own: found.start(tag.lower(), own, parser.CurrentLineNumber)
    parser.EndElementHandler = lambda tag: found.end(tag.lower())
    parser.CharacterDataHandler = found.text
    parser.EntityDeclHandler = found.refuse
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise InputError(f"{name}, line {error.lineno}: not XML ({expat.ErrorString(error.code)})") from None
    except (LookupError, ValueError, UnicodeError) as error:  # of the declared encoding
        raise InputError(f"{name}, line 1: cannot read its encoding ({error}); convert the file to UTF-8") from None
    for line, own in found.topics:
        yield f"{name}, line {line}", {tag: " ".join("".join(parts).split()) for tag, parts in own.items()}


class _Elements:
    """Handles a parser's events; keeps (line, {field: parts of its text}) of every topic, its own text under "".

    Text belongs to all elements that are open within the topic, so markup in a field takes nothing from it.
    """

    def __init__(self) -> None:
        self.topics: list[tuple[int, dict[str, list[str]]]] = []
        self._open: list[str] | None = None

    def start(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        if tag in TOPICS and self._open is None:
            own = {key.lower(): [value] for key, value in attributes.items()}
            self.topics.append((line, {**own, "": []}))
            self._open = []
        elif self._open is not None:
            self._open.append(tag)
            self.topics[-1][1].setdefault(tag, [])

    def end(self, tag: str) -> None:
        if self._open:
            self._open.pop()
        elif tag in TOPICS:
            self._open = None

    def text(self, content: str) -> None:
        if self._open is not None:
            for field in {*self._open} or {""}:
                self.topics[-1][1][field].append(content)

    def refuse(self, *_: object) -> None:
        raise InputError("topics that declare entities are not read; write the characters themselves")
