"""Gate "quality": a factor for every text (EPIC)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Gate, Parts, Shapes, Sizes, TorchSide, Vector
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class QualityGate(Gate):
    """The sigmoid of the first state (EPIC, SIGIR 2020, section 3.3)."""

    name, about, heads = "quality", "one factor per text, EPIC", ("vocabulary",)

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``quality_weight`` [H], ``quality_bias`` [1]."""
        return {"quality_weight": (sizes.width,), "quality_bias": (1,)}

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] times the factor; ``hidden`` is float[B, L, H]."""
        logits = hidden[:, 0] @ network.parts["quality_weight"] + network.parts["quality_bias"]
        factored: torch.Tensor = reps * logits.sigmoid()[:, None]
        return factored

    def array(self, parts: Parts, vector: Vector, states: Vector, tokens: Tokens) -> Vector:
        """The same of one text: float32[V], states float32[L, H]."""
        if not len(states):
            return vector
        logit = states[0] @ parts["quality_weight"] + parts["quality_bias"][0]
        return np.asarray(vector / np.float32(1 + np.exp(-logit)), np.float32)
