"""Which word-pieces does a network keep? Those that words of the texts are made of; the others cost a row each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from lsr.encoders.bodies import Body
from lsr.encoders.view import read_tokenizer
from lsr.errors import TrainingError


def cut_pieces(body: Body, tokenizer: Path, words: Mapping[str, int], least: int) -> str:
    """Take rarer word-pieces out of ``body``, and give the ``tokenizer.json`` that goes with it.

    Special tokens stay, and so do ASCII characters, from which any English word can be put together.

    Args:
        body: a network with word embeddings; changed in place.
        tokenizer: a ``tokenizer.json`` of word-pieces.
        words: how often words stand in texts.
        least: how often the words of a piece stand there together, for it to stay.

    Raises:
        TrainingError: a tokenizer of another kind.
    """
    fields = json.loads(tokenizer.read_text("utf-8"))
    _require_known(fields, tokenizer)
    names = fields["model"]["vocab"]
    special = {token["content"] for token in fields["added_tokens"]}
    used = _used(read_tokenizer(tokenizer), words)
    stays = (name in special or _character(name) or used[at] >= least for name, at in names.items())
    kept = sorted((at, name) for (name, at), stay in zip(names.items(), stays, strict=True) if stay)
    _cut_embeddings(body.model, [old for old, _ in kept])
    body.tokens = len(kept)
    places = {old: new for new, (old, _) in enumerate(kept)}
    return json.dumps(_renumbered(fields, places, {name: new for new, (_, name) in enumerate(kept)}))


def _require_known(fields: dict[str, Any], place: Path) -> None:
    kind, after = fields["model"]["type"], (fields.get("post_processor") or {"type": "TemplateProcessing"})["type"]
    if (kind, after) != ("WordPiece", "TemplateProcessing"):
        raise TrainingError(f"{place}: {kind} with {after}; to cut pieces wanted WordPiece with TemplateProcessing")
    if outside := {token["content"] for token in fields["added_tokens"]} - set(fields["model"]["vocab"]):
        raise TrainingError(f"{place}: {sorted(outside)[0]!r} is no word-piece; wanted added tokens that are")


def _used(tokenizer: Tokenizer, words: Mapping[str, int]) -> Counter[int]:
    """How often each piece stands in the words."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found = Counter[int]()
    encoded = tokenizer.encode_batch_fast(list(words), add_special_tokens=False)
    for count, pieces in zip(words.values(), encoded, strict=True):
        for piece in set(pieces.ids):
            found[piece] += count
    return found


def _character(name: str) -> bool:
    return len(name.removeprefix("##")) == 1 and name.isascii()


def _cut_embeddings(model: Any, kept: list[int]) -> None:
    old = model.get_input_embeddings()
    filler = None if old.padding_idx is None else kept.index(old.padding_idx)
    new = torch.nn.Embedding(len(kept), old.embedding_dim, padding_idx=filler)
    new.weight.data.copy_(old.weight.detach()[kept])
    model.config.pad_token_id = filler
    model.set_input_embeddings(new)
    model.config.vocab_size = len(kept)


def _renumbered(fields: dict[str, Any], places: Mapping[int, int], names: Mapping[str, int]) -> dict[str, Any]:
    """A tokenizer file whose pieces have new numbers."""
    added = [token | {"id": places[token["id"]]} for token in fields["added_tokens"]]
    new = fields | {"model": fields["model"] | {"vocab": dict(names)}, "added_tokens": added}
    if around := (fields.get("post_processor") or {}).get("special_tokens"):
        special = {name: token | {"ids": [places[at] for at in token["ids"]]} for name, token in around.items()}
        new["post_processor"] = fields["post_processor"] | {"special_tokens": special}
    if padding := fields.get("padding"):
        new["padding"] = padding | {"pad_id": places[padding["pad_id"]]}
    return new
