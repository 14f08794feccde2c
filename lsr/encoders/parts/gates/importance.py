"""Gate "importance": a factor for every token (EPIC)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.parts.part import Gate, Shapes, Sizes, TorchSide
from lsr.encoders.parts.pools import WeightPool, names_of
from lsr.encoders.side import Side

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class ImportanceGate(Gate):
    """Every logit of a token is multiplied by log(1 + softplus(w.h + c)) (EPIC, SIGIR 2020, section 3.2)."""

    name, about, in_arrays, heads = "importance", "one factor per token, EPIC", False, ("vocabulary",)

    def fault(self, side: Side) -> str | None:
        """One state a text has no factors a token."""
        if side.pool in names_of(WeightPool):
            return None
        return f"gate 'importance' needs pool 'max' or 'sum', found {side.pool!r}"

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``importance_weight`` [H], ``importance_bias`` [1]."""
        return {"importance_weight": (sizes.width,), "importance_bias": (1,)}

    def factors(self, network: TorchSide, hidden: torch.Tensor) -> torch.Tensor:
        """Factors above 0, float[B, L], of states float[B, L, H]."""
        import torch

        parts = network.parts
        logits = hidden @ parts["importance_weight"] + parts["importance_bias"]
        return torch.log1p(torch.nn.functional.softplus(logits))

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The weights float[B, V] as they are: `factors` acted before."""
        return reps
