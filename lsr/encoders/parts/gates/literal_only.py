"""Gate "literal-only": no expansion; only terms that occur in the text keep their weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.gates.literal import literal_mask
from lsr.encoders.parts.part import Gate, Parts, TorchSide, Vector
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class LiteralOnlyGate(Gate):
    """SPLADE-v3-Lexical: queries that are not expanded (arXiv 2403.06789)."""

    name, about, heads = "literal-only", "no expansion, SPLADE-v3-Lexical", ("vocabulary",)

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V], 0 for terms that do not occur in the text; ``hidden`` is float[B, L, H]."""
        return reps * literal_mask(batch.terms, batch.literal, network.terms)

    def array(self, parts: Parts, vector: Vector, states: Vector, tokens: Tokens) -> Vector:
        """The same of one text: float32[V], states float32[L, H]."""
        kept = np.zeros(vector.size, bool)
        kept[tokens.own_terms] = True
        return np.where(kept, vector, np.float32(0))
