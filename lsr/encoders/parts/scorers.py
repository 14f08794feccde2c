"""How are two vectors compared? By dot product; cosines are dot products of vectors scaled beforehand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.sparse import SparseMatrix

if TYPE_CHECKING:
    import torch

SCORERS = {"dot": "the dot product", "cosine": "both sides of length 1", "query-l2": "queries of length 1"}


def scales_to_one(scorer: str, query: bool) -> bool:
    """Whether vectors of this side have length 1."""
    return scorer == "cosine" or (scorer == "query-l2" and query)


def unit_tensor(reps: torch.Tensor) -> torch.Tensor:
    """Rows of length 1; rows of zeros stay. float[B, V] in and out."""
    scaled: torch.Tensor = reps / reps.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return scaled


def unit_rows(matrix: SparseMatrix) -> SparseMatrix:
    """Rows of length 1; empty rows stay."""
    squares = np.zeros(len(matrix))
    rows = np.repeat(np.arange(len(matrix)), np.diff(matrix.indptr))
    np.add.at(squares, rows, matrix.values.astype(np.float64) ** 2)
    weights = (matrix.values / np.sqrt(squares[rows])).astype(np.float32)
    return SparseMatrix(matrix.indptr, matrix.terms, weights, matrix.dim)
