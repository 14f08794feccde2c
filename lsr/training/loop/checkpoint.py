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
    """Tensors by name, the rest as JSON, and what is wrong with newer ones that were passed over."""

    tensors: dict[str, torch.Tensor]
    state: dict[str, Any]
    passed_over: tuple[str, ...] = ()


def write_checkpoint(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Write ``folder``/step-N in one rename, then remove all but the newest two."""
    path, partial = folder / f"step-{step:08d}", folder / "partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()}, partial / TENSORS
    )
    state = checkpoint.state | {"sha256": _hash(partial / TENSORS, checkpoint.state)}
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
    """The newest checkpoint in ``folder`` that is whole. Nothing is removed.

    Raises:
        TrainingError: there is none, or all are damaged.
    """
    if not (found := checkpoints(folder)):
        raise TrainingError(f"{folder} holds no checkpoint: start without --resume")
    faults: list[str] = []
    for path in reversed(found):
        try:
            return Checkpoint(*_read(path), tuple(faults))
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
            faults.append(f"{path}: the checkpoint is damaged ({error})")
    raise TrainingError(f"{'; '.join(faults)}; no other is there: start again without --resume")


def _read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    state = msgspec.json.decode((path / STATE).read_bytes())
    if state.pop("sha256") != _hash(path / TENSORS, state):
        raise ValueError("its checksum is wrong")
    return load_file(path / TENSORS), state


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The state of an optimiser by "optimiser.PARAMETER.NAME". Tensors are [...], as the optimiser keeps them."""
    state = optimiser.state_dict()["state"]
    return {f"optimiser.{i}.{name}": value for i, values in state.items() for name, value in values.items()}


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put back what `optimiser_tensors` gave. Tensors are [...], as the optimiser keeps them."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimiser."):
            _, number, name = key.split(".", 2)
            state.setdefault(int(number), {})[name] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})


def random_state(device: torch.device) -> dict[str, torch.Tensor]:
    """Where the generators of random numbers stand. Each is uint8[N]."""
    found = {"random.cpu": torch.get_rng_state()}
    return found | ({"random.cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def restore_random(state: dict[str, torch.Tensor], device: torch.device) -> None:
    """Put the generators back. Each is uint8[N]."""
    torch.set_rng_state(state["random.cpu"])
    if device.type == "cuda" and "random.cuda" in state:
        torch.cuda.set_rng_state(state["random.cuda"], device)


def _hash(path: Path, state: dict[str, Any]) -> str:
    """Of the tensors and of the rest."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    digest.update(msgspec.json.encode(state))
    return digest.hexdigest()
