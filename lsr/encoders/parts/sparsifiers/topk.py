"""Sparsifier "topk": the k largest entries of each vector."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Sparsifier, Vector

if TYPE_CHECKING:
    import torch


class TopK(Sparsifier):
    """CSR (arXiv 2503.01776, eq. 1), PROSPER (eq. 10)."""

    name, about = "topk", "the k largest"

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The k largest entries of each row. float[B, V] in and out."""
        return kept(reps, reps.topk(min(k, reps.shape[1]), 1).indices, 1)

    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """The same of one text, float32[V] in and out."""
        return largest(vector, vector, k)


def kept(reps: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    """Entries float[B, V] at ``indices`` int64 along ``axis``, zeros elsewhere."""
    import torch

    return reps * torch.zeros_like(reps).scatter_(axis, indices, 1.0)


def largest(vector: Vector, by: Vector, k: int) -> Vector:
    """The k entries of float32[V] that are largest in ``by`` float32[V], zeros elsewhere."""
    if k >= vector.size:
        return vector
    places = np.argpartition(by, -k)[-k:]
    out = np.zeros_like(vector)
    out[places] = vector[places]
    return out
