"""Which entries of a vector stay? Every function zeroes the others and lets gradients through those that stay."""

from __future__ import annotations

import torch

OVER_A_BATCH = ("batch-topk", "feature-choice")


def sparsify(reps: torch.Tensor, kind: str, k: int = 0, threshold: float | torch.Tensor = 0.0) -> torch.Tensor:
    """float[B, V] with fewer non-zeros; ``kind`` as in a declaration.

    ``threshold`` is the share of the largest entry that "relative" asks for, and, when it is above 0, the fixed value
    that replaces the choice over a whole batch in "batch-topk" and "feature-choice", so that a text's vector depends on
    the text alone; a tensor holds one value for all columns, float[1], or one each, float[V].
    """
    if kind == "abs-topk":
        return split_signs(abs_topk(reps, k))
    if kind == "relative":
        return relative(reps, float(threshold))
    fixed = kind in OVER_A_BATCH and bool(torch.as_tensor(threshold > 0).any())
    return above(reps, threshold) if fixed else choose(reps, kind, k)


def choose(reps: torch.Tensor, kind: str, k: int) -> torch.Tensor:
    """The entries that ``kind`` keeps, signs and width as they are. float[B, V] in and out."""
    kinds = {"topk": topk, "abs-topk": abs_topk, "batch-topk": batch_topk, "feature-choice": feature_choice}
    return kinds[kind](reps, k) if kind in kinds else reps


def topk(reps: torch.Tensor, k: int) -> torch.Tensor:
    """The k largest entries of each row (CSR, arXiv 2503.01776, eq. 1; PROSPER, eq. 10). float[B, V] in and out."""
    return _keep(reps, reps.topk(min(k, reps.shape[1]), 1).indices, 1)


def abs_topk(reps: torch.Tensor, k: int) -> torch.Tensor:
    """The k entries of each row that are farthest from 0, with their signs (AbsTopK, arXiv 2510.00404).

    float[B, V] in and out.
    """
    return _keep(reps, reps.abs().topk(min(k, reps.shape[1]), 1).indices, 1)


def split_signs(reps: torch.Tensor) -> torch.Tensor:
    """float[B, 2V]: positive parts, then negative parts turned positive; dot products of equal signs stay."""
    return torch.cat([reps.relu(), (-reps).relu()], 1)


def batch_topk(reps: torch.Tensor, k: int) -> torch.Tensor:
    """The B * k largest entries of the whole batch (mutual choice, arXiv 2411.02124). float[B, V] in and out."""
    flat = reps.reshape(1, -1)
    return topk(flat, k * reps.shape[0]).view_as(reps)


def thresholds(reps: torch.Tensor, kind: str, k: int) -> torch.Tensor:
    """The smallest values that a choice over a batch keeps: average them over batches for use on single texts.

    Returns:
        float[1] for "batch-topk", float[V] for "feature-choice".
    """
    if kind == "batch-topk":
        return reps.reshape(-1).topk(min(k * reps.shape[0], reps.numel())).values[-1:]
    return reps.topk(_share(reps, k), 0).values[-1]


def feature_choice(reps: torch.Tensor, k: int) -> torch.Tensor:
    """The m = B * k / V largest entries of each column, at least one (feature choice, arXiv 2411.02124).

    float[B, V] in and out.
    """
    return _keep(reps, reps.topk(_share(reps, k), 0).indices, 0)


def relative(reps: torch.Tensor, share: float) -> torch.Tensor:
    """Entries above ``share`` of the largest of their row (OpenSearch's prune ratio). float[B, V] in and out."""
    return reps * (reps > share * reps.amax(1, keepdim=True))


def above(reps: torch.Tensor, threshold: float | torch.Tensor) -> torch.Tensor:
    """Entries of ``threshold`` or more. float[B, V] in and out; ``threshold`` is one number or float[V]."""
    return reps * (reps >= threshold)


def _share(reps: torch.Tensor, k: int) -> int:
    """Entries of a column that feature choice keeps."""
    return min(reps.shape[0], max(1, round(reps.shape[0] * k / reps.shape[1])))


def _keep(reps: torch.Tensor, indices: torch.Tensor, axis: int) -> torch.Tensor:
    return reps * torch.zeros_like(reps).scatter_(axis, indices, 1.0)
