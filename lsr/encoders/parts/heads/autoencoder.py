"""Head "autoencoder": codes of a pooled state by one tied matrix (CSR, arXiv 2503.01776)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.part import ArrayHead, Head, Parts, Shapes, Sizes, TorchSide, Vector
from lsr.encoders.parts.pools import StatePool, state_pool
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch

EPSILON = 1e-5  # added to a standard deviation


class AutoencoderHead(Head):
    """Latents that a state fires."""

    name, about, columns_are = "autoencoder", "codes of a pooled state", "latents"
    pools = StatePool

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``code_weight`` [h, H], ``code_bias`` [h], ``centre`` [H]."""
        size = sizes.codes or 4 * sizes.width
        return {"code_weight": (size, sizes.width), "code_bias": (size,), "centre": (sizes.width,)}

    def columns(self, side: Side, parts: Parts, sizes: Sizes) -> int:
        """Latents."""
        return int(parts["code_bias"].size)

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Codes float32[B, h] of states float[B, L, H]."""
        return activated_codes(network, pooled_states(network, hidden, batch))

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> ArrayHead:
        """The codes in numpy, float32[h]."""
        return _Arrays(side, parts)


class _Arrays(ArrayHead):
    def __init__(self, side: Side, parts: Parts) -> None:
        self._parts, self._centred = parts, side.centred
        self._pool, self._activation = state_pool(side.pool), ACTIVATIONS[side.activation]
        self.terms = parts["code_bias"].size

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        state = self._pool.array(states[tokens.pooled_from : len(tokens.ids)])
        if self._centred:
            state = state - state.mean()
            state = state / (state.std(ddof=1) + np.float32(EPSILON))
        parts = self._parts
        return self._activation.array(parts["code_weight"] @ (state - parts["centre"]) + parts["code_bias"])


def pooled_states(network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """What an autoencoder encodes and shall give back, float32[B, H], of ``hidden`` float[B, L, H]."""
    states = state_pool(network.side.pool).tensor(hidden, batch.pooled).float()
    return standardise(states) if network.side.centred else states


def activated_codes(network: TorchSide, states: torch.Tensor) -> torch.Tensor:
    """Codes float32[B, h] of states float32[B, H], before the sparsifier."""
    parts = network.parts
    return network.activation.tensor(codes(states, parts["code_weight"], parts["code_bias"], parts["centre"]))


def codes(states: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """Logits of a tied autoencoder, float[B, h]: ``(x - centre) W^T + bias`` (CSR, arXiv 2503.01776, eq. 1)."""
    import torch

    return torch.nn.functional.linear(states - centre, weight, bias)


def decode(sparse: torch.Tensor, weight: torch.Tensor, centre: torch.Tensor) -> torch.Tensor:
    """States float[B, H] that codes float[B, h] stand for: ``z W + centre``, by the same matrix."""
    return sparse @ weight + centre


def standardise(states: torch.Tensor, epsilon: float = EPSILON) -> torch.Tensor:
    """Each state less its mean, over its standard deviation. float[..., D] in and out."""
    centred = states - states.mean(-1, keepdim=True)
    return centred / (centred.std(-1, keepdim=True) + epsilon)
