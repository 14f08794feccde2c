"""Gate "literal-residual": terms that occur in the text gain (PROSPER)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.parts.gates.literal import literal_mask
from lsr.encoders.parts.part import Gate, Shapes, Sizes, TorchSide
from lsr.encoders.parts.pools import state_pool
from lsr.encoders.side import Side

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class LiteralResidualGate(Gate):
    """Literal terms gain, most where a second vector is low (PROSPER, eq. 6 to 9)."""

    name, about, in_arrays, heads = "literal-residual", "raises literal terms, PROSPER", False, ("vocabulary",)

    def fault(self, side: Side) -> str | None:
        """The second vector is of one state."""
        if side.pool in ("cls", "last"):
            return None
        return "gate 'literal-residual' needs head 'vocabulary' with pool 'cls' or 'last'"

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``residual_weight`` [V, H], ``residual_bias`` [V]."""
        return {"residual_weight": (sizes.vocabulary, sizes.width), "residual_bias": (sizes.vocabulary,)}

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] with the gain; ``hidden`` is float[B, L, H]."""
        from torch.nn.functional import linear

        state = state_pool(network.side.pool).tensor(hidden, batch.pooled)
        state, parts = network.activation.tensor(state), network.parts
        extra = linear(state, parts["residual_weight"], parts["residual_bias"])
        return literal_residual(reps, extra, literal_mask(batch.terms, batch.literal, network.terms))


def literal_residual(reps: torch.Tensor, extra: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """``w + I * (max(w') - w')``. ``reps`` and ``extra`` are float[B, V], ``present`` is bool[B, V]."""
    return reps + present * (extra.amax(1, keepdim=True) - extra)
