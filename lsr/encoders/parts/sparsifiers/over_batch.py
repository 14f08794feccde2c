"""Sparsifiers "batch-topk" and "feature-choice": texts of a batch compete; a threshold stands for that later."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Sparsifier, Vector
from lsr.encoders.parts.sparsifiers.topk import kept

if TYPE_CHECKING:
    import torch


class OverBatch(Sparsifier):
    """A choice over a batch; once its threshold is learned, a text's vector depends on the text alone."""

    over_batch = True

    @abstractmethod
    def threshold_columns(self, columns: int) -> int:
        """Thresholds of vectors with ``columns``."""

    @abstractmethod
    def thresholds(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The smallest values of ``reps`` float[B, V] that the choice keeps: float[1], or float[V] one a column.

        Averaged over batches they are used on single texts.
        """

    def tensor(self, reps: torch.Tensor, k: int, threshold: float | torch.Tensor) -> torch.Tensor:
        """Entries of the threshold or more where there is one. float[B, V] in and out."""
        import torch

        fixed = bool(torch.as_tensor(threshold > 0).any())
        return reps * (reps >= threshold) if fixed else self.choose(reps, k)

    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """Entries of the threshold or more. float32[V] in and out."""
        return np.asarray(np.where(vector >= threshold, vector, 0), np.float32)


class BatchTopK(OverBatch):
    """Mutual choice (arXiv 2411.02124)."""

    name, about = "batch-topk", "the B k largest of a batch of B texts"

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The B * k largest entries of the whole batch. float[B, V] in and out."""
        flat = reps.reshape(1, -1)
        return kept(flat, flat.topk(min(k * reps.shape[0], flat.shape[1]), 1).indices, 1).view_as(reps)

    def threshold_columns(self, columns: int) -> int:
        """One for all columns."""
        return 1

    def thresholds(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """float[1] of float[B, V]."""
        return reps.reshape(-1).topk(min(k * reps.shape[0], reps.numel())).values[-1:]


class FeatureChoice(OverBatch):
    """Feature choice (arXiv 2411.02124): no column stays without a text."""

    name, about = "feature-choice", "the B k / V largest of each column, V terms"

    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The m = B * k / V largest entries of each column, at least one. float[B, V] in and out."""
        return kept(reps, reps.topk(_share(reps, k), 0).indices, 0)

    def threshold_columns(self, columns: int) -> int:
        """One a column."""
        return columns

    def thresholds(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """float[V] of float[B, V]."""
        return reps.topk(_share(reps, k), 0).values[-1]


def _share(reps: torch.Tensor, k: int) -> int:
    """Entries of a column that feature choice keeps."""
    return min(reps.shape[0], max(1, round(reps.shape[0] * k / reps.shape[1])))
