"""Which part of a text shows best why it was found?"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lsr.encoders import Span

WORDS = 32  # length of a snippet
SMALLEST_SHARE = 0.05  # of the score; words that matter less are not marked
WORD = re.compile(r"\w+")


class Snippet(NamedTuple):
    """A part of a text and the character ranges in it of the words that matched."""

    text: str
    marks: list[tuple[int, int]]

    def marked(self, before: str, after: str) -> str:
        """The snippet with each matched word between ``before`` and ``after``."""
        parts, at = [], 0
        for start, end in self.marks:
            parts += [self.text[at:start], before, self.text[start:end], after]
            at = end
        return "".join([*parts, self.text[at:]])


def snippet(text: str, spans: Sequence[Span], shares: Mapping[int, float]) -> Snippet:
    """The stretch of about 32 words whose distinct matched terms add most to the score; the first of equals.

    Args:
        text: of the document.
        spans: where terms stand in it.
        shares: by term id, what each adds to the score.
    """
    floor = SMALLEST_SHARE * sum(shares.values())
    matched = [span for span in spans if shares.get(span.term, 0) > floor]
    words = [match.span() for match in WORD.finditer(text)]
    start, end = _window(words, matched, shares)
    lead, tail = "… " if start > 0 else "", " …" if end < len(text.rstrip()) else ""
    marks = _whole_words(words, matched, start, end)
    offset = len(lead) - start
    return Snippet(lead + text[start:end] + tail, [(a + offset, b + offset) for a, b in marks])


def _window(words: Sequence[tuple[int, int]], matched: Sequence[Span], shares: Mapping[int, float]) -> tuple[int, int]:
    """Characters of the best stretch; a stretch starts at most a few words before a match."""
    if len(words) <= WORDS:
        return 0, words[-1][1] if words else 0
    starts = [start for start, _ in words]
    best, best_value = 0, -1.0
    for first in _candidates(starts, matched):
        begin, end = words[first][0], words[min(first + WORDS, len(words)) - 1][1]
        value = sum(shares[term] for term in {s.term for s in matched if begin <= s.start and s.end <= end})
        if value > best_value:
            best, best_value = first, value
    return (words[best][0] if best else 0), words[min(best + WORDS, len(words)) - 1][1]


def _candidates(starts: Sequence[int], matched: Sequence[Span]) -> list[int]:
    """Numbers of the words at which a stretch is worth trying, ascending."""
    latest = max(0, len(starts) - WORDS)
    return sorted({0} | {min(latest, max(0, bisect_right(starts, span.start) - 6)) for span in matched})


def _whole_words(
    words: Sequence[tuple[int, int]], matched: Sequence[Span], start: int, end: int
) -> list[tuple[int, int]]:
    """Ranges of the words inside start:end that hold a matched span."""
    hit = {position for span in matched for position in range(span.start, span.end)}
    return [(a, b) for a, b in words if start <= a and b <= end and any(i in hit for i in range(a, b))]
