"""Head "token-weight": one number a token, placed at the token's own term (uniCOIL, DeepImpact, DeepCT, TILDEv2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.part import ArrayHead, Head, Parts, Shapes, Sizes, TorchSide, Vector
from lsr.encoders.parts.pools import WeightPool, weight_pool
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class TokenWeightHead(Head):
    """No expansion: a text's own tokens, weighed in context (arXiv 2303.13416, section 3, "MLP")."""

    name, about = "token-weight", "one number per token, at the token's own term"
    pools = WeightPool

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``token_weight`` [H], ``token_bias`` [1]."""
        return {"token_weight": (sizes.width,), "token_bias": (1,)}

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] of states float[B, L, H]."""
        weights, mask = network.activation.tensor(token_logits(network, hidden)), batch.pooled & batch.literal
        return token_weights(weights, batch.terms, mask, network.terms, network.side.pool)

    def tensor_positions(
        self, network: TorchSide, hidden: torch.Tensor, batch: Batch, terms: torch.Tensor
    ) -> torch.Tensor:
        """The token of each term int64[T] with the largest weight, int64[T], of states float[1, L, H]."""
        own = (batch.terms[0][:, None] == terms) & (batch.pooled[0] & batch.literal[0])[:, None]
        return token_logits(network, hidden)[0][:, None].where(own, -float("inf")).argmax(0)

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> ArrayHead:
        """The weights in numpy, float32[V]."""
        return _Arrays(side, parts, sizes)


class _Arrays(ArrayHead):
    def __init__(self, side: Side, parts: Parts, sizes: Sizes) -> None:
        self._parts, self.terms = parts, sizes.vocabulary
        self._pool, self._activation = weight_pool(side.pool), ACTIVATIONS[side.activation]

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        vector = np.zeros(self.terms, np.float32)
        own = np.flatnonzero(tokens.literal)
        weights = self._activation.array(self._logits(states[own]))
        self._pool.ufunc.at(vector, np.array(tokens.ids, np.int64)[own], weights)
        return vector

    def positions(self, states: Vector, tokens: Tokens, terms: NDArray[np.intp]) -> NDArray[np.int64]:
        logits = self._logits(states[: len(tokens.ids)])
        logits[~np.array(tokens.literal, bool)] = -np.inf
        own = np.array(tokens.ids)[:, None] == terms
        return np.asarray(np.where(own, logits[:, None], -np.inf).argmax(0), np.int64)

    def _logits(self, states: Vector) -> Vector:
        return np.asarray(states @ self._parts["token_weight"] + self._parts["token_bias"][0], np.float32)


def token_logits(network: TorchSide, hidden: torch.Tensor) -> torch.Tensor:
    """One number a token, float[B, L], before the activation; ``hidden`` is float[B, L, H]."""
    logits: torch.Tensor = hidden @ network.parts["token_weight"] + network.parts["token_bias"]
    return logits


def token_scores(network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Logits of the tokens at their own terms, float[B, V], before the activation; 0 where a term is not there.

    ``hidden`` is float[B, L, H].
    """
    mask = batch.pooled & batch.literal
    return token_weights(token_logits(network, hidden), batch.ids, mask, network.terms, network.side.pool, True)


def token_weights(
    weights: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, terms: int, pool: str, signed: bool = False
) -> torch.Tensor:
    """Weights float[B, L] put at their own term, float[B, V]; repeated tokens by ``pool``, "max" or "sum".

    Without ``signed`` no maximum is below 0.
    """
    kept = weights.where(mask, 0)
    reps = kept.new_zeros(ids.shape[0], terms)
    return reps.scatter_reduce(1, ids, kept, reduce=weight_pool(pool).reduce, include_self=not signed)
