"""Gate "modulation": a dense state shaped by the tokens of the text (LexSemBridge)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.parts.gates.literal import literal_mask
from lsr.encoders.parts.part import Gate, Shapes, Sizes, TorchSide
from lsr.encoders.side import Side

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class ModulationGate(Gate):
    """``softmax(v W^T + b) * p`` (LexSemBridge, arXiv 2508.17858, section 3)."""

    name, about, in_arrays, heads = "modulation", "a state shaped by tokens, LexSemBridge", False, ("dense",)

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``modulation_weight`` [H, V], ``modulation_bias`` [H]."""
        return {"modulation_weight": (sizes.width, sizes.vocabulary), "modulation_bias": (sizes.width,)}

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """States float[B, H], shaped; ``hidden`` is float[B, L, H]."""
        weight = network.parts["modulation_weight"]
        tokens = literal_mask(batch.terms, batch.literal, weight.shape[1])
        return modulate(reps, tokens, weight, network.parts["modulation_bias"])


def modulate(states: torch.Tensor, tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """States float[B, H] shaped by a vector of tokens float[B, V]; ``weight`` float[H, V], ``bias`` float[H]."""
    from torch.nn.functional import linear

    return linear(tokens, weight, bias).softmax(-1) * states
