"""How does a large network learn at little cost? By low-rank factors beside its matrices, added to them when saved."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from lsr.errors import TrainingError
from lsr.training.recipe import Adapter

DOWN, UP = "lora_down", "lora_up"


def add_adapter(body: nn.Module, settings: Adapter, seed: int = 0) -> None:
    """Give every matrix [out, in] that ``settings`` names factors [rank, in] and [out, rank]; the second starts at 0.

    A layer then gives ``W x + alpha / rank * up down x`` (Hu et al., LoRA, arXiv 2106.09685, section 4.1).

    Raises:
        TrainingError: the network has no such matrix.
    """
    random = torch.Generator().manual_seed(seed)
    linear = {name: layer for name, layer in body.named_modules() if isinstance(layer, nn.Linear)}
    chosen = [layer for name, layer in linear.items() if name.rsplit(".", 1)[-1] in settings.layers]
    if not chosen:
        found = ", ".join(sorted({name.rsplit(".", 1)[-1] for name in linear}))
        raise TrainingError(f"no matrix is called {', '.join(settings.layers)}; this network has {found}")
    for layer in chosen:
        noise = torch.rand(settings.rank, layer.in_features, generator=random)
        layer.register_parameter(DOWN, nn.Parameter((2 * noise - 1) / layer.in_features**0.5))
        layer.register_parameter(UP, nn.Parameter(torch.zeros(layer.out_features, settings.rank)))
        layer.register_forward_hook(partial(_added, settings.dropout))
        layer.lora_scale = settings.alpha / settings.rank  # type: ignore[assignment]


@contextlib.contextmanager
def merged(body: nn.Module) -> Iterator[None]:
    """While it lasts, ``body`` is a plain network whose matrices hold what their factors add."""
    layers = [layer for layer in body.modules() if hasattr(layer, DOWN)]
    kept = [(layer.weight.data, layer.lora_down, layer.lora_up) for layer in layers]
    for layer, (weight, down, up) in zip(layers, kept, strict=True):
        layer.weight.data = weight + layer.lora_scale * (up @ down).detach()  # type: ignore[operator]
        del layer.lora_down, layer.lora_up
    try:
        yield
    finally:
        for layer, (weight, down, up) in zip(layers, kept, strict=True):
            layer.weight.data, layer.lora_down, layer.lora_up = weight, down, up


def _added(dropout: float, layer: nn.Module, given: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
    x = torch.nn.functional.dropout(given[0], dropout, layer.training)
    linear = torch.nn.functional.linear
    return output + layer.lora_scale * linear(linear(x, layer.lora_down), layer.lora_up)  # type: ignore[operator, arg-type]
