"""How are the values of a field spread over some documents? Counts of words and truth values, ranges of numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.schema import is_only_stored
from lsr.errors import InputError
from lsr.index.fields.columns import Column, Mask, NumberColumn, WordColumn, WordsColumn, as_time

RANGES = 5


class Range(NamedTuple):
    """Documents with a value from ``low`` to before ``high``; the last range of a field has its largest value too."""

    low: Any
    high: Any
    documents: int


class Facet(NamedTuple):
    """The values of one field over some documents.

    Attributes:
        field: its name.
        kind: its type.
        counts: (word, documents) of the most frequent words, or of true and false; ties by word.
        distinct: different words in all.
        ranges: of numbers and times, each with about as many documents.
        missing: documents without a value.
    """

    field: str
    kind: str
    counts: list[tuple[Any, int]]
    distinct: int
    ranges: list[Range]
    missing: int


def facet(field: str, kind: str, parts: Sequence[tuple[Column | None, Mask]], top: int = 10) -> Facet:
    """Counts over the documents of several segments.

    Args:
        field: its name, for messages.
        kind: its type.
        parts: of each segment the column, or None where no document has the field, and bool[n] of the documents.
        top: words that are listed.

    Raises:
        InputError: a field that is stored only, or ``top`` below 1.
    """
    if is_only_stored(kind):
        raise InputError(f"the field {field!r} is stored only: it has no facets")
    if top < 1:
        raise InputError(f"facets of {top} values: wanted at least 1")
    total = sum(int(mask.sum()) for _, mask in parts)
    there = [(column, mask & column.there) for column, mask in parts if column is not None]
    missing = total - sum(int(mask.sum()) for _, mask in there)
    if kind in ("integer", "float", "datetime"):
        values = [column.values[mask] for column, mask in there if isinstance(column, NumberColumn)]
        return Facet(field, kind, [], 0, _ranges(kind, values), missing)
    counts: Counter[Any] = Counter()
    for column, mask in there:
        counts.update(_counted(column, mask))
    listed = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))[:top]
    return Facet(field, kind, listed, len(counts), [], missing)


def _counted(column: Column, mask: Mask) -> dict[Any, int]:
    if isinstance(column, NumberColumn):
        true = int(column.values[mask].sum())
        return {value: count for value, count in ((True, true), (False, int(mask.sum()) - true)) if count}
    assert isinstance(column, WordColumn | WordsColumn)  # noqa: S101  `facet` refuses the others
    codes = column.codes[mask] if isinstance(column, WordColumn) else _distinct(column, mask)
    counts = np.bincount(codes, minlength=len(column.words))
    return {column.words[code]: int(counts[code]) for code in np.flatnonzero(counts).tolist()}


def _distinct(column: WordsColumn, mask: Mask) -> NDArray[np.int64]:
    """Codes of the documents chosen, each once a document."""
    rows = np.repeat(np.arange(len(column)), np.diff(column.ends))
    kept = mask[rows]
    pairs = np.unique(rows[kept].astype(np.int64) * (len(column.words) + 1) + column.codes[kept])
    return pairs % (len(column.words) + 1)


def _ranges(kind: str, parts: Sequence[NDArray[Any]]) -> list[Range]:
    values = np.sort(np.concatenate(parts)) if parts else np.zeros(0)
    if not values.size:
        return []
    borders = np.unique(values[np.linspace(0, values.size - 1, RANGES + 1).astype(np.int64)])
    if borders.size == 1:
        return [_range(kind, borders[0], borders[0], values.size)]
    places = np.searchsorted(values, borders, side="left")
    places[-1] = values.size
    return [
        _range(kind, low, high, int(after - first))
        for low, high, first, after in zip(borders[:-1], borders[1:], places[:-1], places[1:], strict=True)
    ]


def _range(kind: str, low: Any, high: Any, documents: int) -> Range:
    if kind == "datetime":
        return Range(as_time(int(low)), as_time(int(high)), documents)
    return Range(low.item(), high.item(), documents)
