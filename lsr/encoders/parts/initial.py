"""Which tensors do head and gates of a side have, and what are they before training?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.declaration import Side
from lsr.errors import EncoderError

Parts = dict[str, NDArray[np.float32]]


def part_shapes(side: Side, width: int, vocabulary: int, codes: int = 0, rows: int = 0) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors beside the network that every folder has.

    A trained choice over a batch also has "thresholds"; see `lsr.encoders.parts.sparsifiers.thresholds`.

    Args:
        side: which parts.
        width: numbers of a state, H.
        vocabulary: tokens of the tokenizer, V.
        codes: size of an autoencoder's code; 0 means 4 H (CSR, arXiv 2503.01776, section 4).
        rows: stems that a head "vocabulary" of stems can fire, the first ones.
    """
    hidden, scalar = (width,), (1,)
    shapes: dict[str, tuple[int, ...]] = {}
    if side.head == "token-weight":
        shapes |= {"token_weight": hidden, "token_bias": scalar}
    if side.head == "autoencoder":
        size = codes or 4 * width
        shapes |= {"code_weight": (size, width), "code_bias": (size,), "centre": hidden}
    if side.head == "table":
        shapes |= {"table": (vocabulary,)}
    if side.table == "corpus":
        shapes |= {"prior": (vocabulary,)}
    if side.head == "vocabulary" and side.stems:
        shapes |= {"vocabulary_weight": (rows, width), "vocabulary_bias": (rows,)}
    return shapes | _gate_shapes(side, width, vocabulary)


def _gate_shapes(side: Side, width: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    hidden, scalar = (width,), (1,)
    shapes: dict[str, tuple[int, ...]] = {}
    for gate in ("importance", "quality"):
        if gate in side.gates:
            shapes |= {f"{gate}_weight": hidden, f"{gate}_bias": scalar}
    if "literal-residual" in side.gates:
        shapes |= {"residual_weight": (vocabulary, width), "residual_bias": (vocabulary,)}
    if "literal-counts" in side.gates:
        shapes |= {"counts_weight": hidden, "counts_bias": scalar, "counts_form": (3,)}
    if "modulation" in side.gates:
        shapes |= {"modulation_weight": (width, vocabulary), "modulation_bias": hidden}
    return shapes


def untrained_parts(side: Side, width: int, vocabulary: int, codes: int = 0, seed: int = 0) -> Parts:
    """Small random tensors; biases and centres 0, tables 1."""
    rng = np.random.default_rng(seed)
    parts: Parts = {}
    for name, shape in part_shapes(side, width, vocabulary, codes).items():
        if name == "table":
            parts[name] = np.ones(shape, np.float32)
        elif name.endswith("bias") or name == "centre":
            parts[name] = np.zeros(shape, np.float32)
        else:
            parts[name] = (rng.standard_normal(shape) / np.sqrt(width)).astype(np.float32)
    return parts


def check_parts(parts: Parts, side: Side, width: int, vocabulary: int, place: str) -> None:
    """Refuse tensors that are missing, of the wrong shape, or not finite.

    Raises:
        EncoderError: names tensor, what was found and what was wanted.
    """
    codes = parts["code_bias"].size if "code_bias" in parts else 0
    rows = parts["vocabulary_bias"].size if "vocabulary_bias" in parts else 0
    for name, shape in part_shapes(side, width, vocabulary, codes, rows).items():
        if side.table == "learned" and name == "table" and "embedding" in parts:
            continue  # still in training: the table is a function of embeddings
        if name not in parts:
            raise EncoderError(f"{place}: tensor {name!r} is missing; wanted {list(shape)}")
        if parts[name].shape != shape:
            raise EncoderError(f"{place}: tensor {name!r} is {list(parts[name].shape)}; wanted {list(shape)}")
        if not np.isfinite(parts[name]).all():
            raise EncoderError(f"{place}: tensor {name!r} holds NaN or infinity; the weights are damaged")
