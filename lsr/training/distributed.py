"""How do several processes take one step together? Each encodes its share; all know all vectors and one loss.

Every process draws the whole batch and computes the whole loss, with gradients that flow back to the process that made
a vector. Summed over processes and divided by their number they are those of one process with the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist

from lsr.errors import MissingExtraError


@dataclass(frozen=True)
class Processes:
    """One of ``size`` processes; alone, every method gives back what it got."""

    index: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process logs, measures and writes."""
        return self.index == 0

    def gather(self, own: torch.Tensor) -> torch.Tensor:
        """The rows float[n, V] of all processes, float[size * n, V], differentiable; ``n`` is the same everywhere."""
        return own if self.size == 1 else _Gather.apply(own.contiguous(), self.index)  # type: ignore[no-untyped-call]

    def product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """``left @ right.T``; every process multiplies its part of the rows of ``left``.

        ``left`` is float[Q, V], ``right`` float[N, V]; float[Q, N].
        """
        if self.size == 1:
            return left @ right.T
        step = -(-left.shape[0] // self.size)
        part = left[self.index * step : (self.index + 1) * step]
        filled = torch.nn.functional.pad(part, (0, 0, 0, step - part.shape[0]))
        return self.gather(filled @ right.T)[: left.shape[0]]

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Put the mean over processes in the place of every gradient."""
        if self.size > 1:
            gradients = [p.grad for p in parameters if p.grad is not None]
            flat = torch.cat([gradient.flatten() for gradient in gradients]) / self.size
            dist.all_reduce(flat)
            parts = torch.split(flat, [gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [p.view_as(g) for p, g in zip(parts, gradients, strict=True)])

    def tell(self, values: Sequence[float], device: torch.device) -> list[float]:
        """The numbers of the first process, everywhere."""
        if self.size == 1:
            return list(values)
        told = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(told, 0)
        return told.tolist()


ALONE = Processes()


def accelerator() -> Any:
    """Device and precision of this process, which joins the others that a launcher started.

    Raises:
        MissingExtraError: accelerate is not installed.
    """
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("accelerate", "train", "training") from None
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return Accelerator(mixed_precision="bf16" if half else "no")


class _Gather(torch.autograd.Function):
    """Rows of all processes; backward sums what all of them want of this one's."""

    @staticmethod
    def forward(ctx: Any, own: torch.Tensor, rank: int) -> torch.Tensor:
        ctx.part = slice(rank * own.shape[0], (rank + 1) * own.shape[0])
        found = own.new_empty(dist.get_world_size() * own.shape[0], *own.shape[1:])
        dist.all_gather_into_tensor(found, own)
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        if dist.get_backend() == "nccl":
            own = gradient.new_empty(ctx.part.stop - ctx.part.start, *gradient.shape[1:])
            dist.reduce_scatter_tensor(own, gradient.contiguous())
            return own, None
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient[ctx.part], None
