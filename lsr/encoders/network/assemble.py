"""How does what a folder holds become networks of torch?"""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch
from torch import nn

from lsr.encoders.declaration import Declaration
from lsr.encoders.network.backbone import Body, read_body
from lsr.encoders.network.onnx_weights import read_exported
from lsr.encoders.network.side_network import SideNetwork
from lsr.encoders.parts.part import Parts, Sizes
from lsr.encoders.parts.registry import gates_of, head_of, sparsifier_of
from lsr.encoders.parts.tensors import check_parts, untrained_parts
from lsr.encoders.side import Side
from lsr.encoders.storage.layout import SideSource, Source
from lsr.encoders.tokens.stem_tokens import terms_of
from lsr.encoders.tokens.word_pieces import read_tokenizer, special_ids
from lsr.errors import EncoderError


def read_network(source: SideSource) -> SideNetwork:
    """The network of one side, in float32 on the CPU.

    Raises:
        EncoderError: weights that are missing, damaged, not finite, or that do not fit the tokenizer.
    """
    body, vocabulary = _read_body(source)
    width, tokens = _sizes(source, body, vocabulary)
    check_parts(source.parts, source.side, width, tokens, str(source.model or source.tokenizer.parent))
    return _network(source.side, source.parts, body, vocabulary, tokens)


def with_side(network: SideNetwork, side: Side) -> SideNetwork:
    """The same weights under another declaration of a side, shared, not copied."""
    other = SideNetwork(side, network.terms, {}, network.body, network.vocabulary)
    other.parts = network.parts
    return other


def untrained(declaration: Declaration, folder: Path, codes: int = 0, seed: int = 0) -> Source:
    """A system on the network in ``folder``, with head and gates that have not been trained.

    Where both sides have one backbone, they share it, unless the declaration separates them. Parts are small random
    numbers, tables 1 but for special tokens.

    Args:
        declaration: which parts.
        folder: a Hugging Face model; a language model for head "vocabulary".
        codes: size of an autoencoder's code; 0 means 4 numbers a state.
        seed: of the random numbers.

    Raises:
        EncoderError: a system that starts otherwise.
    """
    from lsr.encoders.storage.files import read_object, refuse_remote_code

    if declaration.document.stems:
        raise EncoderError(
            f"{declaration.title!r} starts from a vocabulary that a corpus decides: train it with lsr train"
        )
    refuse_remote_code(folder)
    config = read_object(folder / "config.json")
    width, tokens = int(config["hidden_size"]), int(config["vocab_size"])
    positions = int(config.get("max_position_embeddings", declaration.document.max_length))

    def side(part: Side) -> SideSource:
        part = msgspec.structs.replace(part, max_length=min(part.max_length, positions))
        model = folder if part.backbone != "none" else None
        parts = untrained_parts(part, Sizes(width, tokens, codes), seed)
        if "table" in parts:
            parts["table"][list(special_ids(read_tokenizer(folder / "tokenizer.json")))] = 0
        return SideSource(part, folder / "tokenizer.json", model, None, parts)

    document, query_side = side(declaration.document), side(declaration.query_side)
    query = None if shares(document.side, query_side.side) and not declaration.separate else query_side
    return Source(
        folder,
        declaration.replace(document=document.side, query=declaration.query and query_side.side),
        document,
        query,
    )


def shares(document: Side, query: Side) -> bool:
    """Whether queries can be encoded by the documents' weights: same backbone, head and gates with tensors."""
    sizes = Sizes(1, 1)
    gates = {gate.name for gate in gates_of(query) if gate.shapes(query, sizes)}
    return (document.backbone, document.head) == (query.backbone, query.head) and gates <= set(document.gates)


def _read_body(source: SideSource) -> tuple[Body | None, nn.Linear | None]:
    if source.side.backbone == "none":
        return None, None
    if source.model is None and source.onnx is not None and source.side.backbone == "encoder":
        return Body(read_exported(source.onnx), source.side.backbone).eval(), None
    if source.model is None:
        raise EncoderError(f"{source.tokenizer.parent}: exported for onnxruntime; torch needs the model it was made of")
    return read_body(source.model, source.side.backbone)


def _sizes(source: SideSource, body: Body | None, vocabulary: nn.Linear | None) -> tuple[int, int]:
    """Numbers a state and size of the vocabulary, which must hold the tokenizer's."""
    width = tokens = 0
    if body is not None:
        width, tokens = body.width, body.tokens
    if vocabulary is not None:
        width, tokens = vocabulary.in_features, vocabulary.out_features
    if not head_of(source.side).reads_states:
        tokens = source.parts["table"].size if "table" in source.parts else tokens
    known = terms_of(source.tokenizer, source.side)
    if source.side.stems:
        return width, known
    if tokens < known:
        raise EncoderError(
            f"{source.model or source.tokenizer.parent}: the head has {tokens:,} outputs but the tokenizer "
            f"{known:,} word-pieces; weights and tokenizer do not belong together"
        )
    return width, tokens


def _network(side: Side, parts: Parts, body: Body | None, vocabulary: nn.Linear | None, tokens: int) -> SideNetwork:
    sizes = Sizes(body.width if body is not None else 0, tokens)
    terms = sparsifier_of(side).columns(head_of(side).columns(side, parts, sizes))
    tensors = {name: torch.from_numpy(part.copy()) for name, part in parts.items()}
    return SideNetwork(side, terms, tensors, body, vocabulary).eval()
