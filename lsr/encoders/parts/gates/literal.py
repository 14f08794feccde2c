"""Which terms stand in a text?"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def literal_mask(ids: torch.Tensor, literal: torch.Tensor, terms: int) -> torch.Tensor:
    """1 at the terms that occur in the text, float[B, V]; ``literal`` bool[B, L] leaves special tokens out.

    ``ids`` is int64[B, L].
    """
    present = literal.new_zeros(ids.shape[0], terms).float()
    return present.scatter_reduce(1, ids, literal.float(), reduce="amax")
