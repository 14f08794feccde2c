"""What keeps vectors sparse? One penalty: a norm, times a weight a term, over chosen rows, in groups."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from lsr.errors import InputError
from lsr.training.recipe import Norm


@dataclass(frozen=True)
class Regulariser:
    """A penalty on vectors float[N, V]; the parts are orthogonal, so published penalties are settings.

    ===================  =====  ===============  ======  ======================================
    penalty              norm   weights          above   paper
    ===================  =====  ===============  ======  ======================================
    FLOPS                flops                           Paria et al., arXiv 2004.05665, eq. 5
    L1                   l1                              SPLADE-v3 queries, arXiv 2403.06789
    l0-masked FLOPS      flops                   150     arXiv 2504.14839, section 3.2
    IDF-aware FLOPS      flops                           arXiv 2411.04403, section 3.2
    DF-FLOPS             flops  `frequency_weights`      arXiv 2505.15070, section 3
    ===================  =====  ===============  ======  ======================================

    The IDF of IDF-aware FLOPS is in the query's weights alone, so that the score sees it and the penalty does not.

    Attributes:
        norm: ``flops`` is the sum over terms of the squared mean, ``l1`` the mean over rows of the sum.
        weights: float[V] that multiplies every term, or None.
        above: only rows with more non-zeros than this are penalised; the mean is still over all rows.
        groups: rows come as [queries, groups]; each place of the group is penalised by itself and the penalties add up.
    """

    norm: Norm = "flops"
    weights: torch.Tensor | None = None
    above: int = 0
    groups: int = 1

    def __call__(self, reps: torch.Tensor) -> torch.Tensor:
        """The penalty, a scalar in float32.

        Raises:
            InputError: the number of rows is no multiple of ``groups``.
        """
        if reps.shape[0] % self.groups:
            raise InputError(f"{reps.shape[0]} rows are no multiple of {self.groups} documents a query")
        sizes = masked_rows(reps.float(), self.above).abs()
        if self.weights is not None:
            sizes = sizes * self.weights
        means = sizes.view(-1, self.groups, reps.shape[1]).mean(0)
        return means.square().sum() if self.norm == "flops" else means.sum()


def masked_rows(reps: torch.Tensor, above: int) -> torch.Tensor:
    """``reps`` with rows of ``above`` or fewer non-zeros set to 0, and without gradient there.

    float[N, V] in and out.
    """
    if above <= 0:
        return reps
    return reps * ((reps != 0).sum(1, keepdim=True) > above)


def frequency_weights(shares: torch.Tensor, alpha: float = 0.1, beta: float = 10.0) -> torch.Tensor:
    """Weights of DF-FLOPS, float[V] in [0, 1], from the share of documents that fire a term, float[V].

    ``1 / (1 + (x ** log_alpha(2) - 1) ** beta)``: 0 for a term that never fires, 1/2 at ``alpha``, 1 for one that
    always does (arXiv 2505.15070, eq. 4). Shares should come from the current model.
    """
    odds = shares.double() ** math.log(2, alpha) - 1
    return (1 / (1 + odds.clamp(min=0) ** beta)).float()


def anti_zero(*reps: torch.Tensor) -> torch.Tensor:
    """Sum over sides of 1 / (sum of all weights)^2: grows without bound as vectors vanish (SPLADE-v3's code).

    Each side is float[N, V]; a scalar.
    """
    parts = [1 / side.float().sum().clamp(min=1e-4).square() for side in reps]
    return torch.stack(parts).sum()


class SparsityController:
    """Raises or lowers a penalty until documents have about ``target`` terms; a host never waits for it.

    Args:
        target: terms a document.
        every: steps between two changes.
        rate: factor of a change.
        device: where its state lies.

    Attributes:
        state: float64[2]: what the penalty is multiplied by now, and the running mean of the terms a document.
    """

    def __init__(self, target: float, every: int = 50, rate: float = 1.05, device: str | torch.device = "cpu") -> None:
        self.target, self.every, self.rate = target, every, rate
        self.state = torch.tensor([1.0, -1.0], dtype=torch.float64, device=device)

    @property
    def factor(self) -> torch.Tensor:
        """What the penalty is multiplied by, a scalar."""
        return self.state[0].float()

    def update(self, step: int, terms: torch.Tensor, keep: float = 0.9) -> torch.Tensor:
        """Take note of the terms a document at ``step``; the factor from now on.

        ``terms`` and the factor are scalars.
        """
        factor, seen = self.state
        seen = torch.where(seen < 0, terms, keep * seen + (1 - keep) * terms)
        if step % self.every == 0:
            change = torch.where(seen < 0.8 * self.target, 1 / self.rate, 1.0)
            factor = factor * torch.where(seen > 1.2 * self.target, self.rate, change)
        self.state = torch.stack([factor, seen])
        return self.factor
