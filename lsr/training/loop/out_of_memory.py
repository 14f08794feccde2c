"""What is said when memory runs out? One clear error, whoever ran out of it: a GPU, torch on a CPU, or numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from lsr.errors import TrainingError

ON_A_CPU = ("allocate memory", "not enough memory")  # torch raises a plain RuntimeError there


@contextmanager
def memory_watched(stopped: Callable[[str], TrainingError], step: Callable[[], int]) -> Iterator[None]:
    """Turn a lack of memory into an error that says what to change.

    Args:
        stopped: makes the error of a fault.
        step: which one it is.

    Raises:
        TrainingError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_lack(error):
            raise
        raise stopped(
            f"out of memory at step {step()}: set 'chunk' to encode fewer texts at a time, or lower 'batch'"
        ) from None


def _is_lack(error: Exception) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ON_A_CPU)
