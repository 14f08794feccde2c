"""How does a run survive being stopped? Everything that decides its future, as tensors and JSON, never pickled."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from lsr.errors import TrainingError

TENSORS, STATE = "state.safetensors", "state.json"
KEPT = 2  # checkpoints that stay


class Checkpoint(NamedTuple):
    """Tensors by name, and the rest as JSON."""

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]


def write_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write ``folder``/step-N in one rename, then remove all but the newest two."""
    path, partial = folder / f"step-{step:08d}", folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}, partial / TENSORS
    )
    state = checkpoint.state | {"sha256": _hash(partial / TENSORS)}
    (partial / STATE).write_bytes(msgspec.json.encode(state))
    shutil.rmtree(path, ignore_errors=True)
    partial.rename(path)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return path


def checkpoints(folder: Path) -> list[Path]:
    """Finished checkpoints, oldest first."""
    return sorted(folder.glob("step-*"))


def read_checkpoint(folder: Path) -> Checkpoint:
    """The newest checkpoint in ``folder``.

    Raises:
        TrainingError: there is none, or it is damaged; the message names the one before it. Nothing is removed.
    """
    found = checkpoints(folder)
    if not found:
        raise TrainingError(f"{folder} holds no checkpoint: start without --resume")
    path = found[-1]
    try:
        state = msgspec.json.decode((path / STATE).read_bytes())
        if _hash(path / TENSORS) != state["sha256"]:
            raise ValueError("its checksum is wrong")
        return Checkpoint(load_file(path / TENSORS), state)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        before = f"remove it to go on from {found[-2].name}" if len(found) > 1 else "start again without --resume"
        raise TrainingError(f"{path}: the checkpoint is damaged ({error}); {before}") from None


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The state of an optimiser by "optimiser.PARAMETER.NAME"."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `optimiser_tensors` gave."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where the generators of random numbers stand."""
    found = {"random.cpu": torch.get_rng_state()}
    return found | ({"random.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_random(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put the generators back."""
    torch.set_rng_state(state["random.cpu"])
    if device.type == "cuda" and "random.cuda" in state:
        torch.cuda.set_rng_state(state["random.cuda"], device)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
