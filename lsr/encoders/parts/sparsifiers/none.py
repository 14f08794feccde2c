"""Sparsifier "none": every entry stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lsr.encoders.parts.part import Sparsifier, Vector

if TYPE_CHECKING:
    import torch


class NoSparsifier(Sparsifier):
    """Vectors are as sparse as activation and gates make them."""

    name, about, needs_k = "none", "all stay", False

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The same float[B, V]."""
        return reps

    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """The same float32[V]."""
        return vector
