"""What do several runs from one start know together? The mean of their weights (arXiv 2203.05482, section 2)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural import write_manifest
from lsr.encoders.source import read_tensors
from lsr.errors import EncoderError

MANIFEST = "lsr.json"
Tensors = dict[str, NDArray[Any]]


def average(folders: Sequence[Path], target: Path) -> None:
    """Write an encoder whose weights are the means of those in ``folders`` into the new folder ``target``.

    Args:
        folders: two or more, of one system, that started from the same weights.
        target: made here.

    Raises:
        EncoderError: fewer than two folders, files that differ beside the weights, tensors of other names or shapes,
            an exported encoder, a ``target`` that is there.
    """
    if len(folders) < 2:
        raise EncoderError(f"{len(folders)} encoder to average: wanted two or more")
    if target.exists():
        raise EncoderError(f"{target} is there already: name a new folder")
    _require_like(folders)
    shutil.copytree(folders[0], target)
    for place in sorted(target.rglob("*.safetensors")):
        _average_file([folder / place.relative_to(target) for folder in folders], place)
    write_manifest(target, None)


def _require_like(folders: Sequence[Path]) -> None:
    """Refuse folders whose files beside weights and manifest are not the same."""
    first = _files(folders[0])
    for folder in folders[1:]:
        other = _files(folder)
        if differing := sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name)):
            raise EncoderError(f"{folders[0]} and {folder} differ in {differing[0]}: wanted two runs of one start")


def _files(folder: Path) -> dict[str, bytes]:
    if not (folder / "encoder.toml").is_file():
        raise EncoderError(f"{folder} holds no encoder.toml: wanted the folder of an encoder that lsr train wrote")
    if exported := next(folder.rglob("*.onnx"), None):
        raise EncoderError(f"{exported}: an exported network; average the encoders it was made of")
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return {str(p.relative_to(folder)): b"" if p.suffix == ".safetensors" else p.read_bytes() for p in kept}


def _average_file(places: Sequence[Path], target: Path) -> None:
    from safetensors.numpy import save_file

    found = [read_tensors(place) for place in places]
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in found]
    if any(other != shapes[0] for other in shapes):
        raise EncoderError(f"{places[0]} and its like hold other tensors: wanted two runs of one start")
    save_file({name: _mean([tensors[name] for tensors in found]) for name in found[0]}, target, {"format": "pt"})


def _mean(tensors: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Whole numbers, as positions, are those of the first."""
    first = tensors[0]
    return np.mean(tensors, 0, np.float64).astype(first.dtype) if first.dtype.kind == "f" else first
