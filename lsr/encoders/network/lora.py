"""How does a low-rank adapter change a network? Its products are added to the weights, once, when they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from lsr.encoders.storage.files import read_object
from lsr.encoders.storage.layout import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from lsr.errors import EncoderError

PREFIX = "base_model.model."  # of tensor names that PEFT writes
DOWN, UP = ".lora_A.weight", ".lora_B.weight"
UNREAD = ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save")


def merge_adapter(model: nn.Module, folder: Path) -> None:
    """Add ``alpha / r * up @ down`` to every weight that the LoRA adapter in ``folder`` has factors for.

    Source: Hu et al., "LoRA", arXiv 2106.09685, section 4.1; with ``use_rslora`` the scale is alpha / sqrt(r).

    Args:
        model: the network that the adapter was trained on; changed in place.
        folder: ``adapter_config.json`` and ``adapter_model.safetensors`` as PEFT writes them.

    Raises:
        EncoderError: another kind of adapter, damaged files, or factors that do not fit the network.
    """
    scale = _scale(folder)
    tensors = _read(folder / ADAPTER_WEIGHTS)
    weights = dict(model.named_parameters())
    for name in [name for name in tensors if name.endswith(DOWN)]:
        stem = name.removesuffix(DOWN)
        down, up = tensors.pop(name), tensors.pop(stem + UP, None)
        weight = weights.get(stem.removeprefix(PREFIX) + ".weight")
        if up is None or weight is None or (up.shape[0], down.shape[1]) != tuple(weight.shape):
            raise EncoderError(f"{folder}: {stem} does not fit the network; it was trained on another one")
        with torch.no_grad():
            weight.add_(scale * (up.float() @ down.float()))
    if tensors:
        raise EncoderError(f"{folder}: tensor {next(iter(tensors))!r} is no factor of LoRA; merge this adapter first")


def _scale(folder: Path) -> float:
    config = read_object(folder / ADAPTER_CONFIG)
    if config.get("peft_type") != "LORA":
        raise EncoderError(f"{folder}: adapter of type {config.get('peft_type')!r}, wanted LORA; merge it first")
    unread = [name for name in UNREAD if config.get(name)]
    if unread or config.get("bias", "none") != "none":
        raise EncoderError(f"{folder}: {', '.join(unread) or 'bias'} is not read; merge this adapter first")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if not (isinstance(rank, int) and rank > 0 and isinstance(alpha, int | float)):
        raise EncoderError(f"{folder / ADAPTER_CONFIG}: r is {rank!r} and lora_alpha {alpha!r}, wanted numbers")
    return float(alpha) / (rank**0.5 if config.get("use_rslora") else rank)


def _read(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise EncoderError(f"{path}: not a readable safetensors file ({error})") from None
