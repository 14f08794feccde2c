"""Which parameters learn, how fast, and what is their average?"""

from __future__ import annotations

from typing import Any

import torch

from lsr.errors import TrainingError
from lsr.training.recipe import Recipe
from lsr.training.student.student import Student

Named = dict[str, torch.nn.Parameter]


def learning(student: Student, recipe: Recipe) -> Named:
    """Parameters that the recipe does not freeze, by name; the others ask for no gradient from now on.

    Raises:
        TrainingError: none is left.
    """
    named = {name: p for name, p in student.named_parameters() if _learns(name, recipe)}
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(name in named)
    if not named:
        raise TrainingError(f"recipe {recipe.title!r} freezes every parameter; leave some out of 'freeze'")
    return named


def _learns(name: str, recipe: Recipe) -> bool:
    return "lora_" in name or not any(part in name for part in recipe.freeze)


def adamw(named: Named, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW with a group for each rate and decay; one kernel does a step."""
    return torch.optim.AdamW(_groups(named, recipe), eps=recipe.epsilon, fused=True)


def set_rates(optimiser: torch.optim.Optimizer, recipe: Recipe, step: int) -> None:
    """The rates of ``step``."""
    course = recipe.rate.at(step, recipe.steps) / recipe.rate.value
    for group in optimiser.param_groups:
        group["lr"] = group["peak"] * course


class Average:
    """The moving average of parameters.

    Args:
        named: what to follow.
        keep: share of the average that a step keeps; 0 for no average.
    """

    def __init__(self, named: Named, keep: float) -> None:
        self.values = {name: p.detach().clone() for name, p in named.items()} if keep else {}
        self._keep, self._followed = keep, [named[name].detach() for name in self.values]

    def follow(self, step: int) -> None:
        """Move towards the weights; the first steps move farther."""
        if self.values:
            part = 1 - min(self._keep, step / (step + 10))
            torch._foreach_lerp_(list(self.values.values()), self._followed, part)

    def swap(self) -> None:
        """Exchange weights and their average."""
        for value, weight in zip(self.values.values(), self._followed, strict=True):
            kept = weight.clone()
            weight.copy_(value)
            value.copy_(kept)


def _groups(named: Named, recipe: Recipe) -> list[dict[str, Any]]:
    """One group for each rate and decay; vectors, biases and tables do not decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in named.items():
        rate = next((rate for part, rate in recipe.rates.items() if part in name), recipe.rate.value)
        groups.setdefault((rate, recipe.decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
