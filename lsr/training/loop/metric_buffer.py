"""What has a GPU measured that nobody has looked at yet? Numbers of some steps, read all at once."""

from __future__ import annotations

import math

import torch

from lsr.errors import TrainingError
from lsr.training.loop.gradients import INFINITE, Values

READ_EVERY = 20  # steps between two readings: each makes the host wait for the GPU


class Pending:
    """Scalars by step, left on their device until they are read."""

    def __init__(self) -> None:
        self._names: list[tuple[int, list[str]]] = []
        self._values: list[torch.Tensor] = []

    def add(self, step: int, values: Values) -> None:
        """Keep the float32 scalars of ``step``."""
        self._names.append((step, list(values)))
        self._values.append(torch.stack(list(values.values())))

    def read(self) -> list[tuple[int, dict[str, float]]]:
        """All steps since the last reading.

        Raises:
            TrainingError: a number is not finite; the message names the first such step.
        """
        flat = iter(torch.cat(self._values).tolist() if self._values else [])
        rows = [(step, {name: next(flat) for name in names}) for step, names in self._names]
        self._names, self._values = [], []
        for step, values in rows:
            _require_sound(step, values)
        return rows


def _require_sound(step: int, values: dict[str, float]) -> None:
    if values.pop(INFINITE, 0):
        raise TrainingError(f"a teacher gave an infinite score at step {step}; wanted numbers, or NaN for no opinion")
    broken = [name for name, value in values.items() if not math.isfinite(value)]
    if broken:
        raise TrainingError(f"the loss is not finite at step {step}: {', '.join(broken)}; lower 'rate' or raise 'clip'")
