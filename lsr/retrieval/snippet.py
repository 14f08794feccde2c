"""Which part of a text shows best why it was found?"""

from __future__ import annotations

import html
import re
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from lsr.encoders import Span

WORDS = 32  # length of a snippet
CHARACTERS = 400  # at most, where words are long or a script has no spaces
LONG_WORD = 40  # characters; of longer ones only the match itself is marked
BEFORE = 5  # words that are shown before the first match
SMALLEST_SHARE = 0.05  # of the score; words that matter less are not marked
WORD = re.compile(r"\w+")
CUT, CUT_BEFORE = " …", "… "

Range = tuple[int, int]


class Snippet(NamedTuple):
    """A part of a text and the character ranges in it of the words that matched."""

    text: str
    marks: list[Range]

    def marked(self, before: str, after: str) -> str:
        """The snippet with each matched word between ``before`` and ``after``; for HTML see `html`."""
        return self._joined(before, after, str)

    def html(self, tag: str = "mark") -> str:
        """The snippet as HTML with each matched word in an element ``tag``; the text is escaped."""
        return self._joined(f"<{tag}>", f"</{tag}>", html.escape)

    def _joined(self, before: str, after: str, write: Callable[[str], str]) -> str:
        parts, at = [], 0
        for start, end in self.marks:
            parts += [write(self.text[at:start]), before, write(self.text[start:end]), after]
            at = end
        return "".join([*parts, write(self.text[at:])])


def snippet(text: str, spans: Sequence[Span], shares: Mapping[int, float]) -> Snippet:
    """The stretch of about 32 words whose distinct matched terms add most to the score; the first of equals.

    Takes time in proportion to the text.

    Args:
        text: of the document.
        spans: where terms stand in it, by their starts.
        shares: by term id, what each adds to the score.
    """
    floor = SMALLEST_SHARE * sum(shares.values())
    matched = [span for span in spans if shares.get(span.term, 0) > floor]
    words = _words(text)
    first = _best(words, matched, shares) if len(words) > WORDS else 0
    part = words[first : first + WORDS]
    start = part[0][0] if first else 0
    end = len(text) if first + WORDS >= len(words) else part[-1][1]
    start, end = _bounded(text, start, end, matched)
    lead, tail = CUT_BEFORE if start > 0 else "", CUT if text[end:].strip() else ""
    shown = lead + text[start:end].rstrip() + tail
    offset = len(lead) - start
    return Snippet(shown, [(a + offset, b + offset) for a, b in _whole_words(part, matched, start, end)])


def _words(text: str) -> list[Range]:
    """Places of the words; one longer than a snippet is taken in pieces."""
    found = []
    for match in WORD.finditer(text):
        start, end = match.span()
        found += [(at, min(at + CHARACTERS, end)) for at in range(start, end, CHARACTERS)]
    return found


def _best(words: Sequence[Range], matched: Sequence[Span], shares: Mapping[int, float]) -> int:
    """Number of the word at which the best stretch starts, a few words before a match.

    A window slides over the matches: each enters and leaves once.
    """
    starts = [start for start, _ in words]
    latest = len(words) - WORDS
    candidates = sorted({0} | {min(latest, max(0, bisect_right(starts, s.start) - 1 - BEFORE)) for s in matched})
    inside: Counter[int] = Counter()
    best, best_value, value, entered, left = 0, -1.0, 0.0, 0, 0
    by_end = sorted(matched, key=lambda span: span.end)
    by_start = sorted(matched, key=lambda span: span.start)
    for first in candidates:
        begin, end = words[first][0], words[first + WORDS - 1][1]
        while entered < len(by_end) and by_end[entered].end <= end:
            inside[by_end[entered].term] += 1
            entered += 1
        while left < len(by_start) and by_start[left].start < begin:
            inside[by_start[left].term] -= 1
            left += 1
        value = sum(shares[term] for term, count in inside.items() if count > 0)
        if value > best_value:
            best, best_value = first, value
    return best


def _bounded(text: str, start: int, end: int, matched: Sequence[Span]) -> Range:
    """A stretch of at most `CHARACTERS`, with the first match of it inside."""
    if end - start <= CHARACTERS:
        return start, end
    at = bisect_left([span.start for span in matched], start)
    first = matched[at].start if at < len(matched) and matched[at].start < end else start
    start = max(start, min(first - CHARACTERS // 4, end - CHARACTERS))
    return start, start + CHARACTERS


def _whole_words(words: Sequence[Range], matched: Sequence[Span], start: int, end: int) -> list[Range]:
    """Ranges inside start:end of the words that hold a matched span; of long ones the span alone."""
    found: dict[Range, None] = {}
    starts = [a for a, _ in words]
    for span in matched:
        if start <= span.start < span.end <= end:
            a, b = words[max(0, bisect_right(starts, span.start) - 1)] if words else (span.start, span.end)
            whole = start <= a <= span.start and span.end <= b <= end and b - a <= LONG_WORD
            found[(a, b) if whole else (span.start, span.end)] = None
    return _merged(sorted(found))


def _merged(ranges: Sequence[Range]) -> list[Range]:
    merged: list[Range] = []
    for a, b in ranges:
        if merged and a < merged[-1][1]:
            merged[-1] = merged[-1][0], max(b, merged[-1][1])
        else:
            merged.append((a, b))
    return merged
