"""What is a word of a text? Letters and digits with their marks; scripts without spaces give pairs of characters.

A word keeps its combining marks. A run of Han, kana, Hangul, Thai, Lao, Khmer or Myanmar characters becomes overlapping
pairs (as Lucene's CJKAnalyzer has it), and a Han character is also findable alone. Plain ASCII never meets any of this.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

# First and last code points of scripts that put no spaces between words.
UNSPACED = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai and Lao, Myanmar, Khmer
    *((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7FF)),  # Hangul
    *((0x3005, 0x3007), (0x3040, 0x30FF), (0x3100, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF), (0xFF66, 0xFFDC)),
    *((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF)),  # Han
)
HAN = ((0x3005, 0x3007), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
MARKS, PAIRS = 1, 2  # what a text may need beside plain letters
VOICED = "\uff9e\uff9f"  # half-width marks of kana: letters to Unicode
# Stand inside words: joiners of Persian and Indic scripts, the soft hyphen, the word joiner under both of its codes.
JOINERS = "\u200c\u200d\u00ad\u2060\ufeff"
LAST_MARK = 0x1F000  # below it lie all combining marks but variation selectors
# Marks that readers of these scripts leave out: accents of Latin and Greek, vowels of Arabic and Hebrew.
ACCENTS, ARABIC, HEBREW, TATWEEL = (0x0300, 0x036F), (0x064B, 0x065F), (0x0591, 0x05C7), 0x0640
LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h", "ё": "е"}  # noqa: RUF001
)


class Word(NamedTuple):
    """Characters ``start`` to ``end`` of a text, and what is there."""

    start: int
    end: int
    text: str


class Words:
    """Finds the words of texts.

    Args:
        underscores: whether ``_`` is a letter, as in names of programs.
        least: characters of an ASCII word.
    """

    def __init__(self, underscores: bool = False, least: int = 1) -> None:
        self._letter = r"\w" if underscores else r"[^\W_]"
        self._plain, self._letters = (re.compile(f"{self._letter}{{{n},}}") for n in (least, 1))

    def of(self, text: str, document: bool = True) -> list[str]:
        """The words of ``text`` in order, as they are written there.

        Args:
            text: any.
            document: whether Han characters also stand alone, as they do in documents; in queries only lone ones do.
        """
        if text.isascii():
            return self._plain.findall(text)
        needs = max(map(_needs, set(text)))
        if needs == PAIRS:
            return [word.text for word in self.placed(text, document)]
        return (self._marked if needs == MARKS else self._letters).findall(text)

    def placed(self, text: str, document: bool = True) -> Iterator[Word]:
        """The same with their places."""
        if text.isascii():
            yield from (Word(*match.span(), match[0]) for match in self._plain.finditer(text))
            return
        unspaced = _unspaced()
        for match in self._marked.finditer(text):
            if unspaced.search(match[0]):
                yield from _parts(match[0], match.start(), document)
            else:
                yield Word(*match.span(), match[0])

    @cached_property
    def _marked(self) -> re.Pattern[str]:
        return re.compile(f"(?:{self._letter}[{_marks()}]*)+")


def _parts(word: str, start: int, document: bool) -> Iterator[Word]:
    """What is in a word that has characters of scripts without spaces."""
    for run in _runs().finditer(word):
        if is_unspaced(run[0]):
            yield from _pairs(run[0], start + run.start(), document)
        else:
            yield Word(start + run.start(), start + run.end(), run[0])


def is_unspaced(word: str) -> bool:
    """Whether ``word`` is of a script without spaces."""
    return not word.isascii() and _unspaced().match(word) is not None


def plain(word: str) -> str:
    """``word`` in lower case and one normal form, without what readers leave out: accents, vowel points, joiners."""
    word = word.lower()
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFKD", unicodedata.normalize("NFC", word).translate(LETTERS))
    return unicodedata.normalize("NFC", "".join(_kept(parts))).lower()


def _kept(parts: str) -> Iterator[str]:
    accented = False  # whether the letter before is Latin or Greek
    for character in parts:
        code = ord(character)
        if not unicodedata.combining(character):
            accented = code < 0x0400 or 0x1E00 <= code < 0x2000
            if code != TATWEEL and character not in JOINERS:
                yield character
        elif not (accented and ACCENTS[0] <= code <= ACCENTS[1]) and not _is_vowel_point(code):
            yield character


def _is_vowel_point(code: int) -> bool:
    return ARABIC[0] <= code <= ARABIC[1] or HEBREW[0] <= code <= HEBREW[1] or code == 0x0670


def _pairs(run: str, start: int, document: bool) -> Iterator[Word]:
    """Overlapping pairs of characters, each with its marks; a lone one as it is."""
    found = [match.span() for match in _characters().finditer(run)]
    alone = len(found) == 1
    for i, (first, end) in enumerate(found):
        if alone or (document and _is_han(run[first])):
            yield Word(start + first, start + end, run[first:end])
        if i + 1 < len(found):
            yield Word(start + first, start + found[i + 1][1], run[first : found[i + 1][1]])


def _is_han(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in HAN)


@lru_cache(maxsize=1)
def _marks() -> str:
    """Character class of what belongs to the letter before it: made once, when a text first needs it."""
    codes = [code for code in range(0x300, LAST_MARK) if unicodedata.category(chr(code))[0] == "M"]
    return _ranges([*codes, *map(ord, VOICED + JOINERS)])


@lru_cache(maxsize=1)
def _scripts() -> str:
    """Character class of letters and digits of scripts without spaces."""
    large = [(first, last) for first, last in UNSPACED if last - first > 5000]
    small = [code for first, last in UNSPACED if last - first <= 5000 for code in range(first, last + 1)]
    letters = [code for code in small if chr(code).isalnum() and chr(code) not in VOICED]
    return _ranges(letters) + "".join(f"{chr(first)}-{chr(last)}" for first, last in large)


def _ranges(codes: Sequence[int]) -> str:
    parts, ordered = [], sorted(codes)
    start = before = ordered[0]
    for code in [*ordered[1:], -1]:
        if code != before + 1:
            parts.append(f"{chr(start)}-{chr(before)}")
            start = code
        before = code
    return "".join(parts)


@lru_cache(maxsize=1)
def _unspaced() -> re.Pattern[str]:
    return re.compile(f"[{_scripts()}]")


@lru_cache(maxsize=1 << 16)
def _needs(character: str) -> int:
    """What a text with ``character`` needs: `PAIRS`, `MARKS`, or nothing special."""
    return PAIRS if _unspaced().match(character) else MARKS if _mark().match(character) else 0


@lru_cache(maxsize=1)
def _mark() -> re.Pattern[str]:
    return re.compile(f"[{_marks()}]")


@lru_cache(maxsize=1)
def _runs() -> re.Pattern[str]:
    """A word in runs of scripts with and without spaces."""
    scripts, marks = _scripts(), _marks()
    return re.compile(f"(?:[{scripts}][{marks}]*)+|(?:[^{scripts}{marks}][{marks}]*)+|[{marks}]+")


@lru_cache(maxsize=1)
def _characters() -> re.Pattern[str]:
    return re.compile(f"[{_scripts()}][{_marks()}]*")
