"""Which functions turn a logit into a weight? All rise, so the maximum over tokens may be taken first."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch


class Activation(NamedTuple):
    """``base`` and then ``log1p`` times log(1 + x); the same on numpy arrays and torch tensors."""

    base: str  # identity, relu or softplus
    log1p: int
    about: str = ""

    def array(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of a numpy array, any shape. float32[...] in and out."""
        if self.base != "identity":
            x = np.maximum(x, 0) if self.base == "relu" else np.logaddexp(np.float32(0), x)
        for _ in range(self.log1p):
            x = np.log1p(x)
        return x

    def tensor(self, x: torch.Tensor) -> torch.Tensor:
        """Of a torch tensor, any shape; in float32, because log1p of half precision loses small weights.

        float[...] in, float32[...] out.
        """
        import torch

        x = x.float()
        if self.base != "identity":
            x = torch.relu(x) if self.base == "relu" else torch.nn.functional.softplus(x)
        for _ in range(self.log1p):
            x = torch.log1p(x)
        return x


ACTIVATIONS = {
    "identity": Activation("identity", 0, "the logit itself"),
    "relu": Activation("relu", 0, "what is above 0"),
    "log1p": Activation("relu", 1, "log(1 + relu(x)), SPLADE"),
    "log1p2": Activation("relu", 2, "log(1 + that), OpenSearch v3"),  # arXiv 2504.14839, section 3
    "log1p3": Activation("relu", 3, "log(1 + that) once more"),
    "softplus": Activation("softplus", 0, "log(1 + exp(x))"),
    "softplus-log1p": Activation("softplus", 1, "log(1 + that), EPIC"),
}
