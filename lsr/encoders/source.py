"""What does a model folder hold? A declaration, a tokenizer and, for each side, a network and tensors.

Read without torch and without running anything from the folder. Three layouts: ours (`encoder.toml`),
sentence-transformers (`modules.json`) and a plain Hugging Face language model (`config.json`, with an `idf.json` beside
it for OpenSearch's inference-free models).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus.values import NOT_JSON
from lsr.encoders.declaration import Declaration, Side, parse_declaration, read_system
from lsr.encoders.initial import Parts
from lsr.errors import EncoderError

FORMAT = 1
PARTS = "parts.safetensors"
BODY = "body.onnx"
SCALE = ".scale"
TYPES = {  # of safetensors, as numpy has them
    **{"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1"},
    **{"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?"},
}
LARGE = 1 << 12  # numbers from which a matrix is worth storing as bytes
STEMS = "stems.txt"  # beside tokenizer.json
FOLDED = "folded.json"  # beside two encoders, base and expander
ADAPTER = "adapter"  # folder of a low-rank adapter, below that of the network
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@dataclass(frozen=True)
class SideSource:
    """Where one side's network and tensors are.

    Attributes:
        side: which parts.
        tokenizer: a ``tokenizer.json``.
        model: a Hugging Face folder, or None.
        onnx: a body exported for onnxruntime, or None.
        parts: tensors of head and gates.
    """

    side: Side
    tokenizer: Path
    model: Path | None = None
    onnx: Path | None = None
    parts: Parts = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """Everything that decides an encoder's vectors; ``query`` is None where documents and queries share weights.

    Attributes:
        stated: the fingerprint that an export took over from the encoder it was made of, or None.
    """

    folder: Path
    declaration: Declaration
    document: SideSource
    query: SideSource | None = None
    stated: str | None = None

    @property
    def asking(self) -> SideSource:
        """What encodes queries."""
        return self.query or self.document


def read_source(folder: Path, system: str | None = None) -> Source:
    """What ``folder`` holds; ``system`` names the parts of a plain Hugging Face folder (None: splade-v2).

    Raises:
        EncoderError: no layout that is known, or one that is damaged.
    """
    from lsr.encoders import sentence_transformers

    if (folder / "encoder.toml").is_file():
        return _read_own(folder)
    if (folder / "modules.json").is_file():
        return sentence_transformers.read(folder)
    if (folder / "config.json").is_file():
        return _read_plain(folder, system)
    if (folder / FOLDED).is_file():
        raise EncoderError(f"{folder} holds two encoders, folded into one: name one of them, as {folder / 'base'}")
    raise EncoderError(
        f"{folder} holds no encoder: found neither bm25.json nor encoder.toml nor modules.json nor config.json"
    )


def fingerprint(source: Source) -> str:
    """Hash of weights, vocabulary, parts, length and text template; equal hashes give equal vectors."""
    if source.stated:
        return source.stated
    declaration = source.declaration
    digest = hashlib.sha256(msgspec.json.encode([declaration.document, declaration.query, declaration.scorer]))
    for side in (source.document, *([source.query] if source.query else [])):
        digest.update(side.tokenizer.read_bytes())
        if side.side.stems:
            digest.update((side.tokenizer.parent / STEMS).read_bytes())
        for path in _decisive(side):
            digest.update(path.name.encode())
            digest.update(_hash(path))
        for name, tensor in sorted(side.parts.items()):
            digest.update(f"{name}{tensor.shape}{tensor.dtype}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
    return f"neural-{digest.hexdigest()[:32]}"


def weight_files(model: Path) -> list[Path]:
    """The safetensors of a Hugging Face network, without those of ours and of an adapter beside it."""
    return [path for path in sorted(model.glob("*.safetensors")) if path.name not in (PARTS, ADAPTER_WEIGHTS)]


def network_files(model: Path) -> list[Path]:
    """All files that decide what a Hugging Face network computes, those of an adapter too."""
    adapter = [model / ADAPTER / name for name in (ADAPTER_CONFIG, ADAPTER_WEIGHTS)]
    return [*weight_files(model), model / "config.json", *(path for path in adapter if path.is_file())]


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
    """Write a safetensors file; `OSError`, which says what is wrong with a disk, where that cannot be."""
    from safetensors.numpy import save

    path.write_bytes(save(dict(sorted(tensors.items()))))


def read_parts(path: Path) -> Parts:
    """The tensors of a safetensors file as float32; bytes are multiplied by the scale of their row."""
    found = read_tensors(path)
    scales = {name.removesuffix(SCALE): found.pop(name) for name in list(found) if name.endswith(SCALE)}
    whole = {name: tensor.astype(np.float32, copy=False) for name, tensor in found.items()}
    return whole | {name: whole[name] * scale for name, scale in scales.items()}


def as_bytes(matrix: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """A matrix float32[n, m] as int8[n, m] and a scale float32[n]; off by half a scale at most."""
    scale = np.maximum(np.abs(matrix).max(1), 1e-12) / 127
    return np.round(matrix / scale[:, None]).astype(np.int8), scale.astype(np.float32)


def small_parts(parts: Parts) -> dict[str, NDArray[Any]]:
    """The same with large matrices as bytes, large vectors in half precision; `read_parts` gives them back.

    Places, whole numbers from 0 on, stay what they are: half precision would move them from 2048 on.
    """
    found: dict[str, NDArray[Any]] = {}
    for name, part in parts.items():
        if part.size < LARGE:
            found[name] = part
        elif part.min() >= 0 and (part == np.rint(part)).all():
            found[name] = part.astype(np.min_scalar_type(int(part.max())))
        elif part.ndim == 2:
            found[name], scale = as_bytes(part)
            found[name + SCALE] = scale[:, None]
        else:
            found[name] = part.astype(np.float16)
    return found


def width_of(source: SideSource) -> int:
    """Columns of one side's vectors as its files say, no network read; 0 where only the network knows."""
    if source.side.stems or source.side.head not in ("vocabulary", "token-weight"):
        return 0
    if source.onnx:
        size, bias = source.parts.get("vocabulary_size"), source.parts.get("vocabulary_bias")
        return int(size[0]) if size is not None else 0 if bias is None else bias.size
    return int(read_object(source.model / "config.json").get("vocab_size") or 0) if source.model else 0


