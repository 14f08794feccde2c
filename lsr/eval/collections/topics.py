"""What do people ask? Topics of TREC (SGML or XML), "id TAB text" lines, or BEIR's queries.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from lsr.corpus import json_objects
from lsr.corpus.streams import ByteStream, open_file
from lsr.corpus.values import identifier
from lsr.errors import InputError
from lsr.eval.collections.trec_topics import trec_topics
from lsr.eval.columns import checked

FIELDS = ("title", "query", "question", "desc", "description")
NUMBERS = ("num", "number", "id")


def read_topics(path: Path, field: str | None = None) -> dict[str, str]:
    """Query texts by id; plain or .gz.

    Args:
        path: "id TAB text" lines (.tsv), objects with "_id" and "text" (.jsonl), TREC topics (any other name).
        field: of TREC topics; None takes the first there is of title, query, question, desc, description.

    Raises:
        InputError: a missing file, a malformed line or topic, an id twice, or no topic; the message names the line.
    """
    zipped = path.with_name(f"{path.name}.gz")
    with closing(open_file(zipped if zipped.exists() and not path.exists() else path)) as stream:
        topics = unique_topics(_found(stream, field))
    if not topics:
        raise InputError(f"{stream.name} holds no topics")
    return topics


def _found(stream: ByteStream, field: str | None) -> Iterator[tuple[str, object, str]]:
    name = stream.name.removesuffix(".gz")
    if name.endswith(".tsv"):
        return _tab_lines(stream)
    return read_queries(stream) if name.endswith((".jsonl", ".json", ".ndjson")) else _trec(stream, field)


def read_queries(stream: ByteStream) -> Iterator[tuple[str, object, str]]:
    """(place, id, text) of the objects of a queries.jsonl.

    Raises:
        InputError: an object without "_id" or "text", or an id that is neither a text nor a whole number.
    """
    for place, record in json_objects(stream):
        if "_id" not in record or not isinstance(record.get("text"), str):
            raise InputError(f"{place}: wanted the fields '_id' and 'text'")
        yield place, record["_id"], record["text"]


def unique_topics(found: Iterable[tuple[str, object, str]]) -> dict[str, str]:
    """Text by id of (place, id, text).

    Raises:
        InputError: an id twice, or none.
    """
    topics: dict[str, str] = {}
    for place, given, text in found:
        try:
            name = identifier(given, "query id")
        except InputError as fault:
            raise InputError(f"{place}: {fault}") from None
        if name in topics:
            raise InputError(f"{place}: the id {name!r} was given before; wanted each id once")
        topics[name] = text
    return topics


def _tab_lines(stream: ByteStream) -> Iterator[tuple[str, object, str]]:
    for place, line in stream.text_lines():
        try:
            name, tab, text = checked(line).partition("\t")
        except InputError as fault:
            raise InputError(f"{place}: {fault}") from None
        if not name or not tab:
            raise InputError(f"{place}: found no id followed by a tab; wanted id, tab, text")
        yield place, name, text


def _trec(stream: ByteStream, field: str | None) -> Iterator[tuple[str, object, str]]:
    topics = list(trec_topics(stream))
    if not topics:
        raise InputError(f"{stream.name}: found no <top> or <topic>; wanted TREC topics, or a .tsv or .jsonl file")
    for place, own in topics:
        number = next((own[name] for name in NUMBERS if own.get(name)), "")
        chosen = own.get(field, "") if field else next((own[name] for name in (*FIELDS, "") if own.get(name)), "")
        if not number or not chosen:
            missing = "number" if not number else (field or " or ".join(FIELDS[:3]))
            there = ", ".join(name for name in own if name) or "none"
            raise InputError(f"{place}: a topic without {missing}; found the fields {there:.100}")
        yield place, number, chosen
