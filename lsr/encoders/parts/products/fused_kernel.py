"""What does the GPU run for a head that is never materialised? Product, bias, mask, maximum and arg-max in registers.

Imported only where Triton and a CUDA device are; `lsr.encoders.parts.products.fused` calls it.
"""

import triton
import triton.language as tl

# Tokens, terms and depth of a tile, warps, stages: worth trying on Ampere and later.
SHAPES = (
    (128, 128, 64, 8, 3),
    (128, 256, 64, 8, 3),
    (64, 256, 64, 8, 3),
    (128, 128, 32, 4, 4),
    (64, 128, 32, 4, 3),
)
CONFIGURATIONS = [
    triton.Config({"TOKENS": tokens, "TERMS": terms, "DEPTH": depth}, num_warps=warps, num_stages=stages)
    for tokens, terms, depth, warps, stages in SHAPES
]


GROUP = 32  # texts whose states stay in the second-level cache while the whole vocabulary passes by


@triton.jit
def tile_logits(
    base,  # where the states of the text begin
    rows_of,  # where the rows of the terms begin
    kept,  # [RESIDENT, TERMS] of them that are on the chip, where RESIDENT is not 0
    rows,  # int[TOKENS]: positions
    end,
    inside,  # bool[TERMS]
    WIDTH: tl.constexpr,
    PRECISION: tl.constexpr,
    RESIDENT: tl.constexpr,
    TOKENS: tl.constexpr,
    TERMS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Products of a tile, float32[TOKENS, TERMS]."""
    there = (rows < end)[:, None]
    if RESIDENT > 0:
        whole = tl.arange(0, RESIDENT)
        states = tl.load(
            base + rows[:, None] * WIDTH + whole[None, :], mask=there & (whole < WIDTH)[None, :], other=0.0
        )
        logits = tl.dot(states, kept, input_precision=PRECISION)
    else:
        logits = tl.zeros((TOKENS, TERMS), tl.float32)
        for k in range(0, WIDTH, DEPTH):
            depth = k + tl.arange(0, DEPTH)
            near = depth < WIDTH
            states = tl.load(base + rows[:, None] * WIDTH + depth[None, :], mask=there & near[None, :], other=0.0)
            strip = tl.load(rows_of + depth[:, None], mask=inside[None, :] & near[:, None], other=0.0)
            logits = tl.dot(states, strip, logits, input_precision=PRECISION)
    return logits


@triton.autotune(configs=CONFIGURATIONS, key=["WIDTH", "WITH_POSITIONS", "PRECISION"])
@triton.jit
def max_kernel(
    hidden,  # [texts, length, WIDTH]
    weight,  # [terms, WIDTH]
    bias,  # float32[terms]
    marks,  # int8[texts, length]: positions that count
    ends,  # int32[texts]: one past the last position that counts
    values,  # float32[texts, terms]
    positions,  # int32[texts, terms]
    texts,
    length,
    terms,
    WIDTH: tl.constexpr,
    WITH_POSITIONS: tl.constexpr,
    PRECISION: tl.constexpr,
    GROUP: tl.constexpr,
    RESIDENT: tl.constexpr,  # power of two that holds WIDTH where a strip of rows stays on the chip, or 0
    TOKENS: tl.constexpr,
    TERMS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """One text and TERMS terms."""
    span = GROUP * tl.cdiv(terms, TERMS)
    start_text = tl.program_id(0) // span * GROUP
    together = tl.minimum(texts - start_text, GROUP)
    text = start_text + tl.program_id(0) % span % together
    columns = tl.program_id(0) % span // together * TERMS + tl.arange(0, TERMS)
    inside = columns < terms
    end = tl.load(ends + text)
    best = tl.full((TERMS,), float("-inf"), tl.float32)
    where = tl.zeros((TERMS,), tl.int32)
    base = hidden + text.to(tl.int64) * length * WIDTH
    rows_of = weight + columns[None, :].to(tl.int64) * WIDTH
    kept = rows_of
    if RESIDENT > 0:
        whole = tl.arange(0, RESIDENT)
        kept = tl.load(rows_of + whole[:, None], mask=inside[None, :] & (whole < WIDTH)[:, None], other=0.0)
    for start in range(0, end, TOKENS):
        rows = start + tl.arange(0, TOKENS)
        logits = tile_logits(base, rows_of, kept, rows, end, inside, WIDTH, PRECISION, RESIDENT, TOKENS, TERMS, DEPTH)
        counts = tl.load(marks + text * length + rows, mask=rows < end, other=0) != 0
        logits = tl.where(counts[:, None], logits, float("-inf"))
        if WITH_POSITIONS:
            tile, at = tl.max(logits, 0, return_indices=True)
            where = tl.where(tile > best, start + at.to(tl.int32), where)
        else:
            tile = tl.max(logits, 0)
        best = tl.maximum(best, tile)
    best += tl.load(bias + columns, mask=inside, other=0.0)
    place = text.to(tl.int64) * terms + columns
    tl.store(values + place, best, mask=inside)
    if WITH_POSITIONS:
        tl.store(positions + place, where, mask=inside)
