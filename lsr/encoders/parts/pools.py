"""How do the positions of a text become one state?"""

from __future__ import annotations

import torch


def pool_states(hidden: torch.Tensor, mask: torch.Tensor, pool: str) -> torch.Tensor:
    """States float[B, H]: mean over, first of or last of the positions that count; zeros where none does."""
    if pool == "mean":
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1e-9)
    marked = mask.long() if pool == "cls" else mask.flip(1).long()
    at = marked.argmax(1) if pool == "cls" else mask.shape[1] - 1 - marked.argmax(1)
    states = hidden[torch.arange(hidden.shape[0], device=hidden.device), at]
    return states * mask.any(1, keepdim=True)
