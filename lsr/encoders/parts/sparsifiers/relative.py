"""Sparsifier "relative": entries above a share of the largest of their vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Sparsifier, Vector
from lsr.encoders.side import Side

if TYPE_CHECKING:
    import torch


class Relative(Sparsifier):
    """OpenSearch's prune ratio, which ``threshold`` is."""

    name, about, needs_k = "relative", "those above `threshold` times the largest", False

    def fault(self, side: Side) -> str | None:
        """A share is below 1."""
        return None if side.threshold < 1 else f"sparsifier 'relative' has threshold {side.threshold}: wanted below 1"

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """All float[B, V]: what an autoencoder's losses look at is not pruned."""
        return reps

    def tensor(self, reps: torch.Tensor, k: int, threshold: float | torch.Tensor) -> torch.Tensor:
        """Entries above the share. float[B, V] in and out."""
        return reps * (reps > float(threshold) * reps.amax(1, keepdim=True))

    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """The same of one text, float32[V] in and out."""
        return np.asarray(np.where(vector > threshold * vector.max(initial=0), vector, 0), np.float32)
