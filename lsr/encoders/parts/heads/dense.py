"""Head "dense": the pooled state itself, for systems that no inverted index holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.parts.part import ArrayHead, Head, Parts, Sizes, TorchSide, Vector
from lsr.encoders.parts.pools import StatePool, state_pool
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class DenseHead(Head):
    """One state a text."""

    name, about, columns_are = "dense", "the pooled state itself, not for an inverted index", "numbers"
    pools = StatePool

    def columns(self, side: Side, parts: Parts, sizes: Sizes) -> int:
        """Numbers of a state."""
        return sizes.width

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """States float32[B, H] of float[B, L, H]."""
        return state_pool(network.side.pool).tensor(hidden, batch.pooled).float()

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> ArrayHead:
        """The pooled state in numpy, float32[H]."""
        return _Arrays(side, sizes)


class _Arrays(ArrayHead):
    def __init__(self, side: Side, sizes: Sizes) -> None:
        self._pool, self.terms = state_pool(side.pool), sizes.width

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        return self._pool.array(states[tokens.pooled_from : len(tokens.ids)])
