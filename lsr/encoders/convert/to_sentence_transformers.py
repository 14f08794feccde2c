"""How does an encoder of ours become a sentence-transformers folder? As version 6 writes it, module by module."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.side import Side
from lsr.encoders.storage.files import read_object
from lsr.encoders.storage.layout import SideSource, weight_files
from lsr.encoders.storage.sentence_transformers import ACTIVATIONS
from lsr.encoders.storage.writer import new_folder
from lsr.encoders.tokens.word_pieces import read_tokenizer
from lsr.errors import EncoderError

PREFIX = "sentence_transformers."
TYPES = {
    "Transformer": f"{PREFIX}base.modules.transformer.Transformer",
    "Router": f"{PREFIX}base.modules.router.Router",
    "Pooling": f"{PREFIX}sentence_transformer.modules.pooling.Pooling",
    "SpladePooling": f"{PREFIX}sparse_encoder.modules.splade_pooling.SpladePooling",
    "SparseAutoEncoder": f"{PREFIX}sparse_encoder.modules.sparse_auto_encoder.SparseAutoEncoder",
    "SparseStaticEmbedding": f"{PREFIX}sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding",
}
ROLES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
DEAD_AFTER = 30  # steps without firing after which training there calls a latent dead


def write(encoder: NeuralEncoder, folder: Path) -> None:
    """Write ``encoder`` into the new folder ``folder`` so that ``SparseEncoder(folder)`` gives equal vectors.

    SPLADE (max or sum), a table of queries beside it, and TopK codes of a dense encoder.

    Raises:
        EncoderError: ``folder`` is there already, or a part has no counterpart there.
    """
    source = encoder.source
    query = encoder.declaration.query_side
    same = msgspec.structs.replace(query, prompt=source.document.side.prompt) == source.document.side
    if source.query is None and not same:
        raise EncoderError("queries with parts of their own on the documents' weights have no counterpart there")
    names = [_names(side) for side in (source.document, *([source.query] if source.query else []))]
    if len({(side.sparsifier, side.k) for side in (source.document.side, query)}) > 1:
        raise EncoderError("documents and queries that keep another number of terms have no counterpart there")
    with new_folder(folder) as new:
        if source.query is None:
            paths = ["", *(f"{i}_{name}" for i, name in enumerate(names[0][1:], 1))]
            _write_side(source.document, names[0], [new / path for path in paths])
            modules = list(zip(names[0], paths, strict=True))
        else:
            _write_router(source.query, source.document, names, new)
            modules = [("Router", "")]
        _json(new / "modules.json", [_module(i, *module) for i, module in enumerate(modules)])
        _json(new / "config_sentence_transformers.json", _settings(encoder, query))


def _module(number: int, name: str, path: str) -> dict[str, Any]:
    return {"idx": number, "name": str(number), "path": path, "type": TYPES[name]}


def _settings(encoder: NeuralEncoder, query: Side) -> dict[str, Any]:
    document = encoder.source.document.side
    settings: dict[str, Any] = {
        "model_type": "SparseEncoder",
        "prompts": {"query": query.prompt, "document": document.prompt},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine" if encoder.declaration.scorer == "cosine" else "dot",
    }
    return settings | ({"max_active_dims": document.k} if document.sparsifier == "topk" else {})


def _names(source: SideSource) -> list[str]:
    """The modules of one side."""
    side = source.side
    plain = not side.gates and side.view == "plain" and source.model is not None
    if side.head == "table" and "table" in source.parts:
        return ["SparseStaticEmbedding"]
    kept = side.sparsifier in ("none", "topk")
    saturated = side.activation in ACTIVATIONS.values() and side.pool in ("max", "sum") and kept
    if plain and side.head == "vocabulary" and saturated and side.backbone == "masked-lm":
        return ["Transformer", "SpladePooling"]
    if plain and side.head == "autoencoder" and side.sparsifier == "topk" and side.activation == "relu":
        return ["Transformer", "Pooling", "SparseAutoEncoder"]
    found = f"head {side.head!r}, activation {side.activation!r}, pool {side.pool!r}, sparsifier {side.sparsifier!r}"
    hint = " from an export without its model" if source.onnx else ""
    raise EncoderError(f"{found}{hint} has no counterpart in sentence-transformers")


def _write_router(query: SideSource, document: SideSource, names: list[list[str]], folder: Path) -> None:
    structure: dict[str, list[str]] = {}
    types: dict[str, str] = {}
    for route, side, modules in (("query", query, names[1]), ("document", document, names[0])):
        paths = [f"{route}_{i}_{name}" for i, name in enumerate(modules)]
        _write_side(side, modules, [folder / path for path in paths])
        structure[route] = paths
        types |= {path: TYPES[name] for path, name in zip(paths, modules, strict=True)}
    parameters = {"default_route": "document", "allow_empty_key": True, "route_mappings": {}}
    _json(folder / "router_config.json", {"types": types, "structure": structure, "parameters": parameters})


def _write_side(source: SideSource, names: list[str], paths: list[Path]) -> None:
    writers = {
        "Transformer": _write_transformer,
        "SpladePooling": _write_splade_pooling,
        "Pooling": _write_pooling,
        "SparseAutoEncoder": _write_autoencoder,
        "SparseStaticEmbedding": _write_table,
    }
    for name, path in zip(names, paths, strict=True):
        path.mkdir(parents=True, exist_ok=True)
        writers[name](source, path)


def _write_transformer(source: SideSource, folder: Path) -> None:
    if source.model is None:
        raise EncoderError("the model of an export is not there: write it from the folder that was exported")
    for path in [*weight_files(source.model), source.model / "config.json"]:
        shutil.copyfile(path, folder / path.name)
    _write_tokenizer(source, folder)
    task, method = ("fill-mask", "logits") if source.side.head == "vocabulary" else ("feature-extraction", None)
    output = {"method": "forward", "method_output_name": method or "last_hidden_state"}
    settings = {
        "transformer_task": task,
        "modality_config": {"text": output},
        "module_output_name": "token_embeddings",
    }
    _json(folder / "sentence_bert_config.json", settings)


def _write_tokenizer(source: SideSource, folder: Path) -> None:
    shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
    there = source.tokenizer.parent / "tokenizer_config.json"
    vocabulary = read_tokenizer(source.tokenizer).get_vocab()
    roles = {role: token for role, token in ROLES.items() if token in vocabulary}
    settings = read_object(there) if there.is_file() else {"tokenizer_class": "PreTrainedTokenizerFast", **roles}
    _json(folder / "tokenizer_config.json", {**settings, "model_max_length": source.side.max_length})


def _write_splade_pooling(source: SideSource, folder: Path) -> None:
    activation = next(name for name, ours in ACTIVATIONS.items() if ours == source.side.activation)
    terms = read_object(source.model / "config.json")["vocab_size"] if source.model else None
    settings = {"pooling_strategy": source.side.pool, "activation_function": activation, "embedding_dimension": terms}
    _json(folder / "config.json", settings)


def _write_pooling(source: SideSource, folder: Path) -> None:
    mode = {"last": "lasttoken"}.get(source.side.pool, source.side.pool)
    settings = {"embedding_dimension": source.parts["centre"].size, "pooling_mode": mode, "include_prompt": True}
    _json(folder / "config.json", settings)


def _write_autoencoder(source: SideSource, folder: Path) -> None:
    side, parts = source.side, source.parts
    size = parts["code_bias"].size
    settings = {
        "input_dim": parts["centre"].size,
        "hidden_dim": size,
        "k": side.k,
        "k_aux": min(512, size),
        "normalize": side.centred,
        "dead_threshold": DEAD_AFTER,
    }
    _json(folder / "config.json", settings)
    tensors = {
        "decoder.linear.weight": parts["code_weight"],
        "latent_bias": parts["code_bias"],
        "pre_bias": parts["centre"],
        "stats_last_nonzero": np.zeros(size, np.int64),
    }
    _tensors(folder, tensors)


def _write_table(source: SideSource, folder: Path) -> None:
    _write_tokenizer(source, folder)
    _json(folder / "config.json", {"frozen": False})
    _tensors(folder, {"weight": source.parts["table"]})


def _tensors(folder: Path, tensors: dict[str, Any]) -> None:
    from safetensors.numpy import save_file

    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _json(path: Path, value: Any) -> None:
    path.write_bytes(msgspec.json.format(msgspec.json.encode(value)))
