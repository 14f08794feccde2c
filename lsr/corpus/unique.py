"""Was this id seen before? A set of 64-bit fingerprints in sorted runs, 8 bytes an id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


class SeenIds:
    """The ids given so far, kept as 64-bit hashes in sorted runs that double in size (8 bytes an id).

    An answer "seen before" can be false with a chance of about n^2 / 2^65; ask the stored ids to be certain.
    """

    def __init__(self) -> None:
        self._runs: list[NDArray[np.int64]] = []

    def add(self, ids: Sequence[str]) -> list[int]:
        """Add a batch; the positions in it of ids seen before, earlier in the batch included."""
        hashes = np.fromiter(map(hash, ids), np.int64, len(ids))
        unique, first = np.unique(hashes, return_index=True)
        repeated = np.ones(len(ids), bool)
        repeated[first] = False
        for run in self._runs:
            at = np.searchsorted(run, hashes)
            repeated |= run[np.minimum(at, run.size - 1)] == hashes
        self._merge(unique)
        return [int(i) for i in np.flatnonzero(repeated)]

    def _merge(self, run: NDArray[np.int64]) -> None:
        if run.size == 0:
            return
        while self._runs and self._runs[-1].size <= run.size:
            run = np.sort(np.concatenate([self._runs.pop(), run]), kind="stable")
        self._runs.append(run)
