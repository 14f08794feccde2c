"""Which is the best row of each group? Passages of a document, or documents that share a value, give one hit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.passages import END, NUMBER, START, without_reserved
from lsr.errors import InputError
from lsr.index import Generation, TopK

MORE = 4  # rows that are asked for, for each group that is wanted
GROUPED = ("keyword", "integer", "boolean", "datetime")  # types of fields that group documents

Groups = Callable[[list[int]], list[Hashable]]


class Passage(NamedTuple):
    """A part of a document's text that was found: characters [start, end) of it, and the score.

    Attributes:
        row: its place in the index.
        number: from 1, in order of the text.
    """

    row: int
    number: int
    start: int
    end: int
    score: float


def groups_of(generation: Generation, field: str | None) -> Groups | None:
    """What each row belongs to: its document's value of ``field``, or its document; None where rows stand alone.

    Raises:
        InputError: an unknown field, or one of many values.
    """
    if field is None:
        return (lambda rows: [*map(generation.document_id, rows)]) if generation.has_passages else None
    kind = generation.fields.get(field)
    if kind not in GROUPED:
        fields = without_reserved(generation.fields)
        known = ", ".join(sorted(name for name, own in fields.items() if own in GROUPED)) or "none"
        found = "an unknown field" if kind is None else f"of type {kind}"
        raise InputError(f"group_by {field!r:.60}, {found}: wanted one of {known:.500}")

    def groups(rows: list[int]) -> list[Hashable]:
        values = generation.values_of(field, np.array(rows, np.int64))
        return [
            (generation.document_id(row), None) if value is None else value
            for row, value in zip(rows, values, strict=True)
        ]

    return groups


def best_of_groups(find: Callable[[int], TopK], wanted: int, groups: Groups, rows: int) -> tuple[TopK, TopK]:
    """The best row of each group, in the order in which rows are found, for each of Q queries.

    Args:
        find: the best so many rows; asked for more until there are enough groups.
        wanted: groups for each query.
        groups: what rows belong to.
        rows: that there are.

    Returns:
        Rows and scores [Q, wanted] or fewer columns, where places without a group hold row -1; and all that was found.
    """
    known: dict[int, Hashable] = {}
    k = MORE * wanted
    while True:
        found = find(min(k, rows))
        new = sorted({*found.rows[found.rows >= 0].tolist()} - known.keys())
        known.update(zip(new, groups(new), strict=True))
        firsts = [_firsts(own, known) for own in found.rows.tolist()]
        full = k >= rows or all(len(at) >= wanted or -1 in own for at, own in zip(firsts, found.rows, strict=True))
        if full or found.rows.shape[1] < min(k, rows):
            return _taken(found, [at[:wanted] for at in firsts]), found
        k *= MORE


def passages_at(generation: Generation, found: TopK) -> dict[str, list[Passage]]:
    """The passages among what was found for one query, by document, best first."""
    pairs = [pair for pair in zip(found.rows[0].tolist(), found.scores[0].tolist(), strict=True) if pair[0] >= 0]
    rows = np.array([row for row, _ in pairs], np.int64)
    places = zip(*(generation.values_of(name, rows) for name in (NUMBER, START, END)), strict=True)
    passages: dict[str, list[Passage]] = {}
    for (row, score), (number, start, end) in zip(pairs, places, strict=True):
        passages.setdefault(generation.document_id(row), []).append(Passage(row, number, start, end, score))
    return {name: sorted(own, key=lambda passage: -passage.score) for name, own in passages.items()}


def _firsts(rows: Sequence[int], known: dict[int, Hashable]) -> list[int]:
    """Places of the first row of each group."""
    places: dict[Hashable, int] = {}
    for at, row in enumerate(rows):
        if row >= 0:
            places.setdefault(known[row], at)
    return [*places.values()]


def _taken(found: TopK, places: list[list[int]]) -> TopK:
    width = max(map(len, places), default=0)
    rows: NDArray[np.int64] = np.full((len(places), width), -1, np.int64)
    scores = np.zeros((len(places), width), np.float32)
    for query, at in enumerate(places):
        rows[query, : len(at)], scores[query, : len(at)] = found.rows[query, at], found.scores[query, at]
    return TopK(rows, scores)