def refuse_remote_code(folder: Path) -> None:
    """`EncoderError` where a configuration asks for code of its own."""
    for name in ("config.json", "tokenizer_config.json"):
        if (folder / name).is_file() and read_object(folder / name).get("auto_map"):
            raise EncoderError(f"{folder / name} asks for code of its own (auto_map); no code of a model is ever run")


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` by its path, but for the list itself."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lsr.json"]
    return {str(path.relative_to(folder)): _hash(path).hex() for path in paths}


def _read_own(folder: Path) -> Source:
    manifest = _read_manifest(folder)
    try:
        text = (folder / "encoder.toml").read_text("utf-8")
    except UnicodeDecodeError as error:
        raise EncoderError(f"{folder / 'encoder.toml'}: not UTF-8 ({error})") from None
    declaration = parse_declaration(text, folder / "encoder.toml")
    document = _own_side(folder / "document", declaration.document, folder / "tokenizer.json")
    query = None
    if (folder / "query").is_dir():
        query = _own_side(folder / "query", declaration.asking, folder / "tokenizer.json")
    elif declaration.separate or declaration.asking.backbone not in ("none", declaration.document.backbone):
        raise EncoderError(f"{folder} holds no complete model: the folder query is missing")
    return Source(folder, declaration, document, query, manifest.get("fingerprint"))


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_object(folder / "lsr.json")
    if manifest.get("format") != FORMAT:
        raise EncoderError(f"{folder}: format {manifest.get('format')!r}, wanted {FORMAT}; export it with this version")
    for name, wanted in manifest.get("files", {}).items():
        path = folder / name
        if not path.is_file():
            raise EncoderError(f"{folder} holds no complete model: {name} is missing")
        if _hash(path).hex() != wanted:
            raise EncoderError(f"{path}: its checksum is wrong; the file is damaged or was changed")
    return manifest


def _own_side(folder: Path, side: Side, tokenizer: Path) -> SideSource:
    tokenizer = folder / "tokenizer.json" if (folder / "tokenizer.json").is_file() else tokenizer
    parts = read_parts(folder / PARTS) if (folder / PARTS).is_file() else {}
    onnx = folder / BODY if (folder / BODY).is_file() else None
    model = folder if (folder / "config.json").is_file() and onnx is None else None
    if side.backbone != "none" and not (model or onnx):
        raise EncoderError(f"{folder} holds no complete model: found neither config.json nor {BODY}")
    if model:
        refuse_remote_code(model)
    return SideSource(side, tokenizer, model, onnx, parts)


def _read_plain(folder: Path, system: str | None) -> Source:
    """A masked language model; with ``idf.json`` beside it queries are looked up there."""
    from lsr.encoders.sentence_transformers import max_length
    from lsr.encoders.tables import read_idf

    refuse_remote_code(folder)
    weighted = (folder / "idf.json").is_file()
    declaration = read_system(system or ("opensearch-doc-v2" if weighted else "splade-v2"))
    tokenizer = folder / "tokenizer.json"
    side = msgspec.structs.replace(declaration.document, max_length=max_length(folder))
    document = SideSource(side, tokenizer, model=folder)
    asking = declaration.query and msgspec.structs.replace(declaration.query, max_length=side.max_length)
    query = None
    if weighted and asking and asking.head == "table":
        query = SideSource(asking, tokenizer, parts={"table": read_idf(folder / "idf.json", tokenizer)})
    elif asking and asking.backbone != side.backbone:
        model = folder if asking.backbone != "none" else None
        query = SideSource(asking, tokenizer, model=model)
    return Source(folder, declaration.replace(document=side, query=asking), document, query)


def _decisive(side: SideSource) -> Iterator[Path]:
    """The files of a network that decide its output."""
    if side.onnx:
        yield side.onnx
    if side.model:
        yield from network_files(side.model)


def _hash(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        raise EncoderError(f"{path.parent} holds no complete model: {path.name} is missing") from None
