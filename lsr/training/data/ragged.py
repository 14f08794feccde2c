"""How are lists of unequal length gathered without a loop? They lie flat, on the device where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

Rows = NDArray[np.int64]
ROOM = 0.25  # of a device's free memory that one set of arrays may take


class Padded(NamedTuple):
    """Places int64[R, L] in the flat array, and which of them belong to a row, bool[R, L]."""

    places: torch.Tensor
    inside: torch.Tensor


class Ragged:
    """Borders of lists that lie one after the other.

    Args:
        borders: int64[n + 1], from 0, never falling.
        device: where the borders lie for gathering.
    """

    def __init__(self, borders: NDArray[np.int64], device: torch.device) -> None:
        self.lengths: Rows = np.diff(borders)
        self._borders = torch.from_numpy(np.ascontiguousarray(borders)).to(device)

    def __len__(self) -> int:
        return self.lengths.size

    def padded(self, rows: Rows, length: int) -> Padded:
        """Where ``rows`` lie, cut or filled up to ``length``."""
        device = self._borders.device
        at = moved(rows, device)
        start, end = self._borders[at], self._borders[at + 1]
        places = start[:, None] + torch.arange(length, device=device)
        inside = places < end[:, None]
        return Padded(places.masked_fill_(~inside, 0), inside)


def home(device: torch.device, size: int) -> torch.device:
    """``device`` if ``size`` bytes fit there with ease, else the CPU."""
    if device.type == "cuda" and size > ROOM * torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device


def moved(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """``array`` on ``device``; the host does not wait for a GPU to receive it. [...] in and out."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


def as_rows(rows: Sequence[int] | Rows) -> Rows:
    """Row numbers as an array."""
    return np.asarray(rows, np.int64)
