"""Which documents may be found? What filters and deletions ask of every engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lsr.errors import InputError

EVERYTHING = np.zeros(0, np.int8)  # what kernels take for no choice


@dataclass(frozen=True, eq=False)
class Allowed:
    """A choice among n documents. Make it once and use it for many searches.

    Attributes:
        mask: bool[n], whether a document may be found; kept as int8, -1 for those, so that kernels take it as bits.

    Raises:
        InputError: a mask of another type.
    """

    mask: NDArray[Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", np.asarray(self.mask))
        if self.mask.ndim != 1 or self.mask.dtype not in (np.int8, np.bool_):
            raise InputError(f"a mask of {self.mask.dtype}{list(self.mask.shape)}: wanted one bool a document")
        object.__setattr__(self, "mask", -(self.mask != 0).astype(np.int8))

    @classmethod
    def of_rows(cls, rows: ArrayLike, n: int) -> Allowed:
        """The documents at ``rows``, of ``n``.

        Raises:
            InputError: a row that is none, or rows that are no whole numbers.
        """
        chosen = np.asarray(rows)
        if chosen.size and chosen.dtype.kind not in "iu":
            raise InputError(f"rows of type {chosen.dtype}: wanted whole numbers; a mask of bools is Allowed(mask)")
        chosen = chosen.astype(np.int64)
        if chosen.size and not 0 <= chosen.min() <= chosen.max() < n:
            wrong = chosen.min() if chosen.min() < 0 else chosen.max()
            raise InputError(f"row {wrong}: wanted 0 to {n - 1:,}")
        mask = np.zeros(n, np.bool_)
        mask[chosen] = True
        return cls(mask)

    def __len__(self) -> int:
        return self.mask.size

    @cached_property
    def count(self) -> int:
        """How many documents may be found."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def address(self) -> int:
        """Where the mask lies, for kernels."""
        found: int = self.mask.__array_interface__["data"][0]
        return found

    @cached_property
    def rows(self) -> NDArray[np.uint32]:
        """The documents that may be found, rising. uint32[N], of N documents allowed."""
        return np.flatnonzero(self.mask).astype(np.uint32)

    def part(self, start: int, stop: int) -> Allowed:
        """Those of the rows start:stop, counted from start."""
        if (start, stop) == (0, len(self)):
            return self
        if (start, stop) not in self._parts:
            self._parts[start, stop] = Allowed(self.mask[start:stop])
        return self._parts[start, stop]

    @cached_property
    def _parts(self) -> dict[tuple[int, int], Allowed]:
        return {}
