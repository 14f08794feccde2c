"""How do the positions of a text become one vector? By the weights of all positions, or by one state."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from lsr.encoders.parts.part import Pool, Vector

if TYPE_CHECKING:
    import torch


class WeightPool(Pool):
    """Weights of a term at several positions become one.

    Attributes:
        reduce: the operation, as torch names it.
        ufunc: the same in numpy.
    """

    pooled = "repeated tokens"
    reduce: ClassVar[str]
    ufunc: ClassVar[Any]


class Max(WeightPool):
    """The largest."""

    name, about, reduce, ufunc = "max", "the largest weight of a term", "amax", np.maximum


class Sum(WeightPool):
    """The sum."""

    name, about, reduce, ufunc = "sum", "the sum of the weights of a term", "sum", np.add


class StatePool(Pool, ABC):
    """The states of a text become one."""

    pooled = "states"

    @abstractmethod
    def tensor(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """States float[B, H] of float[B, L, H], over positions bool[B, L] that count; zeros where none does."""

    @abstractmethod
    def one(self, states: Vector) -> Vector:
        """The state float32[H] of float32[L, H], L of 1 or more."""

    def array(self, states: Vector) -> Vector:
        """The state float32[H] of float32[L, H]; zeros where L is 0."""
        return np.asarray(self.one(states) if len(states) else np.zeros(states.shape[1]), np.float32)


class Mean(StatePool):
    """The mean."""

    name, about = "mean", "the mean state"

    def tensor(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As `StatePool.tensor`: float[B, L, H] to float[B, H]."""
        return (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp(min=1e-9)

    def one(self, states: Vector) -> Vector:
        """As `StatePool.one`: float32[L, H] to float32[H]."""
        mean: Vector = states.mean(0)
        return mean


class First(StatePool):
    """The first position, which is a special token in most networks."""

    name, about = "cls", "the first state"

    def tensor(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As `StatePool.tensor`: float[B, L, H] to float[B, H]."""
        return _picked(hidden, mask, mask.long().argmax(1))

    def one(self, states: Vector) -> Vector:
        """As `StatePool.one`: float32[L, H] to float32[H]."""
        first: Vector = states[0]
        return first


class Last(StatePool):
    """The last position, which alone has read everything in a causal network."""

    name, about = "last", "the last state"

    def tensor(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """As `StatePool.tensor`: float[B, L, H] to float[B, H]."""
        return _picked(hidden, mask, mask.shape[1] - 1 - mask.flip(1).long().argmax(1))

    def one(self, states: Vector) -> Vector:
        """As `StatePool.one`: float32[L, H] to float32[H]."""
        last: Vector = states[-1]
        return last


def _picked(hidden: torch.Tensor, mask: torch.Tensor, at: torch.Tensor) -> torch.Tensor:
    import torch

    states = hidden[torch.arange(hidden.shape[0], device=hidden.device), at]
    return states * mask.any(1, keepdim=True)


POOLS: dict[str, WeightPool | StatePool] = {pool.name: pool for pool in (Max(), Sum(), Mean(), First(), Last())}


def state_pool(name: str) -> StatePool:
    """The pool of states called ``name``, which a declaration that was checked names."""
    pool = POOLS[name]
    assert isinstance(pool, StatePool)  # noqa: S101  `Head.fault` says so
    return pool


def weight_pool(name: str) -> WeightPool:
    """The pool of weights called ``name``, which a declaration that was checked names."""
    pool = POOLS[name]
    assert isinstance(pool, WeightPool)  # noqa: S101  `Head.fault` says so
    return pool


def names_of(kind: type[Pool]) -> list[str]:
    """Pools of one kind."""
    return [name for name, pool in POOLS.items() if isinstance(pool, kind)]
