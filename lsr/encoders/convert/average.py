"""What do several runs from one start know together? The mean of their weights (arXiv 2203.05482, section 2)."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.neural import write_manifest
from lsr.encoders.storage.files import file_hashes, read_tensors
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError

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
    from safetensors.numpy import save_file

    if len(folders) < 2:
        raise EncoderError(f"{len(folders)} encoder to average: wanted two or more")
    _require_like(folders)
    places = [path.relative_to(folders[0]) for path in sorted(folders[0].rglob("*.safetensors"))]
    with new_folder(target) as new:
        shutil.copytree(folders[0], new, dirs_exist_ok=True)
        for place in places:
            save_file(_means([folder / place for folder in folders]), new / place, {"format": "pt"})
        write_manifest(new, None)


def _require_like(folders: Sequence[Path]) -> None:
    """Refuse folders whose files beside weights and manifest are not the same."""
    first = _files(folders[0])
    for folder in folders[1:]:
        other = _files(folder)
        if differing := sorted(name for name in first.keys() | other.keys() if first.get(name) != other.get(name)):
            raise EncoderError(f"{folders[0]} and {folder} differ in {differing[0]}: wanted two runs of one start")


def _files(folder: Path) -> dict[str, str]:
    """Names of files, with a checksum of those that are no weights."""
    if not (folder / "encoder.toml").is_file():
        raise EncoderError(f"{folder} holds no encoder.toml: wanted the folder of an encoder that lsr train wrote")
    if exported := next(folder.rglob("*.onnx"), None):
        raise EncoderError(f"{exported}: an exported network; average the encoders it was made of")
    return {name: "" if name.endswith(".safetensors") else digest for name, digest in file_hashes(folder).items()}


def _means(places: Sequence[Path]) -> Tensors:
    found = [read_tensors(place) for place in places]
    shapes = [{name: tensor.shape for name, tensor in tensors.items()} for tensors in found]
    if any(other != shapes[0] for other in shapes):
        raise EncoderError(f"{places[0]} and its like hold other tensors: wanted two runs of one start")
    return {name: _mean([tensors[name] for tensors in found]) for name in found[0]}


def _mean(tensors: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Whole numbers, as positions, are those of the first."""
    first = tensors[0]
    return np.mean(tensors, 0, np.float64).astype(first.dtype) if first.dtype.kind == "f" else first
