"""How do records stay few? Those up to the horizon become one of each kind, and new values go into columns."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from lsr.index.fields.columns import Column
from lsr.index.live.contents import Contents, added
from lsr.index.live.part import Part
from lsr.index.storage.catalogue import Key
from lsr.index.storage.fields import write_fields
from lsr.index.storage.files import describe, sync_folder
from lsr.index.storage.records import Corpus, Deletions, SegmentInfo, Terms, Updates, rows_of
from lsr.index.storage.segment import Segment

MANY_UPDATES = 4096  # rows of a segment with new values, after which its columns are written anew
Changed = dict[Key, msgspec.Struct | None]


def folded(contents: Contents, horizon: int) -> Changed:
    """Records up to the horizon as one of each kind; None for those that are no more."""
    state = contents.state
    changed: Changed = {}
    old = [number for number in state.deletions if number <= horizon]
    if len(old) > 1:
        changed |= {Key("deletions", number): None for number in old}
        changed[Key("deletions", horizon)] = _deletions([state.deletions[number] for number in old])
    old = [number for number in state.updates if number <= horizon]
    if len(old) > 1:
        changed |= {Key("updates", number): None for number in old}
        changed[Key("updates", horizon)] = _updates([state.updates[number] for number in old])
    old = [number for number in state.corpora if number <= horizon]
    if len(old) > 1:
        changed |= {Key("corpus", number): None for number in old}
        changed[Key("corpus", horizon)] = _counted(added([state.corpora[number] for number in old]))
    old = [number for number in state.terms if number <= horizon]
    if len(old) > 1:
        changed |= {Key("terms", number): None for number in old}
        names = [name for number in old for name in state.terms[number].names]
        changed[Key("terms", horizon)] = Terms(state.terms[old[0]].first, names)
    return changed


def to_write_anew(contents: Contents, horizon: int) -> list[str]:
    """Names of segments whose columns lack many new values."""
    found = []
    for name in contents.state.segments:
        later = (fields for number, fields in contents.updates.get(name, ()) if number <= horizon)
        if sum(max(len(rows) // 4 for rows, _ in fields.values()) for fields in later) >= MANY_UPDATES:
            found.append(name)
    return found


def write_columns(contents: Contents, name: str, horizon: int) -> Changed:
    """Write the columns of a segment with the values up to the horizon; the records that say so.

    Raises:
        StorageError: damage.
        OSError: the disk is full, or another fault of it.
    """
    info: SegmentInfo = contents.state.segments[name]
    segment = Segment(contents.folder, name, info, contents.settings(), searchable=False)
    types = contents.state.types
    part = Part(segment, None, types, contents.patches(segment.pieces, -1, horizon))
    columns: dict[str, Column] = part.columns([*types])
    file = f"fields-{horizon}.arrow"
    write_fields(segment.folder, columns, file)
    files = {**{n: f for n, f in info.files.items() if n != info.fields}, file: describe(segment.folder / file)}
    sync_folder(segment.folder)
    changed: Changed = {Key("segment", 0, name): msgspec.structs.replace(info, fields=file, files=files)}
    for number, updates in contents.state.updates.items():
        if number <= horizon and name in updates.parts:
            left = {part: fields for part, fields in updates.parts.items() if part != name}
            changed[Key("updates", number)] = Updates(left) if left else None
    return changed


def _deletions(found: list[Deletions]) -> Deletions:
    parts: dict[str, list[Any]] = {}
    for one in found:
        for name, rows in one.parts.items():
            parts.setdefault(name, []).append(rows_of(rows))
    return Deletions({name: np.concatenate(rows).tobytes() for name, rows in parts.items()})


def _updates(found: list[Updates]) -> Updates:
    """Several updates as one; of a row the last value counts."""
    parts: dict[str, dict[str, dict[int, Any]]] = {}
    for one in found:
        for name, fields in one.parts.items():
            for field, (rows, values) in fields.items():
                own = parts.setdefault(name, {}).setdefault(field, {})
                own.update(zip(rows_of(rows).tolist(), values, strict=True))
    return Updates(
        {
            name: {
                field: (np.fromiter(own, np.uint32, len(own)).tobytes(), list(own.values()))
                for field, own in fields.items()
            }
            for name, fields in parts.items()
        }
    )


def _counted(corpus: Corpus) -> Corpus:
    """Without terms whose counts are 0."""
    terms, counts = np.frombuffer(corpus.terms, np.uint32), np.frombuffer(corpus.counts, np.int64)
    kept = counts != 0
    return Corpus(corpus.documents, corpus.length, terms[kept].tobytes(), counts[kept].tobytes())
