"""In which order are examples met? A function of seed and position, so that a run goes on where it stopped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.errors import TrainingError


class Picks(NamedTuple):
    """Examples: their sources int64[n], and their places there int64[n]."""

    sources: NDArray[np.int64]
    places: NDArray[np.int64]


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

    def next(self, batch: int) -> Picks:
        """The next ``batch`` examples."""
        rng = np.random.default_rng([self._seed, self.step])
        sources = rng.choice(len(self.sizes), batch, p=self._shares)
        self.step += 1
        places = np.empty(batch, np.int64)
        for source in np.unique(sources).tolist():
            own = sources == source
            places[own] = self._places(source, int(own.sum()))
        return Picks(sources, places)

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

    def _places(self, source: int, count: int) -> NDArray[np.int64]:
        """The next ``count`` examples of one source."""
        size, at = self.sizes[source], self.drawn[source]
        self.drawn[source] += count
        numbers = np.arange(at, at + count)
        epochs = np.unique(numbers // size).tolist()
        return np.concatenate([self._shuffle(source, e)[numbers[numbers // size == e] % size] for e in epochs])

    def _shuffle(self, source: int, epoch: int) -> NDArray[np.int64]:
        if self._shuffled.get(source, (-1,))[0] != epoch:
            rng = np.random.default_rng([self._seed, source, epoch, 1])
            self._shuffled[source] = epoch, rng.permutation(self.sizes[source])
        return self._shuffled[source][1]
