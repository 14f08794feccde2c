"""How does the BigANN track keep the true neighbours of its queries? As a .gt file.

Little-endian: uint32 queries, depth; int32 rows[queries * depth]; float32 scores[queries * depth].
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError

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
        InputError: no such file, its size is not what it says, or a row is negative.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    queries, depth = np.frombuffer(content, "<u4", 2).tolist() if len(content) >= HEAD else (0, 0)
    if not queries or not depth or len(content) != (wanted := HEAD + 8 * queries * depth):
        said = (
            f"{queries:,} queries with {depth:,} rows each take {wanted:,}" if queries and depth else "has no queries"
        )
        raise InputError(f"{path} has {len(content):,} bytes, but {said}; is it a whole .gt file?")
    rows = np.frombuffer(content, "<i4", queries * depth, HEAD)
    if rows.min() < 0:
        at = int(np.argmin(rows))
        raise InputError(f"{path}, byte {HEAD + 4 * at:,}: found the row {rows[at]}, wanted 0 or more")
    scores = np.frombuffer(content, "<f4", queries * depth, HEAD + rows.nbytes)
    return GroundTruth(rows.reshape(queries, depth), scores.reshape(queries, depth))


def write_ground_truth(path: Path, truth: GroundTruth) -> None:
    """Write a .gt file."""
    with path.open("wb") as file:
        np.array(truth.rows.shape, "<u4").tofile(file)
        truth.rows.astype("<i4").tofile(file)
        truth.scores.astype("<f4").tofile(file)
