"""Which rows are passages of one document? They lie together, in order, the first one first."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


class PassageRows:
    """The rows of a collection whose documents have passages.

    Args:
        first: bool[rows], which are first passages.
    """

    def __init__(self, first: Mask) -> None:
        self._rows, self._starts = first.size, np.flatnonzero(first)

    def one_each(self, chosen: Mask) -> Mask:
        """The first row of every document of which some row is ``chosen``; bool[rows]."""
        found = np.zeros(self._rows, np.bool_)
        found[self._starts] = self._some(chosen)
        return found

    def whole(self, chosen: Mask) -> Mask:
        """All rows of every document of which some row is ``chosen``; bool[rows]."""
        return np.repeat(self._some(chosen), np.diff(self._starts, append=self._rows))

    def _some(self, chosen: Mask) -> Mask:
        if not self._starts.size:
            return np.zeros(0, np.bool_)
        found: Mask = np.logical_or.reduceat(chosen, self._starts)
        return found
