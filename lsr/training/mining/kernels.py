"""Kernels of training: arrays in, arrays out, no validation. Serial and nogil."""

from __future__ import annotations

from typing import Any

import numpy as np

from lsr.index.kernels import dot
from lsr.kernel import kernel


@kernel
def score_candidates(span: Any, queries: Any, forward: Any, candidates: Any, dense: Any, found: Any) -> None:
    """Inner products of queries span[0]:span[1] with their candidates, int[n, k] rows, into found float32[n, k].

    ``queries`` and ``forward`` are (indptr, terms, values) of CSR rows, ``dense`` is float32[V] of zeros and is so
    again in the end. A candidate below 0 is none and scores 0.
    """
    indptr, terms, values = queries
    borders, own, weights = forward
    for i in range(span[0], span[1]):
        for at in range(indptr[i], indptr[i + 1]):
            dense[terms[at]] = values[at]
        for j in range(candidates.shape[1]):
            row = candidates[i, j]
            found[i, j] = np.float32(0) if row < 0 else dot(dense, own, weights, borders[row], borders[row + 1])
        for at in range(indptr[i], indptr[i + 1]):
            dense[terms[at]] = 0
