"""How does a batch of texts lie on a device of torch?"""

from __future__ import annotations

from typing import NamedTuple

import torch

from lsr.encoders.tokens.word_pieces import TokenArrays


class Batch(NamedTuple):
    """`TokenArrays` as tensors [B, L] on one device."""

    ids: torch.Tensor
    attention: torch.Tensor
    pooled: torch.Tensor
    literal: torch.Tensor
    terms: torch.Tensor

    @classmethod
    def of(cls, arrays: TokenArrays, device: str | torch.device = "cpu") -> Batch:
        """The same on ``device``."""
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))
