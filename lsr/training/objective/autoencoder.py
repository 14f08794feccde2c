"""What trains a sparse autoencoder? Reconstruction at k and 4k, and work for latents that never fire."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from lsr.encoders.parts.heads.autoencoder import decode
from lsr.encoders.parts.registry import SPARSIFIERS

FIRES = 1e-5  # a latent above it is active
GATHERED = 8  # a product by gathered rows beats the whole one while this many times k are fewer than all latents


@dataclass(frozen=True)
class Decoder:
    """The tied matrix float[h, H] and the centre float[H]."""

    weight: torch.Tensor
    centre: torch.Tensor

    def __call__(self, codes: torch.Tensor) -> torch.Tensor:
        """States float[B, H] of codes float[B, h]."""
        return decode(codes, self.weight, self.centre)

    def of_chosen(self, codes: torch.Tensor, k: int, kind: str = "topk") -> torch.Tensor:
        """States float[B, H] of what the sparsifier ``kind`` keeps of codes float[B, h]."""
        k = min(k, codes.shape[1])
        if kind != "topk" or k * GATHERED > codes.shape[1]:
            return self(SPARSIFIERS[kind].choose(codes, k))
        values, latents = codes.float().topk(k, 1)
        bag = torch.nn.functional.embedding_bag
        return bag(latents, self.weight, per_sample_weights=values, mode="sum") + self.centre


def reconstruction(
    states: torch.Tensor, codes: torch.Tensor, k: int, decoder: Decoder, kind: str = "topk"
) -> torch.Tensor:
    """Mean squared error of states float[B, H] from what is kept of codes float[B, h] (CSR, arXiv 2503.01776, eq. 3).

    Args:
        states: what the encoder saw.
        codes: activated latents before the sparsifier.
        k: latents kept.
        decoder: the tied one.
        kind: the sparsifier.
    """
    return torch.nn.functional.mse_loss(decoder.of_chosen(codes, k, kind), states)


def auxiliary(
    states: torch.Tensor,
    codes: torch.Tensor,
    chosen: torch.Tensor,
    k: tuple[int, int],
    decoder: Decoder,
    kind: str = "topk",
) -> torch.Tensor:
    """How well ``chosen`` latents explain what the others left, over how well its mean does (arXiv 2503.01776, eq. 4).

    With `DeadLatents.dead` as ``chosen`` this is aux-k; with `under_zipf` it is aux-zipf (arXiv 2411.02124, section 4).

    Args:
        states: float[B, H].
        codes: activated latents before top-k, float[B, h]; not changed.
        chosen: bool[h], the latents that shall learn.
        k: latents kept by the main path and by this one.
        decoder: the tied one.
        kind: the sparsifier of the main path; this one takes the largest, whatever their signs for signed codes.

    Returns:
        A scalar; 0 where nothing is chosen or nothing is left over.
    """
    rest = states - decoder.of_chosen(codes.detach(), k[0], kind).detach() + decoder.centre.detach()
    codes = codes.masked_fill(~chosen, 0)
    error = torch.nn.functional.mse_loss(decoder.of_chosen(codes, k[1], kind if kind == "abs-topk" else "topk"), rest)
    scale = torch.nn.functional.mse_loss(rest.mean(0, keepdim=True).expand_as(rest), rest)
    found = torch.nan_to_num(error / scale, nan=0.0, posinf=0.0)
    return torch.where(chosen.any(), found, 0.0)


class DeadLatents:
    """Counts, for every latent, the steps since it fired last, int64[h].

    Args:
        latents: how many.
        after: steps without firing that make a latent dead (30 in CSR's code).
        device: where the counts lie.
    """

    def __init__(self, latents: int, after: int = 30, device: str | torch.device = "cpu") -> None:
        self.after, self.idle = after, torch.zeros(latents, dtype=torch.int64, device=device)

    def update(self, sparse: torch.Tensor) -> None:
        """Take note of the codes after top-k, float[B, h], once a step."""
        fired = (sparse.detach() > FIRES).any(0)
        self.idle = torch.where(fired, 0, self.idle + 1)

    @property
    def dead(self) -> torch.Tensor:
        """bool[h]."""
        return self.idle > self.after

    @property
    def share(self) -> torch.Tensor:
        """Share of latents that are dead, a scalar."""
        return self.dead.float().mean()


def under_zipf(density: torch.Tensor, k: int, exponent: float = 1.0, offset: float = 2.7) -> torch.Tensor:
    """Latents that fire less than Zipf's law foresees at their rank, bool[h].

    Args:
        density: share of texts that fire each latent, float[h].
        k: latents of a text; the law is scaled to this sum.
        exponent: s in 1 / (rank + offset)^s.
        offset: Mandelbrot's shift.
    """
    processes = torch.arange(1, density.numel() + 1, device=density.device)
    law = (processes + offset).float().pow(-exponent)
    order = density.argsort(descending=True)
    foreseen = torch.zeros_like(density)
    foreseen[order] = (law / law.sum() * k).to(density)
    return density < foreseen
