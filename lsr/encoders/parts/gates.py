"""Which further factors do some systems have, beside head, activation and pool?"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import softplus


def importance(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A factor above 0 for every token, float[B, L]: log(1 + softplus(w.h + c)) (EPIC, SIGIR 2020, section 3.2)."""
    return torch.log1p(softplus(hidden @ weight + bias))


def scale_logits(
    hidden: torch.Tensor, factors: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """States, rows and bias whose logits are the old ones times ``factors`` float[B, L].

    The bias becomes one more column, so that a head that knows nothing of factors can be used.
    """
    scaled = torch.cat([hidden * factors[..., None], factors[..., None].to(hidden.dtype)], -1)
    return scaled, torch.cat([weight, bias[:, None]], 1), torch.zeros_like(bias)


def quality(first: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """A factor for every text, float[B, 1]: sigmoid of the first state (EPIC, section 3.3)."""
    return torch.sigmoid(first @ weight + bias)[:, None]


def literal_mask(ids: torch.Tensor, literal: torch.Tensor, terms: int) -> torch.Tensor:
    """1 at the terms that stand in the text, float[B, V]; ``literal`` bool[B, L] leaves special tokens out."""
    present = torch.zeros(ids.shape[0], terms, device=ids.device)
    return present.scatter_reduce(1, ids, literal.float(), reduce="amax")


def literal_residual(reps: torch.Tensor, extra: torch.Tensor, present: torch.Tensor) -> torch.Tensor:
    """``w + I * (max(w') - w')``: literal terms gain, most where the second vector is low (PROSPER, eq. 6 to 9).

    ``reps`` and ``extra`` are float[B, V], ``present`` is bool[B, V].
    """
    return reps + present * (extra.amax(1, keepdim=True) - extra)


def literal_counts(
    hidden: torch.Tensor, terms: torch.Tensor, literal: torch.Tensor, size: int, parts: nn.ParameterDict
) -> torch.Tensor:
    """What each position adds to the weight of its own term, float32[B, L]: BM25 whose counts are learned.

    A term that stands at positions i weighs ``s x / (x + a + b n)`` with ``x`` the sum of ``softplus(v.h_i + c)`` and
    ``n`` the number of literal positions; ``log s, log a, log b`` are ``counts_form``. With v = 0 and softplus(c) = 1
    this is BM25 (a = k1 (1 - b'), b = k1 b' / mean length).
    """
    weights = softplus((hidden @ parts["counts_weight"] + parts["counts_bias"]).float()) * literal
    sums = weights.new_zeros(terms.shape[0], size).scatter_add(1, terms, weights).gather(1, terms)
    scale, floor, slope = parts["counts_form"].float().exp()
    added: torch.Tensor = scale * weights / (sums + floor + slope * literal.sum(1, keepdim=True))
    return added


def modulate(states: torch.Tensor, tokens: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """``softmax(v W^T + b) * p``: a dense state float[B, H] shaped by a token vector float[B, V].

    LexSemBridge, arXiv 2508.17858, section 3.
    """
    return torch.softmax(torch.nn.functional.linear(tokens, weight, bias), -1) * states
