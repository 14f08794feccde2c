"""Which word-pieces does a network keep? Those that words of the texts are made of; the others cost a row each."""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from torch import nn

from lsr.encoders.declaration import write_declaration
from lsr.encoders.lexical.stems import FUNCTION_WORDS, WORDS
from lsr.encoders.lexical.words import plain
from lsr.encoders.network.backbone import Body, read_body, write_body
from lsr.encoders.neural import copy_vocabulary, save_side, write_manifest
from lsr.encoders.side import Side
from lsr.encoders.storage.layout import Source
from lsr.encoders.storage.reader import read_source
from lsr.encoders.storage.writer import new_folder
from lsr.encoders.tokens.word_pieces import read_tokenizer
from lsr.errors import TrainingError

COUNTED = 200_000  # texts that words and stems are counted in, or up to twice as many


def prune(folder: Path, texts: Sequence[str], least: int, target: Path) -> int:
    """Write the encoder in ``folder`` without rare word-pieces; their words are put together from others.

    Args:
        folder: an encoder of stems, or a SPLADE whose queries and documents share a network.
        texts: where words are counted.
        least: how often the words of a piece stand there together, for it to stay.
        target: made here.

    Returns:
        How many word-pieces stay.

    Raises:
        TrainingError: an encoder or a tokenizer of another kind, no texts, a ``target`` that is there.
    """
    source = read_source(folder)
    _require_cuttable(source, folder)
    if target.exists():
        raise TrainingError(f"{target} is there already: name a new folder")
    if not texts:
        raise TrainingError("no texts to count words in: give data with documents")
    side = source.document
    assert side.model  # noqa: S101
    body, vocabulary = read_body(side.model, side.side.backbone)
    counts = Counter(plain(word) for text in texts[:: max(1, len(texts) // COUNTED)] for word in WORDS.of(text, False))
    words = words_read(counts, side.side)
    tokenizer = prune_word_pieces(body, side.tokenizer, words, least, vocabulary)
    with new_folder(target) as new, tempfile.TemporaryDirectory() as network:
        copy_vocabulary(side, new)
        (new / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
        write_body(body, vocabulary, Path(network))
        save_side(replace(side, model=Path(network)), new / "document")
        if source.query is not None:
            save_side(source.query, new / "query")
        (new / "encoder.toml").write_text(write_declaration(source.declaration), encoding="utf-8")
        write_manifest(new, None)
    return body.tokens


def words_read(counts: Mapping[str, int], side: Side) -> dict[str, int]:
    """How often words, in lower case, reach the network of ``side``."""
    content = side.view == "content-stems"
    return {word: count for word, count in counts.items() if not content or word not in FUNCTION_WORDS}


def prune_word_pieces(
    body: Body, tokenizer: Path, words: Mapping[str, int], least: int, vocabulary: nn.Linear | None = None
) -> str:
    """Take rarer word-pieces out of ``body``, and give the ``tokenizer.json`` that goes with it.

    Special tokens stay, and so do ASCII characters, from which any English word can be put together.

    Args:
        body: a network with word embeddings; changed in place.
        tokenizer: a ``tokenizer.json`` of word-pieces.
        words: how often words stand in texts.
        least: how often the words of a piece stand there together, for it to stay.
        vocabulary: the last product of a language model; changed in place.

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
    _cut_embeddings(body.model, vocabulary, [old for old, _ in kept])
    body.tokens = len(kept)
    places = {old: new for new, (old, _) in enumerate(kept)}
    return json.dumps(_renumbered(fields, places, {name: new for new, (_, name) in enumerate(kept)}))


def _require_cuttable(source: Source, folder: Path) -> None:
    side, query = source.document, source.query
    splade = side.side.backbone == "masked-lm" and side.side.head == "vocabulary" and query is None
    if side.model is None or not (splade or (side.side.stems and query is not None and query.model is None)):
        found = source.declaration.title + (", exported" if side.onnx else "")
        raise TrainingError(
            f"{folder} holds {found!r}: wanted an encoder of stems that lsr train wrote, "
            "or a SPLADE whose queries and documents share a network"
        )


def _require_known(fields: dict[str, Any], place: Path) -> None:
    kind, after = fields["model"]["type"], (fields.get("post_processor") or {"type": "TemplateProcessing"})["type"]
    if (kind, after) != ("WordPiece", "TemplateProcessing"):
        raise TrainingError(f"{place}: {kind} with {after}; to cut pieces wanted WordPiece with TemplateProcessing")
    if outside := {token["content"] for token in fields["added_tokens"]} - set(fields["model"]["vocab"]):
        raise TrainingError(f"{place}: {sorted(outside)[0]!r} is no word-piece; wanted added tokens that are")


def _used(tokenizer: Tokenizer, words: Mapping[str, int]) -> Counter[int]:
    """How often each piece occurs in the words."""
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


def _cut_embeddings(model: Any, vocabulary: nn.Linear | None, kept: list[int]) -> None:
    old = model.get_input_embeddings()
    filler = None if old.padding_idx is None else kept.index(old.padding_idx)
    new = nn.Embedding(len(kept), old.embedding_dim, padding_idx=filler)
    new.weight.data.copy_(old.weight.detach()[kept])
    model.config.pad_token_id = filler
    model.set_input_embeddings(new)
    model.config.vocab_size = len(kept)
    if vocabulary is not None:
        if vocabulary.weight is old.weight:
            vocabulary.weight = new.weight
        else:
            vocabulary.weight.data = vocabulary.weight.detach()[kept]
        vocabulary.bias.data = vocabulary.bias.detach()[kept]  # the same tensor under its other name
        vocabulary.out_features = len(kept)


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
