"""How are JSON and tensors of a model folder read and written, safely? Nothing is unpickled, no code is run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus.values import NOT_JSON
from lsr.encoders.parts.part import Parts
from lsr.errors import EncoderError

SCALE = ".scale"
TYPES = {  # of safetensors, as numpy has them
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?"},
}
LARGE = 1 << 12  # numbers from which a matrix is worth storing as bytes


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        EncoderError: missing or not JSON.
    """
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError:
        raise EncoderError(f"{path.parent} holds no complete model: {path.name} is missing") from None
    except NOT_JSON as error:
        raise EncoderError(f"{path}: not JSON ({error})") from None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; `EncoderError` for any other value."""
    value = read_json(path)
    if not isinstance(value, dict):
        raise EncoderError(f"{path}: found {type(value).__name__}, wanted a JSON object")
    return value


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file as they are, bfloat16 as float32.

    Shapes and dtypes are those of the file, [...].

    Raises:
        EncoderError: missing, damaged, or numbers of a type that numpy has not.
    """
    from safetensors import SafetensorError, deserialize

    try:
        return {name: _array(name, tensor) for name, tensor in deserialize(path.read_bytes())}  # type: ignore[no-untyped-call]
    except FileNotFoundError:
        pickled = [p.name for p in path.parent.glob("*.bin")]
        hint = f" ({pickled[0]} is pickled and is not read, convert it)" if pickled else ""
        raise EncoderError(f"{path.parent} holds no complete model: {path.name} is missing{hint}") from None
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise EncoderError(f"{path}: not a readable safetensors file ({error})") from None


def _array(name: str, tensor: Mapping[str, Any]) -> NDArray[Any]:
    """A tensor of `safetensors.deserialize`; bfloat16 is the upper half of a float32."""
    kind = tensor["dtype"]
    if kind == "BF16":
        upper = np.frombuffer(tensor["data"], "<u2").astype(np.uint32)
        return (upper << 16).view(np.float32).reshape(tensor["shape"])
    if kind not in TYPES:
        raise ValueError(f"tensor {name!r} has numbers of type {kind}, wanted {', '.join(TYPES)} or BF16")
    return np.frombuffer(tensor["data"], TYPES[kind]).reshape(tensor["shape"]).copy()


def write_tensors(path: Path, tensors: dict[str, NDArray[Any]]) -> None:
    """Write a safetensors file; `OSError`, which says what is wrong with a disk, where that cannot be.

    Tensors are [...], of any dtype of safetensors.
    """
    from safetensors.numpy import save

    path.write_bytes(save(dict(sorted(tensors.items()))))


def read_parts(path: Path) -> Parts:
    """The tensors of a safetensors file as float32; bytes are multiplied by the scale of their row.

    Row numbers, int32[n], stay what they are. Shapes are those of the file, [...].
    """
    found = read_tensors(path)
    scales = {name.removesuffix(SCALE): found.pop(name) for name in list(found) if name.endswith(SCALE)}
    whole = {
        name: tensor if tensor.dtype == np.int32 else tensor.astype(np.float32, copy=False)
        for name, tensor in found.items()
    }
    return whole | {name: whole[name] * scale for name, scale in scales.items()}


def as_bytes(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix float32[n, m] as int8[n, m] and a scale float32[n]; off by half a scale at most."""
    scale = np.maximum(np.abs(matrix).max(1), 1e-12) / 127
    return np.round(matrix / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def small_parts(parts: Parts) -> dict[str, NDArray[Any]]:
    """The same with large matrices as bytes, large vectors in half precision; `read_parts` gives them back.

    float32[n, m] becomes int8[n, m] and a scale float32[n, 1]; a large float32[n] becomes float16[n].

    Places, whole numbers from 0 on, stay what they are: half precision would move them from 2048 on.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, part in parts.items():
        if part.size < LARGE or part.dtype == np.int32:
            found[name] = part
        elif part.min() >= 0 and (part == np.rint(part)).all():
            found[name] = part.astype(np.min_scalar_type(int(part.max())))
        elif part.ndim == 2:
            found[name], scale = as_bytes(part)
            found[name + SCALE] = scale[:, None]
        else:
            found[name] = part.astype(np.float16)
    return found


def refuse_remote_code(folder: Path) -> None:
    """`EncoderError` where a configuration asks for code of its own."""
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and read_object(folder / name).get("auto_map"):
            raise EncoderError(f"{folder / name} asks for code of its own (auto_map); no code of a model is ever run")


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its path, but for the list itself."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lsr.json"]
    return {str(path.relative_to(folder)): file_hash(path).hex() for path in paths}


def file_hash(path: Path) -> bytes:
    """SHA-256 of a file.

    Raises:
        EncoderError: it is missing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        raise EncoderError(f"{path.parent} holds no complete model: {path.name} is missing") from None
