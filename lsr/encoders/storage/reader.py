"""What does a model folder hold? A declaration, a tokenizer and, for each side, a network and tensors.

Read without torch and without running anything from the folder. Three layouts: ours (`encoder.toml`),
sentence-transformers (`modules.json`) and a plain Hugging Face language model (`config.json`, with an `idf.json` beside
it for OpenSearch's inference-free models).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lsr.encoders.declaration import parse_declaration, read_system
from lsr.encoders.side import Side
from lsr.encoders.storage import sentence_transformers
from lsr.encoders.storage.files import file_hash, read_object, read_parts, refuse_remote_code
from lsr.encoders.storage.idf import read_idf
from lsr.encoders.storage.layout import BODY, EXPANDED, FORMAT, PARTS, SideSource, Source, network_files
from lsr.encoders.tokens.stem_tokens import STEMS
from lsr.errors import EncoderError


def read_source(folder: Path, system: str | None = None) -> Source:
    """What ``folder`` holds; ``system`` names the parts of a plain Hugging Face folder (None: splade-v2).

    Raises:
        EncoderError: no layout that is known, or one that is damaged.
    """
    if (folder / "encoder.toml").is_file():
        return _read_own(folder)
    if (folder / "modules.json").is_file():
        return sentence_transformers.read(folder)
    if (folder / "config.json").is_file():
        return _read_plain(folder, system)
    if (folder / EXPANDED).is_file():
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
            digest.update(file_hash(path))
        for name, tensor in sorted(side.parts.items()):
            digest.update(f"{name}{tensor.shape}{tensor.dtype}".encode())
            digest.update(np.ascontiguousarray(tensor).tobytes())
    return f"neural-{digest.hexdigest()[:32]}"


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
        query = _own_side(folder / "query", declaration.query_side, folder / "tokenizer.json")
    elif declaration.separate or declaration.query_side.backbone not in ("none", declaration.document.backbone):
        raise EncoderError(f"{folder} holds no complete model: the folder query is missing")
    return Source(folder, declaration, document, query, manifest.get("fingerprint"))


def _read_manifest(folder: Path) -> dict[str, Any]:
    manifest = read_object(folder / "lsr.json")
    if manifest.get("format") != FORMAT:
        raise EncoderError(f"{folder}: format {manifest.get('format')!r}, wanted {FORMAT}; export it with this version")
    files, stated = manifest.get("files", {}), manifest.get("fingerprint")
    if not isinstance(files, dict) or not (stated is None or (isinstance(stated, str) and stated)):
        raise EncoderError(f"{folder / 'lsr.json'} is damaged: wanted checksums of files, and a fingerprint or null")
    for name, wanted in files.items():
        path = folder / name
        if not path.is_file():
            raise EncoderError(f"{folder} holds no complete model: {name} is missing")
        if file_hash(path).hex() != wanted:
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
    refuse_remote_code(folder)
    weighted = (folder / "idf.json").is_file()
    declaration = read_system(system or ("opensearch-doc-v2" if weighted else "splade-v2"))
    tokenizer = folder / "tokenizer.json"
    side = msgspec.structs.replace(declaration.document, max_length=sentence_transformers.max_length(folder))
    document = SideSource(side, tokenizer, model=folder)
    query_side = declaration.query and msgspec.structs.replace(declaration.query, max_length=side.max_length)
    query = None
    if weighted and query_side and query_side.head == "table":
        query = SideSource(query_side, tokenizer, parts={"table": read_idf(folder / "idf.json", tokenizer)})
    elif query_side and query_side.backbone != side.backbone:
        model = folder if query_side.backbone != "none" else None
        query = SideSource(query_side, tokenizer, model=model)
    return Source(folder, declaration.replace(document=side, query=query_side), document, query)


def _decisive(side: SideSource) -> Iterator[Path]:
    """The files of a network that decide its output."""
    if side.onnx:
        yield side.onnx
    if side.model:
        yield from network_files(side.model)
