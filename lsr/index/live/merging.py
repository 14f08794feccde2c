"""How do segments and the newest documents become one segment? Rows that nobody can reach any more stay behind.

A row can be reached while a generation that is kept holds it: those up to the *horizon* are forgotten. What came after
the horizon (deletions, new values of fields) is not written into the segment but carried over to its new rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.corpus.text_parts import PARTS
from lsr.index.fields.changes import joined, taken
from lsr.index.fields.columns import Column
from lsr.index.live.contents import Contents
from lsr.index.live.part import Part
from lsr.index.live.recent import RecentSegment
from lsr.index.storage.catalogue import Key
from lsr.index.storage.records import Deletions, SegmentInfo, Updates, batch_name, rows_of
from lsr.index.storage.segment import Segment, write_segment
from lsr.sparse import SparseMatrix, concatenate

AT_ONCE = 1024  # documents that are read and written together
GONE = -1
Weights = Callable[[Sequence[Document], SparseMatrix], SparseMatrix]


class Plan(NamedTuple):
    """What becomes one segment.

    Attributes:
        names: of segments and batches, in order of rows.
        horizon: the generation up to which nothing can be reached any more but what lives on.
        target: name of the new segment.
    """

    names: list[str]
    horizon: int
    target: str


def plan_of(contents: Contents, segments: Sequence[str], last: int, horizon: int, target: str) -> Plan:
    """A plan that merges some segments with the batches up to the generation ``last``."""
    batches = [batch_name(number) for number in contents.state.batches if number <= last]
    return Plan([*segments, *batches], min(horizon, contents.state.newest), target)


def kept_rows(contents: Contents, plan: Plan) -> dict[str, NDArray[np.int64]]:
    """By name of a segment or batch its rows that the horizon or a later generation holds; int64[m], rising."""
    found = {}
    for name, size in _sizes(contents, plan).items():
        kept = np.ones(size, np.bool_)
        for number, rows in contents.deletions.get(name, ()):
            if number <= plan.horizon:
                kept[rows] = False
        found[name] = np.flatnonzero(kept)
    return found


def write_merged(contents: Contents, plan: Plan, weights: Weights | None = None) -> SegmentInfo:
    """Write the segment of a plan, flushed; nothing names it yet.

    Args:
        contents: of the collection.
        plan: what is merged.
        weights: makes vectors of documents anew; None keeps them.

    Raises:
        StorageError: a source is damaged.
        OSError: the disk is full, or another fault of it.
    """
    sources, kept = _sources(contents, plan), kept_rows(contents, plan)
    rows = [_rows_of_source(source.segment.pieces, kept) for source in sources]
    born = [np.maximum(part.segment.born[own], plan.horizon) for part, own in zip(sources, rows, strict=True)]
    vectors = _vectors(sources, rows, contents.dim)
    if weights:
        vectors = _reweighed(vectors, _documents(sources, rows, (PARTS,)), weights)
    return write_segment(
        contents.folder / plan.target,
        vectors,
        _documents(sources, rows),
        _columns(sources, rows, contents.state.types),
        np.concatenate([np.zeros(0, np.uint32), *born]).astype(np.uint32),
        contents.settings(),
    )


def _sizes(contents: Contents, plan: Plan) -> dict[str, int]:
    """Rows of every segment and batch of a plan, in order."""
    state = contents.state
    batches = {batch_name(number): len(batch.ids) for number, batch in state.batches.items()}
    return {name: state.segments[name].documents if name in state.segments else batches[name] for name in plan.names}


def _sources(contents: Contents, plan: Plan) -> list[Part]:
    """What is merged, with the values that fields had at the horizon."""
    state, settings = contents.state, contents.settings()
    found: list[Segment | RecentSegment] = [
        Segment(contents.folder, name, state.segments[name], settings, searchable=False)
        for name in plan.names
        if name in state.segments
    ]
    batches = [(number, batch) for number, batch in state.batches.items() if batch_name(number) in plan.names]
    if batches:
        found.append(RecentSegment(batches, settings))
    return [Part(one, None, state.types, contents.patches(one.pieces, 0, plan.horizon)) for one in found]


def _rows_of_source(pieces: Sequence[tuple[str, int]], kept: Mapping[str, NDArray[np.int64]]) -> NDArray[np.int64]:
    starts = np.cumsum([0, *(size for _, size in pieces)]).tolist()
    return np.concatenate([kept[name] + start for (name, _), start in zip(pieces, starts, strict=False)])


def carried(contents: Contents, plan: Plan) -> dict[Key, msgspec.Struct | None]:
    """Records of deletions and updates with the rows of the new segment in place of old ones; None for none left."""
    places = _places(contents, plan)
    changed: dict[Key, msgspec.Struct | None] = {}
    for number, deletions in contents.state.deletions.items():
        if deletions.parts.keys() & places.keys():
            changed[Key("deletions", number)] = _moved_deletions(deletions.parts, places, plan.target)
    for number, updates in contents.state.updates.items():
        if updates.parts.keys() & places.keys():
            later = number > plan.horizon
            changed[Key("updates", number)] = _moved_updates(updates.parts, places, plan.target, later)
    return changed


def _places(contents: Contents, plan: Plan) -> dict[str, NDArray[np.int64]]:
    """By name of a segment or batch the new row of each of its rows, -1 for those that stay behind."""
    places, first, sizes = {}, 0, _sizes(contents, plan)
    for name, rows in kept_rows(contents, plan).items():
        places[name] = np.full(sizes[name], GONE, np.int64)
        places[name][rows] = np.arange(first, first + rows.size)
        first += rows.size
    return places


def _moved_deletions(
    parts: Mapping[str, bytes], places: Mapping[str, NDArray[np.int64]], target: str
) -> Deletions | None:
    left = {name: rows for name, rows in parts.items() if name not in places}
    moved = [places[name][rows_of(rows)] for name, rows in parts.items() if name in places]
    new = np.concatenate(moved)
    new = new[new != GONE]
    if new.size:
        left[target] = new.astype(np.uint32).tobytes()
    return Deletions(left) if left else None


def _moved_updates(
    parts: Mapping[str, Any], places: Mapping[str, NDArray[np.int64]], target: str, later: bool
) -> Updates | None:
    """Updates for the new rows; those up to the horizon are in the new segment's columns."""
    left = {name: fields for name, fields in parts.items() if name not in places}
    moved: dict[str, tuple[list[int], list[Any]]] = {}
    for name, fields in parts.items():
        for field, (rows, values) in fields.items() if name in places and later else ():
            new = places[name][rows_of(rows)].tolist()
            numbers, own = moved.setdefault(field, ([], []))
            numbers += [row for row in new if row != GONE]
            own += [value for row, value in zip(new, values, strict=True) if row != GONE]
    if moved:
        left[target] = {field: (np.array(n, np.uint32).tobytes(), values) for field, (n, values) in moved.items()}
    return Updates(left) if left else None


