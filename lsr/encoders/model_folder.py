"""What does a model folder declare? Pooling, activation and length, read without running any of its code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from lsr.errors import EncoderError

DEFAULT_LENGTH = 512
ACTIVATIONS = {"relu": 1, "log1p_relu": 2}  # times log1p is applied after relu
POOLINGS = ("max", "sum")
TRANSFORMERS = ("Transformer", "MLMTransformer")
POOLING_MODULE = "SpladePooling"
DECISIVE = ("config.json", "tokenizer.json")
COPIED = (".json", ".txt", ".model", ".safetensors")


@dataclass(frozen=True)
class SpladeSettings:
    """What decides the vectors of a SPLADE folder, beside its weights.

    Attributes:
        folder: where the transformer lies.
        pooling: "max" or "sum" over the tokens.
        log1p: times ``log(1 + x)`` is applied after relu (1: SPLADE; 2: OpenSearch v3).
        max_length: word-pieces kept of a text, special ones included.
    """

    folder: Path
    pooling: str
    log1p: int
    max_length: int


def read_splade_settings(folder: Path) -> SpladeSettings:
    """Settings of a sentence-transformers SPLADE folder or of a plain masked-language-model folder.

    A plain folder means max pooling and one log1p (naver/splade).

    Raises:
        EncoderError: an unknown module type, or values that no SPLADE model has.
    """
    pooling: dict[str, Any] = {}
    transformer = folder
    if (folder / "modules.json").is_file():
        transformer, pooling = _read_modules(folder)
    strategy = pooling.get("pooling_strategy", "max")
    activation = pooling.get("activation_function", "relu")
    if strategy not in POOLINGS or activation not in ACTIVATIONS:
        raise EncoderError(
            f"{folder}: pooling {strategy!r} with activation {activation!r}; "
            f"wanted {' or '.join(POOLINGS)} with {' or '.join(ACTIVATIONS)}"
        )
    return SpladeSettings(transformer, strategy, ACTIVATIONS[activation], _max_length(transformer))


def fingerprint(settings: SpladeSettings) -> str:
    """Hash of settings, architecture, tokenizer and weights."""
    digest = hashlib.sha256(f"{settings.pooling} {settings.log1p} {settings.max_length}".encode())
    for path in [*sorted(settings.folder.glob("*.safetensors")), *(settings.folder / name for name in DECISIVE)]:
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"splade-{digest.hexdigest()[:32]}"


def model_files(folder: Path) -> Iterator[Path]:
    """The files of a model folder worth copying: settings, tokenizer, safetensors; nothing pickled, no code."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.suffix in COPIED)


def read_json(path: Path) -> Any:
    """The value in a JSON file.

    Raises:
        EncoderError: missing or not JSON.
    """
    try:
        return msgspec.json.decode(path.read_bytes())
    except OSError:
        raise EncoderError(f"{path.parent} holds no complete model: {path.name} is missing") from None
    except msgspec.DecodeError as error:
        raise EncoderError(f"{path}: not JSON ({error})") from None


def _read_modules(folder: Path) -> tuple[Path, dict[str, Any]]:
    modules = read_json(folder / "modules.json")
    names = [_class_name(module) for module in modules]
    if len(names) != 2 or names[0] not in TRANSFORMERS or names[1] != POOLING_MODULE:
        raise EncoderError(f"{folder}: modules {' + '.join(names)}; wanted Transformer + {POOLING_MODULE}")
    return folder / modules[0]["path"], read_json(folder / modules[1]["path"] / "config.json")


def _class_name(module: dict[str, Any]) -> str:
    """Last part of a module type; 5.0 to 5.3 wrote the module path, later versions add the class."""
    last = str(module.get("type", "?")).rsplit(".", 1)[-1]
    return last if last != "splade_pooling" else POOLING_MODULE


def _max_length(folder: Path) -> int:
    positions = read_json(folder / "config.json").get("max_position_embeddings", DEFAULT_LENGTH)
    lengths = [positions, DEFAULT_LENGTH]
    for name, key in (("sentence_bert_config.json", "max_seq_length"), ("tokenizer_config.json", "model_max_length")):
        if (folder / name).is_file() and isinstance(length := read_json(folder / name).get(key), int | float):
            lengths.append(length)
    return int(min(lengths))
