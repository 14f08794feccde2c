"""How does a network read a text that is longer than it reads at once? In windows, which overlap."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from lsr.encoders.side import Side
from lsr.encoders.tokens.stem_tokens import view_of
from lsr.encoders.tokens.word_pieces import Tokens
from lsr.errors import EncoderError

ENDLESS = 1 << 40  # tokens, more than any text has
SHARE = 8  # a window repeats one token in so many of the one before


class Windows(NamedTuple):
    """Some texts as a network reads them.

    Attributes:
        tokens: of every window, those of one text together and in order.
        counts: windows of each text, 1 or more.
        truncated: texts of which the end is in no window.
    """

    tokens: list[Tokens]
    counts: list[int]
    truncated: int


class WindowView:
    """Turns texts into windows of at most ``side.max_length`` tokens, or into their first ones.

    Args:
        tokenizer: a ``tokenizer.json``; a list of stems lies beside it where ``side`` wants stems.
        side: view, prompt, length, and what becomes of long texts.
        truncate: whatever ``side`` says.
    """

    def __init__(self, tokenizer: Path, side: Side, truncate: bool = False) -> None:
        self._whole, self._side = side.long_texts == "windows" and not truncate, side
        self._view = view_of(tokenizer, whole(side) if self._whole else side)

    def __call__(self, texts: Sequence[str]) -> Windows:
        """The windows of every text, in order.

        Raises:
            EncoderError: a long text, and a prompt that fills a window by itself.
        """
        found = self._view(texts)
        most = self._side.max_length
        if all(len(tokens.ids) <= most for tokens in found):
            return Windows(found, [1] * len(found), sum(tokens.truncated for tokens in found))
        parts = [
            [tokens] if len(tokens.ids) <= most else list(split(tokens, text, most))
            for tokens, text in zip(found, texts, strict=True)
        ]
        return Windows([window for own in parts for window in own], [len(own) for own in parts], 0)


def whole(side: Side) -> Side:
    """``side`` with room for all of every text, unless it says that long ones are truncated."""
    return msgspec.structs.replace(side, max_length=ENDLESS) if side.long_texts == "windows" else side


def split(tokens: Tokens, text: str, length: int) -> Iterator[Tokens]:
    """Windows of at most ``length`` tokens of ``text``, whose ``tokens`` are more.

    All begin with the special tokens and the prompt, and end with the special tokens. They are cut between words,
    where there is space, and repeat an eighth of a window; places stay those in the whole text.

    Raises:
        EncoderError: special tokens and prompt leave no room.
    """
    if echoed := tokens.pooled_from:
        once = Tokens(tokens.ids[echoed:], 0, tokens.literal[echoed:], tokens.offsets[echoed:], False)
        for window in split(once, text, (length - 1) // 2):
            yield _twice(window, tokens.ids[echoed - 1])
        return
    inside = [at for at, (_, end) in enumerate(tokens.offsets) if end > 0]
    first, last = inside[0], inside[-1] + 1
    room = length - first - (len(tokens.ids) - last)
    if room < 1:
        raise EncoderError(
            f"special tokens and prompt take {length - room:,} word-pieces and a window holds {length:,}: declare a "
            "shorter prompt, or a larger max_length"
        )
    starts = [at for at in range(first, last) if _starts_word(text, tokens.offsets[at][0])]
    for start, stop in _places(starts, first, last, room):
        yield _window(tokens, first, last, start, stop)


def joined(windows: Sequence[Tokens]) -> Tokens:
    """The tokens of all windows, one after the other."""
    terms = None if windows[0].terms is None else [term for window in windows for term in window.terms or ()]
    return Tokens(
        [token for window in windows for token in window.ids],
        0,
        [literal for window in windows for literal in window.literal],
        [place for window in windows for place in window.offsets],
        any(window.truncated for window in windows),
        terms,
    )


def _starts_word(text: str, at: int) -> bool:
    """Whether there is space before the character ``at``; some tokens begin with it."""
    return at == 0 or text[at - 1].isspace() or text[at : at + 1].isspace()


def _places(starts: list[int], first: int, last: int, room: int) -> Iterator[tuple[int, int]]:
    """First token of each window, and the one after its last; ``starts`` are those that a window may begin with."""
    start = first
    while last - start > room:
        stop = start + room
        at = bisect_right(starts, stop)
        if at and starts[at - 1] > start + room // 2:
            stop = starts[at - 1]
        yield start, stop
        start = stop - room // SHARE
        at = bisect_left(starts, start)
        if at < len(starts) and starts[at] <= stop:
            start = starts[at]
    yield start, last


def _window(tokens: Tokens, first: int, last: int, start: int, stop: int) -> Tokens:
    kept = [*range(first), *range(start, stop), *range(last, len(tokens.ids))]
    ids, literal, offsets = ([items[at] for at in kept] for items in (tokens.ids, tokens.literal, tokens.offsets))
    return Tokens(ids, 0, literal, offsets, False, tokens.terms and [tokens.terms[at] for at in kept])


def _twice(window: Tokens, separator: int) -> Tokens:
    size = len(window.ids)
    ids, offsets = [*window.ids, separator, *window.ids], [*window.offsets, (0, 0), *window.offsets]
    return Tokens(ids, size + 1, [False] * (size + 1) + window.literal, offsets, False)