def _vectors(parts: Sequence[Part], rows: Sequence[NDArray[np.int64]], dim: int) -> SparseMatrix:
    found = [part.segment.vectors.taken(own) for part, own in zip(parts, rows, strict=True)]
    empty = SparseMatrix.from_dicts([], dim)
    return concatenate([empty, *(_as_values(matrix) for matrix in found)])


def _reweighed(vectors: SparseMatrix, documents: Iterator[list[Document]], weights: Weights) -> SparseMatrix:
    """Vectors made anew, some documents at a time."""
    found, first = [SparseMatrix.from_dicts([], vectors.dim)], 0
    for batch in documents:
        found.append(_as_values(weights(batch, vectors.slice(first, first + len(batch)))))
        first += len(batch)
    return concatenate(found)


def _as_values(matrix: SparseMatrix) -> SparseMatrix:
    """Weights as float32, so that all parts have one type."""
    return SparseMatrix.unchecked(matrix.indptr, matrix.terms, matrix.values, matrix.dim)


def _documents(
    parts: Sequence[Part], rows: Sequence[NDArray[np.int64]], fields: Sequence[str] = ()
) -> Iterator[list[Document]]:
    """Documents, some at a time, with those of ``fields`` that they have."""
    for part, own in zip(parts, rows, strict=True):
        for start in range(0, own.size, AT_ONCE):
            yield list(part.documents(own[start : start + AT_ONCE], [name for name in fields if name in part.types]))


def _columns(parts: Sequence[Part], rows: Sequence[NDArray[np.int64]], types: Mapping[str, str]) -> dict[str, Column]:
    found, sizes = {}, [own.size for own in rows]
    for name, kind in types.items():
        own = [part.column(name) for part in parts]
        if any(column is not None for column in own):
            kept = [None if c is None else taken(c, r) for c, r in zip(own, rows, strict=True)]
            found[name] = joined(kept, sizes, kind)
    return found
