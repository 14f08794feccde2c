"""Which sentence-transformers folders are encoders of ours? Those of versions 5 and 6, by a closed list of modules."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lsr.encoders.declaration import Declaration, fault_of
from lsr.encoders.parts.registry import head_of
from lsr.encoders.side import Side
from lsr.encoders.storage.files import read_json, read_object, read_parts, refuse_remote_code
from lsr.encoders.storage.idf import read_idf
from lsr.encoders.storage.layout import SideSource, Source
from lsr.errors import EncoderError

DEFAULT_LENGTH, LONGEST = 512, 1 << 20
PACKAGE = "sentence_transformers."
# Version 5.0 to 5.3 wrote the module without the class; the class follows from it.
CLASSES = {
    "splade_pooling": "SpladePooling",
    "sparse_static_embedding": "SparseStaticEmbedding",
    "sparse_auto_encoder": "SparseAutoEncoder",
    "mlm_transformer": "MLMTransformer",
    "transformer": "Transformer",
    "pooling": "Pooling",
    "router": "Router",
    "normalize": "Normalize",
}
MODULES = tuple(CLASSES.values())
ACTIVATIONS: dict[str, str] = {"relu": "log1p", "log1p_relu": "log1p2"}
POOLINGS = ("max", "sum")


class Module(msgspec.Struct, frozen=True):
    """One module of a folder: its class and where its files are."""

    name: str
    path: Path


def read(folder: Path) -> Source:
    """The encoder in a folder with a ``modules.json``: SPLADE, a router of two sides, CSR, or a dense encoder.

    Raises:
        EncoderError: a module that is not on the list, or values that no such model has.
    """
    modules = _modules(folder)
    settings = read_object(folder / "config_sentence_transformers.json") if _configured(folder) else {}
    prompts = settings.get("prompts") or {}
    most = _most(folder, settings)
    if [module.name for module in modules] == ["Router"]:
        return _read_router(folder, modules[0].path, prompts, most)
    document = _side(folder, modules, prompts.get("document", ""), most)
    query = msgspec.structs.replace(document.side, prompt=prompts.get("query", ""))
    cosine = head_of(document.side).dense or settings.get("similarity_fn_name") == "cosine"
    declaration = Declaration(
        folder.resolve().name,
        "sentence-transformers",
        document.side,
        query if query != document.side else None,
        "cosine" if cosine else "dot",
    )
    return Source(folder, declaration, document)


def _most(folder: Path, settings: dict[str, Any]) -> int | None:
    """How many terms a vector keeps at most (``max_active_dims``); None where all stay."""
    most = settings.get("max_active_dims")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise EncoderError(f"{folder}: max_active_dims {most!r}; wanted a whole number from 1")
    return most


def max_length(folder: Path) -> int:
    """Tokens that a transformer's files say it reads, never more than it has positions for.

    ``max_seq_length`` of sentence-transformers goes before the tokenizer's ``model_max_length``; where both and
    ``max_position_embeddings`` are silent, 512.
    """
    positions = _length(folder / "config.json", "max_position_embeddings")
    if positions and read_object(folder / "config.json").get("model_type") in ("roberta", "xlm-roberta", "camembert"):
        positions -= 2  # they start after the padding index
    said = _length(folder / "sentence_bert_config.json", "max_seq_length") or _length(
        folder / "tokenizer_config.json", "model_max_length"
    )
    return min(filter(None, (said, positions)), default=DEFAULT_LENGTH)


def _length(path: Path, key: str) -> int | None:
    """A number of tokens in a configuration; None where it is silent or names no limit."""
    length = read_object(path).get(key) if path.is_file() else None
    return int(length) if isinstance(length, int | float) and 0 < length <= LONGEST else None


def _configured(folder: Path) -> bool:
    return (folder / "config_sentence_transformers.json").is_file()


def _modules(folder: Path) -> list[Module]:
    listed = read_json(folder / "modules.json")
    if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
        raise EncoderError(f"{folder / 'modules.json'}: wanted a list of modules")
    return [Module(_class(module.get("type"), folder), _inside(folder, module.get("path"))) for module in listed]


def _class(kind: Any, folder: Path) -> str:
    """The class behind a module type, if it is on the list."""
    last = str(kind).rsplit(".", 1)[-1]
    name = CLASSES.get(last, CLASSES.get(last.lower(), last))
    if not str(kind).startswith(PACKAGE) or name not in MODULES:
        raise EncoderError(
            f"{folder}: module type {str(kind)!r} is not read; wanted classes of sentence-transformers: "
            f"{', '.join(MODULES)}"
        )
    return name


def _inside(folder: Path, path: Any) -> Path:
    """``folder / path``, which must not lead out of the folder."""
    found = folder / str(path or "")
    if not found.resolve().is_relative_to(folder.resolve()):
        raise EncoderError(f"{folder}: module path {path!r} leads out of the folder")
    return found


def _read_router(folder: Path, home: Path, prompts: dict[str, str], most: int | None) -> Source:
    router = read_object(home / "router_config.json")
    routes, kinds = router.get("structure", {}), router.get("types", {})
    if set(routes) != {"query", "document"}:
        raise EncoderError(f"{folder}: routes {', '.join(routes) or 'none'}; wanted query and document")
    sides = {}
    for name in ("document", "query"):
        modules = [Module(_class(kinds.get(part), folder), _inside(home, part)) for part in routes[name]]
        sides[name] = _side(folder, modules, prompts.get(name, ""), most)
    document, query = sides["document"], sides["query"]
    declaration = Declaration(folder.resolve().name, "sentence-transformers", document.side, query.side)
    return Source(folder, declaration, document, query)


def _side(folder: Path, modules: list[Module], prompt: str, most: int | None) -> SideSource:
    source = _side_of(folder, modules, prompt)
    if most is None or head_of(source.side).dense:
        return source
    return replace(source, side=msgspec.structs.replace(source.side, sparsifier="topk", k=most))


def _side_of(folder: Path, modules: list[Module], prompt: str) -> SideSource:
    names = [module.name for module in modules if module.name != "Normalize"]
    paths = [module.path for module in modules]
    shape = " + ".join(names)
    if names == ["SparseStaticEmbedding"]:
        return _static(paths[0], prompt)
    if not names or names[0] not in ("Transformer", "MLMTransformer"):
        raise EncoderError(f"{folder}: modules {shape or 'none'}; the first must be a Transformer")
    if names[1:] == ["SpladePooling"]:
        return _splade(paths[0], paths[1], prompt)
    if names[1:] == ["Pooling", "SparseAutoEncoder"]:
        return _autoencoder(paths[0], paths[1], paths[2], prompt)
    if names[1:] == ["Pooling"]:
        return _transformer(paths[0], Side("dense", "encoder", pool=_pooling(paths[1]), prompt=prompt))
    raise EncoderError(
        f"{folder}: modules {shape}; wanted Transformer + SpladePooling, Transformer + Pooling, "
        "Transformer + Pooling + SparseAutoEncoder, or a Router of these and SparseStaticEmbedding"
    )


def _transformer(model: Path, side: Side, parts: dict[str, Any] | None = None) -> SideSource:
    refuse_remote_code(model)
    side = msgspec.structs.replace(side, max_length=max_length(model))
    if fault := fault_of(side):
        raise EncoderError(f"{model}: {fault}")
    return SideSource(side, model / "tokenizer.json", model, None, parts or {})


def _splade(model: Path, pooling: Path, prompt: str) -> SideSource:
    config = read_object(pooling / "config.json")
    strategy, activation = config.get("pooling_strategy", "max"), config.get("activation_function", "relu")
    if strategy not in POOLINGS or activation not in ACTIVATIONS:
        raise EncoderError(
            f"{pooling}: pooling {strategy!r} with activation {activation!r}; "
            f"wanted {' or '.join(POOLINGS)} with {' or '.join(ACTIVATIONS)}"
        )
    side = Side("vocabulary", "masked-lm", activation=ACTIVATIONS[activation], pool=strategy, prompt=prompt)
    return _transformer(model, side)


def _static(folder: Path, prompt: str) -> SideSource:
    config, tokenizer = read_object(folder / "config.json"), folder / "tokenizer.json"
    if name := config.get("path"):
        table = read_idf(_inside(folder, name), tokenizer)
    else:
        parts = read_parts(folder / "model.safetensors")
        table = parts.get("weight", np.zeros(0, np.float32))
    length = DEFAULT_LENGTH
    if (folder / "tokenizer_config.json").is_file():
        length = int(min(read_object(folder / "tokenizer_config.json").get("model_max_length", length), LONGEST))
    side = Side("table", view="bare", table="idf", prompt=prompt, max_length=length)
    return SideSource(side, tokenizer, parts={"table": table})


def _autoencoder(model: Path, pooling: Path, coder: Path, prompt: str) -> SideSource:
    config, tensors = read_object(coder / "config.json"), read_parts(coder / "model.safetensors")
    names = {"code_weight": "decoder.linear.weight", "code_bias": "latent_bias", "centre": "pre_bias"}
    if missing := [name for name in names.values() if name not in tensors]:
        raise EncoderError(f"{coder}: tensor {missing[0]!r} is missing; wanted {', '.join(names.values())}")
    parts = {ours: tensors[theirs] for ours, theirs in names.items()}
    side = Side(
        "autoencoder",
        "encoder",
        activation="relu",
        pool=_pooling(pooling),
        sparsifier="topk",
        k=int(config.get("k", 8)),
        centred=bool(config.get("normalize", False)),
        prompt=prompt,
    )
    return _transformer(model, side, parts)


def _pooling(folder: Path) -> Any:
    """mean, cls or last; older folders say it with truth values."""
    config = read_object(folder / "config.json")
    old = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls", "pooling_mode_lasttoken": "last"}
    modes = [mode for key, mode in old.items() if config.get(key)] or [config.get("pooling_mode", "mean")]
    mode = {"lasttoken": "last"}.get(str(modes[0]), modes[0])
    if len(modes) != 1 or mode not in ("mean", "cls", "last"):
        raise EncoderError(f"{folder}: pooling {', '.join(map(str, modes))}; wanted mean, cls or lasttoken")
    return mode
