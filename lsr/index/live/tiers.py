"""Which segments become one, and when? Few segments by design: latency under writes is made by their number.

As in the logarithmic method (Bentley and Saxe, "Decomposable searching problems", 1980): the newest documents join all
segments that are not larger than what joins already. A segment, or a collection, with too many deleted documents is
written anew without them.
"""

from __future__ import annotations

from typing import NamedTuple

from lsr.index.live.contents import Contents
from lsr.index.storage.records import batch_name

FLUSH_DOCUMENTS, FLUSH_BYTES = 8192, 2**25  # of batches, after which they become a segment
DEAD_SEGMENT, DEAD_IN_ALL = 1 / 3, 0.08  # shares of rows that nothing can reach, after which room is made


class Size(NamedTuple):
    """Rows and weights of a segment, and how many of its rows nothing can reach."""

    rows: int
    nonzeros: int
    dead: int

    @property
    def live(self) -> int:
        """Rows that stay when it is written anew."""
        return self.rows - self.dead


def recent_size(contents: Contents) -> tuple[int, int]:
    """Documents and bytes that are in no segment yet."""
    batches = contents.state.batches.values()
    return sum(len(batch.ids) for batch in batches), sum(len(b.weights) * 2 + sum(map(len, b.texts)) for b in batches)


def is_full(contents: Contents, times: int = 1) -> bool:
    """Whether the newest documents should become a segment; with ``times`` a multiple of what is enough."""
    documents, size = recent_size(contents)
    return documents >= times * FLUSH_DOCUMENTS or size >= times * FLUSH_BYTES


def sizes(contents: Contents, horizon: int) -> dict[str, Size]:
    """Of every segment."""
    found = {}
    for name, info in contents.state.segments.items():
        dead = sum(rows.size for number, rows in contents.deletions.get(name, ()) if number <= horizon)
        found[name] = Size(info.documents, info.nonzeros, dead)
    return found


def to_merge(contents: Contents, horizon: int, limit: int) -> list[str] | None:
    """Names of segments that become one with the newest documents, or by themselves; None where all is well.

    Args:
        contents: of the collection.
        horizon: generation up to which deleted rows cannot be reached.
        limit: weights of a segment at most.
    """
    known, full = sizes(contents, horizon), is_full(contents)
    crowded = _crowded(known)
    if not full and not crowded:
        return None
    documents, nonzeros = recent_size(contents)[0], sum(len(b.weights) // 4 for b in contents.state.batches.values())
    chosen = list(crowded)
    live, weights = documents + sum(known[name].live for name in chosen), sum(known[n].nonzeros for n in chosen)
    for name, size in sorted(known.items(), key=lambda pair: pair[1].live):
        if name not in chosen and size.live <= live and weights + nonzeros + size.nonzeros <= limit:
            chosen.append(name)
            live, weights = live + size.live, weights + size.nonzeros
    return [name for name in known if name in chosen]


def groups(contents: Contents, limit: int) -> list[list[str]]:
    """All segments, in groups of at most ``limit`` weights that each become one."""
    found: list[list[str]] = []
    room = 0
    for name, info in contents.state.segments.items():
        if not found or info.nonzeros > room:
            found.append([])
            room = limit
        found[-1].append(name)
        room -= info.nonzeros
    return found or [[]]


def has_batches(contents: Contents, names: list[str]) -> bool:
    """Whether a batch is among ``names``."""
    return any(batch_name(number) in names for number in contents.state.batches)


def _crowded(known: dict[str, Size]) -> list[str]:
    """Segments that have too many deleted documents; of a collection that has, the worst one."""
    found = [name for name, size in known.items() if size.dead > DEAD_SEGMENT * size.rows]
    dead, rows = sum(size.dead for size in known.values()), sum(size.rows for size in known.values())
    if not found and dead > DEAD_IN_ALL * rows:
        return [max(known, key=lambda name: known[name].dead)]
    return found
