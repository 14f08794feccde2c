"""Which passages does a long document have? Runs of whole sentences of about so many words, which overlap.

Passages meet or overlap, so that the text can be put together again from them: white space after a sentence belongs
to its passage.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.document import NO_FIELDS, Document
from lsr.corpus.text_parts import PARTS, clipped
from lsr.errors import InputError

NUMBER, START, END = PASSAGE_FIELDS = "passage.number", "passage.start", "passage.end"
RESERVED = frozenset({*PASSAGE_FIELDS, PARTS})  # fields that say how a document is stored
SHARE = 5  # a passage repeats one word in so many of the one before

# Thai and Lao, Myanmar, Khmer, kana, Han: no spaces between words, which have about two characters.
THAI_TO_KHMER = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"
UNSPACED = rf"{THAI_TO_KHMER}\u3005-\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
THAI_TO_KHMER_MARKS = r"\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u102b-\u103e\u17b4-\u17d3"
MARKS = rf"{THAI_TO_KHMER_MARKS}\u3099\u309a\uff9e\uff9f\ufe00-\ufe0f"
LONGEST = 200  # characters of a word; what is longer is no language and counts as several
SPACED_WORD = re.compile(rf"\S{{1,{LONGEST}}}\s*+")
WORD = re.compile(rf"(?:(?:[{UNSPACED}][{MARKS}]*+){{1,2}}|[^\s{UNSPACED}]{{1,{LONGEST}}})\s*+")
IS_UNSPACED = re.compile(f"[{UNSPACED}]")

# A full stop after an initial or one of these ends no sentence, nor does one before a small letter.
SHORTENED = r"(?<!\b[A-Z]\.)(?<!\b(?:Mr|Dr|St|vs|No|al|cf)\.)(?<!\b(?:Mrs|Fig|e\.g|i\.e)\.)(?<!\bProf\.)"
CLOSING = r"[\"'”’»)\]」』）]*+"  # noqa: RUF001
ENDS = (rf"[.!?]++{SHORTENED}{CLOSING}\s++(?![a-z])", r"\n[^\S\n]*+\n\s*+", r"\f\s*+")
# Outside ASCII: of Indic scripts, Arabic and Urdu; of scripts that need no space after it.
OTHER_ENDS = (
    rf"[\u2026\u0964\u0965\u061f\u06d4]++{CLOSING}\s++",
    rf"[\u3002\uff01\uff1f\uff61\u17d4\u104b]++{CLOSING}\s*+",
)
# One by one: a pattern with | in it looks at every character far longer.
ASCII_SENTENCES = tuple(map(re.compile, ENDS))
SENTENCES = tuple(map(re.compile, ENDS + OTHER_ENDS))
LINES = (re.compile(r"\n\s*+"),)


def passages_of(text: str, words: int, overlap: int | None = None) -> list[tuple[int, int]]:
    """Characters [start, end) of each passage of ``text``, in order; together they are all of it.

    A passage ends where a sentence does, within ``words`` words: as late as possible. A sentence longer than that is
    cut at ends of lines, or else of words; two characters of a script without spaces count as a word.

    Args:
        text: any; an empty one is one empty passage.
        words: of a passage, at most.
        overlap: words, at most, that a passage repeats of the one before; it starts with a sentence where one does
            there, and repeats less where it would cut the next sentence off. None means a fifth of ``words``.

    Raises:
        InputError: no words, or an overlap that is no part of them.
    """
    overlap = words // SHARE if overlap is None else overlap
    if words < 1 or not 0 <= overlap < words:
        raise InputError(
            f"found passages of {words:,} words that overlap by {overlap:,}: wanted 1 word or more, and an overlap of "
            "0 or more and less than that"
        )
    ascii_only = text.isascii()
    word = WORD if not ascii_only and IS_UNSPACED.search(text) else SPACED_WORD
    places = np.append(0, _ends(text, (word,)))  # of borders between words
    if places.size <= words + 1:
        return [(0, len(text))]
    sentences, lines = (
        np.searchsorted(places, _ends(text, patterns)).tolist()
        for patterns in (ASCII_SENTENCES if ascii_only else SENTENCES, LINES)
    )
    last = places.size - 1
    runs = np.array(list(_runs(_Borders(last, [*sentences, last], [*lines, last]), words, overlap)))
    return [(start, end) for start, end in places[runs].tolist()]


def as_passages(document: Document, words: int, overlap: int | None = None) -> list[Document]:
    """A document for each passage of ``document``: its id, title and fields, and the passage as text.

    Three more fields say which passage that is: ``passage.number`` from 1, and ``passage.start`` and ``passage.end``,
    characters of the whole text. `whole` undoes it.

    Args:
        document: with a text of any length.
        words: as `passages_of` takes them.
        overlap: likewise.

    Raises:
        InputError: a document that is a passage, or numbers that `passages_of` refuses.
    """
    if not document.fields.keys().isdisjoint(PASSAGE_FIELDS):
        raise InputError(f"document {document.id!r:.80} has fields of a passage: wanted a whole document")
    places = passages_of(document.text, words, overlap)
    return [
        document._replace(text=document.text[start:end], fields=_fields_of(document, number, start, end))
        for number, (start, end) in enumerate(places, 1)
    ]


def _fields_of(document: Document, number: int, start: int, end: int) -> Mapping[str, Any]:
    """The fields of a passage."""
    fields = {**document.fields, NUMBER: number, START: start, END: end}
    if parts := fields.pop(PARTS, None):
        parts = clipped(parts, start, end)
    return {**fields, PARTS: parts} if parts else fields


def whole(passages: Sequence[Document]) -> Document:
    """The document that `as_passages` took apart, from all its passages in any order.

    Raises:
        InputError: none, passages of several documents, something that is no passage, or one that is missing.
    """
    if not passages:
        raise InputError("found no passages, wanted all of a document")
    numbered = sorted(map(_numbered, passages), key=lambda pair: pair[0])
    text = ""
    for at, (place, passage) in enumerate(numbered, 1):
        if passage.id != passages[0].id:
            raise InputError(
                f"found passages of {passages[0].id!r:.80} and {passage.id!r:.80}: wanted those of one document"
            )
        if place.number != at or place.start > len(text) or place.end - place.start != len(passage.text):
            raise InputError(f"document {passage.id!r:.80}: passage {at} is missing or changed; wanted all as made")
        text += passage.text[len(text) - place.start :]
    first = numbered[0][1]
    return first._replace(text=text, fields=without_reserved(first.fields))


def without_reserved(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """Fields as their source gave them, without those that say how the document is stored."""
    if fields.keys().isdisjoint(RESERVED):
        return fields
    return {name: value for name, value in fields.items() if name not in RESERVED} or NO_FIELDS


class _Place(NamedTuple):
    number: int
    start: int
    end: int


def _numbered(passage: Document) -> tuple[_Place, Document]:
    try:
        return _Place(*(int(passage.fields[name]) for name in (NUMBER, START, END))), passage
    except (KeyError, TypeError, ValueError):
        raise InputError(
            f"document {passage.id!r:.80} is no passage: wanted whole numbers in {NUMBER}, {START} and {END}"
        ) from None


class _Borders(NamedTuple):
    """Places between the words of a text, by the number of words before: the last, ends of sentences and of lines."""

    last: int
    sentences: list[int]
    lines: list[int]

    def end(self, after: int, most: int) -> int:
        """The best end later than ``after`` and not beyond ``most``: of a sentence, a line, or ``most`` itself."""
        for borders in (self.sentences, self.lines):
            at = bisect_right(borders, most)
            if at and borders[at - 1] > after:
                return borders[at - 1]
        return most

    def reach(self, after: int, most: int) -> int:
        """Where the sentence or line after ``after`` ends, or the next word where that is beyond ``most``."""
        for borders in (self.sentences, self.lines):
            at = bisect_right(borders, after)
            if at < len(borders) and borders[at] <= most:
                return borders[at]
        return after + 1

    def start(self, least: int, end: int) -> int:
        """The first start of a sentence from ``least`` to ``end``; where none is before ``end``, ``least``."""
        at = bisect_left(self.sentences, least)
        return self.sentences[at] if at < len(self.sentences) and self.sentences[at] < end else least


def _runs(borders: _Borders, words: int, overlap: int) -> Iterator[tuple[int, int]]:
    """First word of each passage, and the one after its last."""
    first = end = 0
    while True:
        end = borders.last if borders.last - first <= words else borders.end(end, first + words)
        yield first, end
        if end == borders.last:
            return
        least = max(end - overlap, borders.reach(end, end + words) - words, 0)
        first = max(borders.start(min(least, end), end), first + 1)


def _ends(text: str, patterns: Sequence[re.Pattern[str]]) -> NDArray[np.int64]:
    """Where the matches of ``patterns`` end, int64[N] ascending."""
    found = [np.fromiter(map(re.Match.end, pattern.finditer(text)), np.int64) for pattern in patterns]
    return found[0] if len(found) == 1 else np.sort(np.concatenate(found))
