"""Which parts of a text weigh more or less than others? Those that come from fields with a weight.

Where a weight is not 1, a document has the reserved field ``text.parts``: for each part where it ends in the text, and
its weight, in order. A part starts where the one before ends. The title is no part, and weighs 1.

Weights are whole multiples of 1/1024, so that sums of counts times weights are exact in float64, in any order.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError

PARTS = "text.parts"
UNIT = 1024
LEAST, MOST = 0.001, 1000
Part = tuple[int, float]  # end and weight


class WeightedText(str):
    """A text for encoders whose parts weigh differently; who knows nothing of parts reads the whole text.

    Attributes:
        parts: each with its weight, in order; at least one.
    """

    __slots__ = ("parts",)
    parts: tuple[tuple[str, float], ...]


class Parts(NamedTuple):
    """The parts of several texts, one after the other.

    Attributes:
        texts: of the parts; the texts as they were given where none is weighted.
        counts: how many parts each text has.
        weights: float64[parts]; None where no text is weighted.
    """

    texts: Sequence[str]
    counts: Sequence[int]
    weights: NDArray[np.float64] | None

    @property
    def rows(self) -> NDArray[np.int64]:
        """The number of the text of each part, int64[parts]."""
        return np.repeat(np.arange(len(self.counts)), self.counts)

    @classmethod
    def of(cls, texts: Sequence[str]) -> Parts:
        """Those of some texts; one without weights is one part."""
        if not any(isinstance(text, WeightedText) for text in texts):
            return cls(texts, [1] * len(texts), None)
        parts = [text.parts if isinstance(text, WeightedText) else ((text, 1.0),) for text in texts]
        flat = [part for own in parts for part in own]
        return cls([text for text, _ in flat], [*map(len, parts)], np.array([weight for _, weight in flat]))


def split_weight(name: str) -> tuple[str, float]:
    """A field and its weight from ``NAME`` or ``NAME^WEIGHT``; what follows the last ``^`` is the weight.

    Raises:
        InputError: no name, or no weight that fits.
    """
    field, caret, written = name.rpartition("^")
    if not caret:
        return name, 1.0
    try:
        weight = float(written)
    except ValueError:
        weight = 0.0
    if not field or not LEAST <= weight <= MOST:
        raise InputError(
            f"text field {name!r:.60}: wanted NAME or NAME^WEIGHT, the weight a number from {LEAST} to {MOST:,}; "
            "a field with ^ in its name is given with a weight, as a^b^1"
        )
    return field, rounded(weight)


def rounded(weight: float) -> float:
    """The nearest multiple of 1/1024."""
    return round(weight * UNIT) / UNIT


def joined(pieces: Sequence[tuple[str, float]]) -> tuple[str, list[Part]]:
    """Pieces of text with their weights as one text, with a blank between; its parts, none where all weigh 1."""
    parts, end = list[Part](), -1
    pieces = [piece for piece in pieces if piece[0]]
    for text, weight in pieces:
        end += 1 + len(text)
        parts.append((end, weight))
    return " ".join(text for text, _ in pieces), _merged(parts) if _matter(parts) else []


def clipped(parts: Sequence[Sequence[Any]], start: int, end: int) -> list[Part]:
    """The parts of the characters [start, end) of a text, as those of a text of its own; none where all weigh 1."""
    starts = [0, *(last for last, _ in parts)]
    inside = [
        (min(last, end) - start, weight)
        for first, (last, weight) in zip(starts, parts, strict=False)
        if first < end and last > start
    ]
    return inside if _matter(inside) else []


def weighted(title: str, text: str, parts: Sequence[Sequence[Any]]) -> WeightedText:
    """Title and text for encoders, by the parts of the text; neighbours of one weight are one part."""
    found = WeightedText(f"{title} {text}".strip() if title else text)
    pieces = [(title, 1.0)] if title else []
    for (start, _), (end, weight) in pairwise([(0, 0.0), *_merged(parts)]):
        if piece := text[start:end].strip():
            with_title = len(pieces) == 1 and title and weight == 1
            pieces = [(f"{title} {piece}", 1.0)] if with_title else [*pieces, (piece, weight)]
    found.parts = tuple(pieces) or (("", 1.0),)
    return found


def checked_parts(parts: object, text: str) -> list[Part]:
    """The parts of ``text`` with their weights rounded.

    Raises:
        InputError: they are none, or not those of the text.
    """
    pairs = parts if isinstance(parts, list | tuple) else []
    found = [(part[0], rounded(part[1])) for part in pairs if _is_part(part)]
    ends = [0, *(end for end, _ in found)]
    if not pairs or len(found) != len(pairs) or ends != sorted({*ends}) or ends[-1] != len(text):
        raise InputError(
            f"the field {PARTS} is {parts!r:.60}: wanted for each part of the text, in order, where it ends and its "
            f"weight, a number from {LEAST} to {MOST:,}; or leave it out"
        )
    return found


def _is_part(part: object) -> bool:
    return (
        isinstance(part, list | tuple)
        and len(part) == 2
        and type(part[0]) is int
        and type(part[1]) in (int, float)
        and LEAST <= part[1] <= MOST
    )


def _merged(parts: Sequence[Sequence[Any]]) -> list[Part]:
    """Parts of which no neighbours have one weight."""
    later = [weight for _, weight in parts[1:]]
    return [(end, weight) for (end, weight), after in zip(parts, [*later, None], strict=True) if weight != after]


def _matter(parts: Sequence[Part]) -> bool:
    return any(weight != 1 for _, weight in parts)
