"""What do people ask? Topics of TREC (SGML or XML), "id TAB text" lines, or BEIR's queries.jsonl."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from xml.parsers import expat

from lsr.corpus import json_objects
from lsr.corpus.streams import ByteStream, open_file
from lsr.errors import InputError

FIELDS = ("title", "query", "question", "desc", "description")
NUMBERS = ("num", "number", "id")
LABEL = re.compile(r"\s*(?:Number|Topic|Description|Narrative)\s*:", re.IGNORECASE)


def read_topics(path: Path, field: str | None = None) -> dict[str, str]:
    """Query texts by id; plain or .gz.

    Args:
        path: "id TAB text" lines (.tsv), objects with "_id" and "text" (.jsonl), TREC topics (any other name).
        field: of TREC topics; None takes the first there is of title, query, question, desc, description.

    Raises:
        InputError: a missing file, a malformed line or topic, or an id twice; the message names the line.
    """
    zipped = path.with_name(f"{path.name}.gz")
    stream = open_file(zipped if zipped.exists() and not path.exists() else path)
    name = stream.name.removesuffix(".gz")
    if name.endswith(".tsv"):
        return unique_topics(_tab_lines(stream))
    if name.endswith((".jsonl", ".json", ".ndjson")):
        return unique_topics(read_queries(stream))
    return unique_topics(_trec(stream, field))


def read_queries(stream: ByteStream) -> Iterator[tuple[str, str, str]]:
    """(place, id, text) of the objects of a queries.jsonl.

    Raises:
        InputError: an object without "_id" or "text".
    """
    for place, record in json_objects(stream):
        if "_id" not in record or not isinstance(record.get("text"), str):
            raise InputError(f"{place}: wanted the fields '_id' and 'text'")
        yield place, str(record["_id"]), record["text"]


def unique_topics(found: Iterable[tuple[str, str, str]]) -> dict[str, str]:
    """Text by id of (place, id, text).

    Raises:
        InputError: an id twice.
    """
    topics: dict[str, str] = {}
    for place, name, text in found:
        if name in topics:
            raise InputError(f"{place}: the id {name!r} was given before; wanted each id once")
        topics[name] = text
    return topics


def _tab_lines(stream: ByteStream) -> Iterator[tuple[str, str, str]]:
    for number, line in stream.lines():
        place = f"{stream.name}, line {number}"
        name, tab, text = line.decode("utf-8", "replace").rstrip("\r\n").partition("\t")
        if not name or not tab:
            raise InputError(f"{place}: found no id followed by a tab; wanted id, tab, text")
        yield place, name, text


def _trec(stream: ByteStream, field: str | None) -> Iterator[tuple[str, str, str]]:
    lines: list[str] = []
    for at, line in stream.lines():
        lines += ["\n"] * (at - 1 - len(lines)) + [line.decode("utf-8", "replace")]
    text = "".join(lines)
    topics = list(_xml(stream.name, text) if _is_xml(text) else _sgml(stream.name, text))
    if not topics:
        raise InputError(f"{stream.name}: found no <top> or <topic>; wanted TREC topics, or a .tsv or .jsonl file")
    for place, own in topics:
        number = next((own[name] for name in NUMBERS if own.get(name)), "")
        chosen = own.get(field, "") if field else next((own[name] for name in (*FIELDS, "") if own.get(name)), "")
        if not number or not chosen:
            missing = "number" if not number else (field or " or ".join(FIELDS[:3]))
            there = ", ".join(name for name in own if name) or "none"
            raise InputError(f"{place}: a topic without {missing}; found the fields {there}")
        yield place, number, chosen


def _is_xml(text: str) -> bool:
    """XML closes what it opens; the <num> of the older topics never ends."""
    return text.lstrip().startswith(("<?xml", "<topic")) or "</num>" in text


def _sgml(name: str, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    for match in re.finditer(r"<top>(.*?)(?:</top>|(?=<top>)|\Z)", text, re.DOTALL | re.IGNORECASE):
        place = f"{name}, line {text.count(chr(10), 0, match.start()) + 1}"
        fields = re.findall(r"<(\w+)>([^<]*)", match[1])
        yield place, {tag.lower(): " ".join(LABEL.sub("", content, 1).split()) for tag, content in fields}


def _xml(name: str, text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Fields of each <topic> or <top>; entities are never expanded."""
    parser, found = expat.ParserCreate(), _Topics()
    parser.StartElementHandler = lambda tag, own: found.start(tag.lower(), own, parser.CurrentLineNumber)
    parser.EndElementHandler = lambda tag: found.end(tag.lower())
    parser.CharacterDataHandler = found.text
    parser.EntityDeclHandler = found.refuse
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise InputError(f"{name}, line {error.lineno}: not XML ({expat.ErrorString(error.code)})") from None
    for line, own in found.topics:
        yield f"{name}, line {line}", {tag: " ".join("".join(parts).split()) for tag, parts in own.items()}


class _Topics:
    """Hears a parser; keeps (line, {field: parts of its text}) of every topic, its own text under ""."""

    def __init__(self) -> None:
        self.topics: list[tuple[int, dict[str, list[str]]]] = []
        self._field: str | None = None

    def start(self, tag: str, attributes: Mapping[str, str], line: int) -> None:
        if tag in ("topic", "top"):
            own = {key.lower(): [value] for key, value in attributes.items()}
            self.topics.append((line, {**own, "": []}))
            self._field = ""
        elif self._field is not None:
            self._field = tag
            self.topics[-1][1].setdefault(tag, [])

    def end(self, tag: str) -> None:
        self._field = None if tag in ("topic", "top") else "" if self._field is not None else None

    def text(self, content: str) -> None:
        if self._field is not None:
            self.topics[-1][1][self._field].append(content)

    def refuse(self, *_: object) -> None:
        raise InputError("topics that declare entities are not read; write the characters themselves")
