"""How does the BigANN track keep the true neighbours of its queries? As a .gt file.

Little-endian: uint32 queries, depth; int32 rows[queries * depth]; float32 scores[queries * depth].
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError, reason
from lsr.replacing import replace_file

HEAD = 8  # bytes


class GroundTruth(NamedTuple):
    """The best rows of every query.

    Attributes:
        rows: int32[queries, depth], best first.
        scores: float32[queries, depth].
    """

    rows: NDArray[np.int32]
    scores: NDArray[np.float32]


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a .gt file.

    Raises:
        InputError: no such file, its size is not what it says, a row is negative or twice there for a query, or a
            score is not finite.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {reason(error)}") from None
    queries, depth = np.frombuffer(content, "<u4", 2).tolist() if len(content) >= HEAD else (0, 0)
    if not queries or not depth or len(content) != (wanted := HEAD + 8 * queries * depth):
        said = (
            f"but {queries:,} queries with {depth:,} rows each take {wanted:,}"
            if queries and depth
            else "and no queries"
        )
        raise InputError(f"{path} has {len(content):,} bytes, {said}; is it a whole .gt file?")
    rows = np.frombuffer(content, "<i4", queries * depth, HEAD)
    if rows.min() < 0:
        at = int(np.argmin(rows))
        raise InputError(f"{path}, byte {HEAD + 4 * at:,}: found the row {rows[at]}, wanted 0 or more")
    scores = np.frombuffer(content, "<f4", queries * depth, HEAD + rows.nbytes)
    if not (finite := np.isfinite(scores)).all():
        at = int(np.argmin(finite))
        place = HEAD + rows.nbytes + 4 * at
        raise InputError(f"{path}, byte {place:,}: found the score {scores[at]}, wanted a finite number")
    rows, scores = rows.reshape(queries, depth), scores.reshape(queries, depth)
    if (same := np.argwhere(np.diff(np.sort(rows, axis=1), axis=1) == 0)).size:
        raise InputError(f"{path}: a row occurs twice among those of query {same[0][0]:,}; wanted each once")
    return GroundTruth(rows, scores)


def write_ground_truth(path: Path, truth: GroundTruth) -> None:
    """Write a .gt file; one that is there is replaced at the end."""
    head = np.array(truth.rows.shape, "<u4").tobytes()
    content = head + truth.rows.astype("<i4").tobytes() + truth.scores.astype("<f4").tobytes()
    replace_file(path, lambda new: new.write_bytes(content))
