"""In which order are examples met? A function of seed and position, so that a run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import TrainingError


class Pick(NamedTuple):
    """One example: its source and its place there."""

    source: int
    place: int


class Position(NamedTuple):
    """Batches drawn so far, and examples drawn from each source."""

    step: int
    drawn: tuple[int, ...]


class Order:
    """Draws batches: sources by weight, each source without repetition until it is used up, then anew.

    Args:
        sizes: examples of each source.
        weights: how often each source is drawn; None goes by size.
        seed: two orders with one seed are equal.

    Raises:
        TrainingError: weights that do not fit the sources.
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float] | None = None, seed: int = 0) -> None:
        wanted = np.asarray(sizes if weights is None else weights, np.float64)
        if wanted.size != len(sizes) or not np.isfinite(wanted).all() or (wanted < 0).any() or not wanted.sum() > 0:
            raise TrainingError(
                f"mixing weights {list(weights or ())} for {len(sizes)} sources: "
                "wanted one each, none negative, one above 0"
            )
        self.sizes, self._shares, self._seed = list(sizes), wanted / wanted.sum(), seed
        self.step, self.drawn = 0, [0] * len(sizes)
        self._shuffled: dict[int, tuple[int, NDArray[np.int64]]] = {}

    def next(self, batch: int) -> list[Pick]:
        """The next ``batch`` examples."""
        rng = np.random.default_rng([self._seed, self.step])
        sources = rng.choice(len(self.sizes), batch, p=self._shares)
        self.step += 1
        return [Pick(int(source), self._place(int(source))) for source in sources]

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.step, tuple(self.drawn))

    def go_to(self, position: Position) -> None:
        """Stand where `position` said.

        Raises:
            TrainingError: the position belongs to other data.
        """
        if len(position.drawn) != len(self.sizes):
            raise TrainingError(f"the checkpoint knows {len(position.drawn)} sources of data, found {len(self.sizes)}")
        self.step, self.drawn = position.step, list(position.drawn)

    def _place(self, source: int) -> int:
        epoch, at = divmod(self.drawn[source], self.sizes[source])
        self.drawn[source] += 1
        if self._shuffled.get(source, (-1,))[0] != epoch:
            rng = np.random.default_rng([self._seed, source, epoch, 1])
            self._shuffled[source] = epoch, rng.permutation(self.sizes[source])
        return int(self._shuffled[source][1][at])
