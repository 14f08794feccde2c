"""Sparsifier "abs-topk": the k entries that are farthest from 0, signs kept apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Sparsifier, Vector
from lsr.encoders.parts.sparsifiers.topk import kept, largest

if TYPE_CHECKING:
    import torch


class AbsTopK(Sparsifier):
    """AbsTopK (arXiv 2510.00404); stored as twice as many columns, so that weights are above 0."""

    name, about = "abs-topk", "the k farthest from 0, signs in columns of their own"

    def columns(self, columns: int) -> int:
        """One for each sign."""
        return 2 * columns

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The k entries of each row that are farthest from 0, with their signs. float[B, V] in and out."""
        return kept(reps, reps.abs().topk(min(k, reps.shape[1]), 1).indices, 1)

    def tensor(self, reps: torch.Tensor, k: int, threshold: float | torch.Tensor) -> torch.Tensor:
        """The same with signs apart: float[B, V] in, float[B, 2V] out."""
        return split_signs(self.choose(reps, k))

    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """The same of one text: float32[V] in, float32[2V] out."""
        signed = largest(vector, np.abs(vector), k)
        return np.asarray(np.maximum(np.concatenate([signed, -signed]), 0), np.float32)


def split_signs(reps: torch.Tensor) -> torch.Tensor:
    """float[B, 2V]: positive parts, then negative parts turned positive; dot products of equal signs stay."""
    import torch

    return torch.cat([reps.relu(), (-reps).relu()], 1)
