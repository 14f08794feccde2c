"""How does a generation become searchable? Segments are opened, batches indexed; what is open already is used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, StorageError, VectorError
from lsr.index.engines import IndexSettings
from lsr.index.live.contents import Contents
from lsr.index.live.generation import Generation
from lsr.index.live.part import Part
from lsr.index.live.recent import RecentSegment, joined
from lsr.index.storage.catalogue import WAY_OUT
from lsr.index.storage.records import Batch
from lsr.index.storage.segment import Segment


def open_generation(contents: Contents, number: int | None = None, before: Generation | None = None) -> Generation:
    """A generation, open for search.

    Args:
        contents: of the collection.
        number: of the generation; None takes the newest.
        before: an earlier one, whose segments are used again.

    Raises:
        InputError: no such generation.
        StorageError: a file is missing or damaged.
    """
    state, settings = contents.state, contents.settings()
    wanted = state.newest if number is None else number
    if wanted not in state.generations:
        first, last = min(state.generations), state.newest
        raise InputError(f"no generation {wanted}: {contents.folder} keeps {first:,} to {last:,} (lsr history)")
    if before is not None and before.settings != settings:
        before = None
    segments: list[Segment | RecentSegment] = [
        *_segments(contents, settings, before),
        *_recent(contents, settings, before, wanted),
    ]
    known = {id(part.segment): part for part in before.parts} if before and before.number <= wanted else {}
    since = before.number if before else 0
    parts = [_part(contents, segment, wanted, since, known.get(id(segment))) for segment in segments]
    return Generation(contents.folder, contents.summary(wanted), parts, settings)


def _segments(contents: Contents, settings: IndexSettings, before: Generation | None) -> list[Segment]:
    open_ = [part.segment for part in before.parts] if before else []
    known = {segment.name: segment for segment in open_ if isinstance(segment, Segment)}
    found = []
    for name, info in contents.state.segments.items():
        same = known.get(name)
        found.append(same if same and same.info == info else Segment(contents.folder, name, info, settings))
    return found


def _recent(
    contents: Contents, settings: IndexSettings, before: Generation | None, wanted: int
) -> tuple[RecentSegment, ...]:
    """The batches up to a generation; those that are indexed already are used as they are."""
    batches = [(number, batch) for number, batch in contents.state.batches.items() if number <= wanted]
    open_ = [part.segment for part in before.parts if isinstance(part.segment, RecentSegment)] if before else []
    indexed = [number for segment in open_ for number, _ in segment.batches]
    if indexed != [number for number, batch in batches[: len(indexed)]]:
        open_, indexed = [], []
    try:
        return joined(open_, [one for one in batches if one[0] not in set(indexed)], settings)
    except (VectorError, ValueError) as error:
        raise StorageError(f"{contents.path} is damaged ({error}): {WAY_OUT}") from None


def _part(contents: Contents, segment: Segment | RecentSegment, wanted: int, since: int, known: Part | None) -> Part:
    """A segment as it is at a generation; what is ``known`` of it at an earlier one is changed."""
    types = contents.state.types
    alive: NDArray[np.bool_] | None = segment.born <= wanted if known is None else known.alive
    since = -1 if known is None else since
    start = 0
    for name, size in segment.pieces:
        alive = _without(alive, contents.deletions.get(name, ()), (start, size, len(segment)), since, wanted, contents)
        start += size
    patches = contents.patches(segment.pieces, since, wanted)
    return Part(segment, alive, types, patches) if known is None else known.changed(alive, types, patches)


def _without(
    alive: NDArray[np.bool_] | None,
    deletions: Sequence[tuple[int, NDArray[np.uint32]]],
    place: tuple[int, int, int],
    since: int,
    wanted: int,
    contents: Contents,
) -> NDArray[np.bool_] | None:
    """``alive`` without the rows of a piece (its start, size, rows in all) that were deleted between generations."""
    start, size, total = place
    new = [rows for number, rows in deletions if since < number <= wanted]
    if not new:
        return alive
    gone = np.concatenate(new)
    if gone.size and int(gone.max()) >= size:
        raise StorageError(f"{contents.path} is damaged (it deletes rows that are not there): {WAY_OUT}")
    kept = np.ones(total, np.bool_) if alive is None else alive.copy()
    kept[gone.astype(np.int64) + start] = False
    return kept


def batches_of(parts: Sequence[Any]) -> list[tuple[int, Batch]]:
    """The batches of all segments in memory among ``parts``."""
    return [one for part in parts if isinstance(part.segment, RecentSegment) for one in part.segment.batches]
