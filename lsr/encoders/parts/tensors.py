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
    """Refuse tensors that are missing, of the wrong shape or type, or not finite.

    Raises:
        EncoderError: names tensor, what was found and what was wanted.
    """
    sizes = Sizes(width, vocabulary, _length(parts, "code_bias"), _length(parts, "vocabulary_bias"))
    for name, shape in part_shapes(side, sizes).items():
        if side.table == "learned" and name == "table" and "embedding" in parts:
            continue  # still in training: the table is a function of embeddings
        _check(parts, name, shape, place)


def check_exported(parts: Parts, side: Side, width: int, vocabulary: int, place: str) -> None:
    """The same of what an export holds, where a head's rows are among the tensors.

    Raises:
        EncoderError: names tensor, what was found and what was wanted.
    """
    check_parts(parts, side, width, vocabulary, place)
    rows = _length(parts, "vocabulary_bias")
    if side.head == "vocabulary":
        _check(parts, "vocabulary_weight", (rows, width), place)
        _check(parts, "vocabulary_bias", (rows,), place)
    if "vocabulary_rows" in parts:  # the others were pruned
        _check(parts, "vocabulary_rows", (rows,), place, whole=True)
        _check(parts, "vocabulary_size", (1,), place, whole=True)
        found, size = parts["vocabulary_rows"], int(parts["vocabulary_size"][0])
        if rows and not (0 <= found.min() <= found.max() < size):
            raise EncoderError(f"{place}: tensor 'vocabulary_rows' names rows beyond the {size:,} of the vocabulary")


def _check(parts: Parts, name: str, shape: tuple[int, ...], place: str, whole: bool = False) -> None:
    if name not in parts:
        raise EncoderError(f"{place}: tensor {name!r} is missing; wanted {list(shape)} (train the system first)")
    found = parts[name]
    if found.shape != shape:
        raise EncoderError(f"{place}: tensor {name!r} is {list(found.shape)}; wanted {list(shape)}")
    if found.dtype != np.float32 and not whole:
        raise EncoderError(f"{place}: tensor {name!r} holds {found.dtype}; wanted floating point numbers")
    if not np.isfinite(found).all() or (whole and (found != np.rint(found)).any()):
        raise EncoderError(f"{place}: tensor {name!r} holds NaN or infinity; the weights are damaged")


def _length(parts: Parts, name: str) -> int:
    return parts[name].size if name in parts else 0
