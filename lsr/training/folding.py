"""What would a teacher say of single words? Its queries as sums of one vector a stem, folded into its documents.

A teacher that encodes a query as a whole can be asked for a bag of words: one vector a stem is fitted so that the sum
over a query's stems, times their weights, is close to the teacher's vector of the query. Then its score of a document
is close to a sum over the query's stems too, and what a stem adds is a weight that the document itself can hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import normalize

from lsr.sparse import SparseMatrix, indptr_of, term_dtype
from lsr.training.vectors import Vectors

FITTED = 10_240  # stems, or more where more have a row, that a table is fitted for together
RIDGE = 1.0  # added to the diagonal: a stem of a single query gets half of what that query says
AT_ONCE = 2048  # documents on the device


def word_table(asked: SparseMatrix, wanted: Vectors, rows: int, device: torch.device) -> torch.Tensor:
    """One vector for each of the first stems, float32[rows, H], whose weighted sum is close to the teacher's query.

    Ridge regression on rows of length 1. Rows of the table have length 1 on the mean, but for those no query asks.

    Args:
        asked: queries as the student asks them.
        wanted: the teacher's vectors of the same queries.
        rows: stems that are wanted; others are fitted with them, so that they need not explain what those say.
        device: where the equations are solved.
    """
    left, right = _unit(_first_columns(asked, max(rows, FITTED)), device), _unit(wanted, device)
    gram, product = _product(left, left), _product(left, right)
    gram.diagonal().add_(RIDGE)
    table = torch.cholesky_solve(product, torch.linalg.cholesky(gram))
    table = table[:rows]
    lengths = table.norm(dim=1)
    scaled: torch.Tensor = table / lengths[lengths > 0].mean().clamp(min=1e-6)
    return scaled


def _product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """``left^T right`` of a sparse and any other tensor, dense."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        found: torch.Tensor = torch.sparse.mm(left.t().coalesce(), right)
    return found.to_dense() if found.is_sparse else found


def folded(documents: Vectors, table: torch.Tensor, above: float, kept: int) -> SparseMatrix:
    """What each stem of ``table`` adds to a document's score, less ``above``, where that is more than 0.

    Args:
        documents: the teacher's vectors; dense ones are brought to length 1.
        table: float32[R, H] of `word_table`.
        above: what is taken off.
        kept: largest stems of a document.
    """
    parts = [_largest((rows @ table.T - above).relu(), kept) for rows in _rows(documents, table.device)]
    counts, terms, weights = (np.concatenate([part[i] for part in parts]) for i in range(3))
    return SparseMatrix(indptr_of(counts), terms.astype(term_dtype(len(table))), weights, len(table))


def _largest(weights: torch.Tensor, kept: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Counts, terms and weights of the entries above 0, at most ``kept`` a row."""
    if kept < weights.shape[1]:
        weights = weights * (weights >= weights.topk(kept, dim=1).values[:, -1:])
    rows, terms = weights.nonzero(as_tuple=True)
    counts = torch.bincount(rows, minlength=len(weights))
    return counts.cpu().numpy(), terms.cpu().numpy(), weights[rows, terms].float().cpu().numpy()


def _rows(documents: Vectors, device: torch.device) -> Iterator[torch.Tensor]:
    """Documents as float32[N, H] on ``device``, a batch at a time."""
    for at in range(0, len(documents), AT_ONCE):
        if isinstance(documents, SparseMatrix):
            yield _tensor(documents.slice(at, min(at + AT_ONCE, len(documents))), device).to_dense()
        else:
            yield normalize(torch.from_numpy(documents[at : at + AT_ONCE]).to(device))


def _unit(vectors: Vectors, device: torch.device) -> torch.Tensor:
    """Rows of length 1, sparse or dense as they come; rows of zeros stay."""
    if not isinstance(vectors, SparseMatrix):
        return normalize(torch.from_numpy(vectors).to(device))
    squares = np.add.reduceat(np.append(np.square(vectors.values), np.float32(0)), vectors.indptr[:-1])
    lengths = np.sqrt(np.where(np.diff(vectors.indptr) > 0, squares, np.float32(1)))
    values = vectors.values / np.repeat(lengths, np.diff(vectors.indptr))
    return _tensor(SparseMatrix(vectors.indptr, vectors.terms, values, vectors.dim), device)


def _tensor(matrix: SparseMatrix, device: torch.device) -> torch.Tensor:
    """A sparse tensor float32[N, V]."""
    rows = np.repeat(np.arange(len(matrix)), np.diff(matrix.indptr))
    places = torch.from_numpy(np.stack([rows, matrix.terms.astype(np.int64)])).to(device)
    values = torch.from_numpy(matrix.values).to(device)
    return torch.sparse_coo_tensor(places, values, matrix.shape, is_coalesced=True, check_invariants=False)


def _first_columns(matrix: SparseMatrix, count: int) -> SparseMatrix:
    kept = matrix.terms < count
    indptr = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    dim = min(count, matrix.dim)
    return SparseMatrix(indptr, matrix.terms[kept].astype(term_dtype(dim)), matrix.values[kept], dim)
