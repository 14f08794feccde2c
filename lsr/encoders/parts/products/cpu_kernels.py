"""Which loops run over the logits of a text on a CPU? A product of tiles that keeps only the maxima.

`tile_max` is the inner loop: 4 terms times 24 tokens in 12 vector registers, the fill of a processor with AVX2. What
it computes is compared and thrown away in the same registers; memory sees the inputs and one number a term.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from lsr.kernel import kernel

TERMS = 4  # rows of the vocabulary that a tile holds
LANES, VECTORS = 8, 3
TOKENS = LANES * VECTORS  # tokens that a tile holds

INT = ir.IntType(64)
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, LANES)


@intrinsic
def tile_max(typing: Any, weight: Any, first: Any, states: Any, best: Any) -> Any:
    """Raise ``best[first:first + 4]`` to the largest logit of those terms over all ``states``; unchecked.

    ``weight`` is float32[V, H], ``states`` float32[tiles, H, 24], ``best`` float32[V], all C-contiguous.
    """
    signature = types.void(weight, types.int64, states, best)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        rows, tiles, out = (context.make_array(kinds[i])(context, builder, arguments[i]) for i in (0, 2, 3))
        width = builder.extract_value(rows.shape, 1)
        weights = builder.gep(rows.data, [builder.mul(arguments[1], width)])
        maxima = _over_tiles(builder, weights, width, tiles.data, builder.extract_value(tiles.shape, 0))
        _raise(builder, maxima, builder.gep(out.data, [arguments[1]]))
        return context.get_dummy_value()

    return signature, generate


def _over_tiles(builder: Any, weights: Any, width: Any, states: Any, tiles: Any) -> list[Any]:
    """Four vectors of running maxima, kept in stack slots that the compiler turns into registers."""
    slots = [cgutils.alloca_once_value(builder, ir.Constant(VECTOR, [float("-inf")] * LANES)) for _ in range(TERMS)]
    size = builder.mul(width, INT(TOKENS))
    with cgutils.for_range(builder, tiles) as loop:
        products = _product(builder, weights, width, builder.gep(states, [builder.mul(loop.index, size)]))
        for slot, row in zip(slots, products, strict=True):
            best = builder.load(slot)
            for product in row:
                best = builder.select(builder.fcmp_ordered(">", product, best), product, best)
            builder.store(best, slot)
    return [builder.load(slot) for slot in slots]


def _product(builder: Any, weights: Any, width: Any, states: Any) -> list[list[Any]]:
    """Logits of 4 terms and 24 tokens: 12 sums over the width."""
    zero = ir.Constant(VECTOR, [0.0] * LANES)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(VECTORS)] for _ in range(TERMS)]
    multiply_add = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(VECTOR, [VECTOR, VECTOR, VECTOR]), f"llvm.fma.v{LANES}f32"
    )
    for row in sums:
        for slot in row:
            builder.store(zero, slot)
    with cgutils.for_range(builder, width) as loop:
        at = builder.bitcast(builder.gep(states, [builder.mul(loop.index, INT(TOKENS))]), VECTOR.as_pointer())
        tokens = [builder.load(builder.gep(at, [INT(i)]), align=4) for i in range(VECTORS)]
        for i, row in enumerate(sums):
            place = builder.add(loop.index, builder.mul(width, INT(i)))
            factor = _spread(builder, builder.load(builder.gep(weights, [place])))
            for slot, token in zip(row, tokens, strict=True):
                builder.store(builder.call(multiply_add, [factor, token, builder.load(slot)]), slot)
    return [[builder.load(slot) for slot in row] for row in sums]


def _spread(builder: Any, number: Any) -> Any:
    """The number in every lane."""
    undefined = ir.Constant(VECTOR, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))


def _raise(builder: Any, maxima: list[Any], out: Any) -> None:
    """Store the larger of what is there and the largest lane, for each of the four terms."""
    kind = ir.FunctionType(FLOAT, [VECTOR])
    reduce = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.fmax.v{LANES}f32")
    for i, vector in enumerate(maxima):
        place = builder.gep(out, [INT(i)])
        new, old = builder.call(reduce, [vector]), builder.load(place)
        builder.store(builder.select(builder.fcmp_ordered(">", new, old), new, old), place)


@kernel
def max_products(weight: NDArray[np.float32], states: NDArray[np.float32], best: NDArray[np.float32]) -> None:
    """Raise ``best`` float32[V] to the largest product of each row of ``weight`` float32[V, H] with any state.

    V is a multiple of 4; ``states`` is float32[tiles, H, 24], the last tile filled up with states that are there.
    """
    for first in range(0, weight.shape[0], 4):
        tile_max(weight, first, states, best)


@kernel
def fill_tiles(hidden: NDArray[np.float32], tiles: NDArray[np.float32]) -> None:
    """Copy ``hidden`` float32[L, H] into ``tiles`` float32[tiles, H, 24]; free places repeat the last state."""
    length, width = hidden.shape
    for tile in range(tiles.shape[0]):
        for lane in range(tiles.shape[2]):
            row = min(tile * tiles.shape[2] + lane, length - 1)
            for k in range(width):
                tiles[tile, k, lane] = hidden[row, k]
