"""Which tensors do head and gates of a side have, and what are they before training?"""

from __future__ import annotations

import numpy as np

from lsr.encoders.parts.part import Parts, Shapes, Sizes
from lsr.encoders.parts.registry import gates_of, head_of
from lsr.encoders.side import Side
from lsr.errors import EncoderError


def part_shapes(side: Side, sizes: Sizes) -> Shapes:
    """Names and shapes of the tensors beside the network that every folder has.

    A trained choice over a batch also has "thresholds"; see `lsr.encoders.parts.sparsifiers.over_batch`.
    """
    shapes = head_of(side).shapes(side, sizes)
    for gate in gates_of(side):
        shapes = shapes | gate.shapes(side, sizes)
    return shapes


def untrained_parts(side: Side, sizes: Sizes, seed: int = 0) -> Parts:
    """Small random tensors; biases and centres 0, tables 1."""
    rng = np.random.default_rng(seed)
    parts: Parts = {}
    for name, shape in part_shapes(side, sizes).items():
        if name == "table":
            parts[name] = np.ones(shape, np.float32)
        elif name.endswith("bias") or name == "centre":
            parts[name] = np.zeros(shape, np.float32)
        else:
            parts[name] = (rng.standard_normal(shape) / np.sqrt(sizes.width)).astype(np.float32)
    return parts


def check_parts(parts: Parts, side: Side, width: int, vocabulary: int, place: str) -> None:
    """Refuse tensors that are missing, of the wrong shape, or not finite.

    Raises:
        EncoderError: names tensor, what was found and what was wanted.
    """
    codes = parts["code_bias"].size if "code_bias" in parts else 0
    rows = parts["vocabulary_bias"].size if "vocabulary_bias" in parts else 0
    for name, shape in part_shapes(side, Sizes(width, vocabulary, codes, rows)).items():
        if side.table == "learned" and name == "table" and "embedding" in parts:
            continue  # still in training: the table is a function of embeddings
        if name not in parts:
            raise EncoderError(f"{place}: tensor {name!r} is missing; wanted {list(shape)} (train the system first)")
        if parts[name].shape != shape:
            raise EncoderError(f"{place}: tensor {name!r} is {list(parts[name].shape)}; wanted {list(shape)}")
        if not np.isfinite(parts[name]).all():
            raise EncoderError(f"{place}: tensor {name!r} holds NaN or infinity; the weights are damaged")
