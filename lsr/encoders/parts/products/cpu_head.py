"""How does a CPU reduce L x V logits to V maxima without writing them? Tiles of products, kept in registers."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.products import cpu_kernels as kernels

BLOCK_BYTES = 1 << 18  # states worked on at a time: half of a second-level cache


class CpuHead:
    """A vocabulary head, ``logit = weight . hidden + bias``, that gives the maximum over the tokens of a text.

    Args:
        weight: float32[V, H].
        bias: float32[V].
    """

    def __init__(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> None:
        self.terms, self._bias = weight.shape[0], bias
        missing = -self.terms % kernels.TERMS
        padded = np.concatenate([weight, np.zeros((missing, weight.shape[1]), np.float32)]) if missing else weight
        self.weight = np.ascontiguousarray(padded, np.float32)

    def max_logits(self, hidden: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest logit of every term over the states float32[L, H]; float32[V], -inf where L is 0.

        Memory: one block of states and two vectors of V. Releases the interpreter lock.
        """
        best = np.full(self.weight.shape[0], -np.inf, np.float32)
        rows = max(kernels.TOKENS, BLOCK_BYTES // (4 * hidden.shape[1]) // kernels.TOKENS * kernels.TOKENS)
        for start in range(0, hidden.shape[0], rows):
            block = np.ascontiguousarray(hidden[start : start + rows], np.float32)
            tiles = np.empty((-(-block.shape[0] // kernels.TOKENS), block.shape[1], kernels.TOKENS), np.float32)
            kernels.fill_tiles(block, tiles)
            kernels.max_products(self.weight, tiles, best)
        best[: self.terms] += self._bias
        return best[: self.terms]

    def max_logits_of(self, texts: Sequence[NDArray[np.float32]], threads: int | None = None) -> NDArray[np.float32]:
        """`max_logits` of several texts, float32[B, V], on ``threads`` threads (None: one a processor)."""
        workers = min(len(texts), threads or len(os.sched_getaffinity(0)))
        if workers <= 1:
            rows = [self.max_logits(text) for text in texts]
        else:
            with ThreadPoolExecutor(workers) as pool:
                rows = list(pool.map(self.max_logits, texts))
        return np.stack(rows) if rows else np.zeros((0, self.terms), np.float32)

    def logits(self, hidden: NDArray[np.float32], terms: NDArray[np.intp]) -> NDArray[np.float32]:
        """Logits float32[L, len(terms)] of some terms, written out."""
        return np.asarray(hidden @ self.weight[terms].T + self._bias[terms], np.float32)
