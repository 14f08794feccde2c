"""How does torch reduce L x V logits to V weights? In slices of the vocabulary, with gradients of the maxima only."""

from __future__ import annotations

from typing import Any

import torch

from lsr.encoders.parts.activations import Activation

SLICE = 2048  # terms of one product: [tokens, SLICE] stays in cache
PAIRS, GPU_PAIRS = 1 << 16, 1 << 19  # (text, term) pairs of one step of a backward pass
PLACES = 1 << 28  # logits of one step of a backward pass by products
WORTH = 1000  # products are that much faster a logit than single pairs


def max_logits(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest logit of every term float32[B, V] and its position int64[B, V]; [B, L, V] is never made.

    A text without a position that counts has -inf everywhere. Gradients flow through the largest position only.
    """
    values, positions = _MaxLogits.apply(hidden, weight, bias, mask)  # type: ignore[no-untyped-call]
    return values, positions


def max_values(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """The values of `max_logits` without gradients, and without positions where the kernel can leave them out.

    ``hidden`` float[B, L, D], ``weight`` float[V, D], ``bias`` float[V], ``mask`` bool[B, L]; float[B, V].
    """
    from lsr.encoders.parts.products.fused import fits, fused_max

    if fits(hidden, weight):
        return fused_max(hidden, weight, bias, mask, positions=False)[0]
    return sliced_max(hidden, weight, bias, mask)[0]


def sum_weights(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor, activation: Activation
) -> torch.Tensor:
    """Sum over positions of the activated logits, float32[B, V] (SPLADE, SIGIR 2021, eq. 1), slice by slice."""
    parts = []
    for start in range(0, weight.shape[0], SLICE):
        part = slice(start, start + SLICE)
        logits = hidden @ weight[part].T + bias[part]
        parts.append((activation.tensor(logits) * mask[..., None]).sum(1))
    return torch.cat(parts, 1)


def compacted(hidden: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """States float[B, M, H] and mask bool[B, M] of the positions that count alone, M of them in the fullest text."""
    size = max(1, int(mask.sum(1).max()))
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :size]
    return hidden.gather(1, order[..., None].expand(-1, -1, hidden.shape[2])), mask.gather(1, order)


def scale_logits(
    hidden: torch.Tensor, factors: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, rows and bias whose logits are the old ones times ``factors`` float[B, L].

    The bias becomes one more column, so that a product that knows nothing of factors can be used.
    """
    scaled = torch.cat([hidden * factors[..., None], factors[..., None].to(hidden.dtype)], -1)
    return scaled, torch.cat([weight, bias[:, None]], 1), torch.zeros_like(bias)


class _MaxLogits(torch.autograd.Function):
    """Keeps [B, V] positions between the passes, nothing of size [B, L, V]."""

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor) -> Any:
        from lsr.encoders.parts.products.fused import fits, fused_max

        run = fused_max if fits(hidden, weight) else sliced_max
        values, positions = run(hidden, weight, bias, mask)
        ctx.save_for_backward(hidden, weight, positions.int(), mask.any(1))
        ctx.mark_non_differentiable(positions)
        return values, positions

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor, _: Any) -> Any:
        hidden, weight, positions, known = ctx.saved_tensors
        gradient = gradient * known[:, None]
        pairs = gradient.nonzero(as_tuple=True)  # relu leaves few
        if hidden.is_cuda and pairs[0].numel() * WORTH > hidden.shape[0] * hidden.shape[1] * weight.shape[0]:
            to_hidden, to_weight = back_by_slices(gradient, hidden, weight, positions)
        else:
            to_hidden, to_weight = back_by_pairs(gradient, hidden, weight, positions, pairs)
        return to_hidden.to(hidden), to_weight.to(weight), gradient.sum(0), None


def back_by_pairs(
    gradient: torch.Tensor,
    hidden: torch.Tensor,
    weight: torch.Tensor,
    positions: torch.Tensor,
    pairs: tuple[torch.Tensor, ...],
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of states and rows, float32, from that of their maxima float[B, V], whose non-zeros are ``pairs``."""
    to_hidden = torch.zeros_like(hidden, dtype=torch.float32).view(-1, hidden.shape[2])
    to_weight = torch.zeros_like(weight, dtype=torch.float32)
    states, step = hidden.reshape(-1, hidden.shape[2]), GPU_PAIRS if hidden.is_cuda else PAIRS
    texts, terms = pairs
    for start in range(0, texts.numel(), step):
        b, t = texts[start : start + step], terms[start : start + step]
        rows, g = b * hidden.shape[1] + positions[b, t], gradient[b, t, None]
        to_hidden.index_add_(0, rows, g * weight[t])
        to_weight.index_add_(0, t, g * states[rows])
    return to_hidden.view_as(hidden), to_weight


def back_by_slices(
    gradient: torch.Tensor, hidden: torch.Tensor, weight: torch.Tensor, positions: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The same by products, for gradients with many non-zeros: that of the logits is written, some terms at a time.

    ``gradient`` float[B, V], ``hidden`` float[B, L, D], ``weight`` float[V, D], ``positions`` int[B, V]; gradients
    float[B, L, D] and float[V, D].
    """
    (texts, length, width), terms = hidden.shape, weight.shape[0]
    states = hidden.reshape(-1, width)
    to_hidden = torch.zeros_like(states, dtype=torch.float32)
    to_weight = torch.empty_like(weight, dtype=torch.float32)
    step = max(128, PLACES // states.shape[0] // 128 * 128)
    for start in range(0, terms, step):
        part = slice(start, start + step)
        wanted, at = gradient[:, None, part].to(hidden), positions[:, None, part].long()
        logits = hidden.new_zeros(texts, length, wanted.shape[2]).scatter_(1, at, wanted)
        logits = logits.view(states.shape[0], -1)
        to_hidden += logits @ weight[part]
        to_weight[part] = logits.T @ states
    return to_hidden.view_as(hidden), to_weight


def sliced_max(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """`max_logits` by plain torch, a slice of the vocabulary at a time; runs anywhere.

    Shapes as `max_values`: values float[B, V] and positions int[B, V].
    """
    texts, terms = hidden.shape[0], weight.shape[0]
    values = torch.empty(texts, terms, dtype=torch.float32, device=hidden.device)
    positions = torch.empty(texts, terms, dtype=torch.int64, device=hidden.device)
    for start in range(0, terms, SLICE):
        part = slice(start, start + SLICE)
        logits = (hidden @ weight[part].T).float().masked_fill_(~mask[..., None], -torch.inf)
        values[:, part], positions[:, part] = logits.max(1)
    return values + bias.float(), positions
