"""What would a teacher say of single words? Its queries as sums of one vector a stem, folded into its documents.

A teacher that encodes a query as a whole can be queried by a bag of words: one vector a stem is fitted so that the sum
over a query's stems, times their weights, is close to the teacher's vector of the query. Then its score of a document
is close to a sum over the query's stems too, and what a stem adds is a weight that the document itself can hold.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import torch

from lsr.encoders.parts.scorers import unit_rows, unit_tensor
from lsr.encoders.parts.sparsifiers.topk import TopK
from lsr.encoders.runners.rows import Rows
from lsr.sparse import SparseMatrix, term_dtype
from lsr.training.teachers.vector_cache import Vectors

FITTED = 10_240  # stems, or more where more have a row, that a table is fitted for together
RIDGE = 1.0  # added to the diagonal: a stem of a single query gets half of what that query says
AT_ONCE = 2048  # documents on the device


def word_table(student_queries: SparseMatrix, wanted: Vectors, rows: int, device: torch.device) -> torch.Tensor:
    """One vector for each of the first stems, float32[rows, H], whose weighted sum is close to the teacher's query.

    Ridge regression on rows of length 1. Rows of the table have length 1 on the mean, but for those no query asks.

    Args:
        student_queries: queries as the student asks them.
        wanted: the teacher's vectors of the same queries.
        rows: stems that are wanted; others are fitted with them, so that they need not explain what those say.
        device: where the equations are solved.
    """
    left, right = _unit(_first_columns(student_queries, max(rows, FITTED)), device), _unit(wanted, device)
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


def stem_weights(documents: Vectors, table: torch.Tensor, above: float, kept: int) -> SparseMatrix:
    """What each stem of ``table`` adds to a document's score, less ``above``, where that is more than 0.

    Args:
        documents: the teacher's vectors; dense ones are brought to length 1.
        table: float32[R, H] of `word_table`.
        above: what is taken off.
        kept: largest stems of a document.
    """
    found = Rows(len(documents), len(table))
    for at, part in _parts(documents, table.device):
        weights = TopK().choose((part @ table.T - above).relu(), kept)
        fired = weights > 0
        rows, terms = fired.nonzero(as_tuple=True)
        arrays = (values.cpu().numpy() for values in (fired.sum(1), terms, weights[rows, terms]))
        found.put(range(at, at + len(part)), *arrays)
    return found.matrix()


def _parts(documents: Vectors, device: torch.device) -> Iterator[tuple[int, torch.Tensor]]:
    """Documents as float32[N, H] on ``device``, a batch at a time, with the row of the first."""
    for at in range(0, len(documents), AT_ONCE):
        if isinstance(documents, SparseMatrix):
            yield at, _tensor(documents.slice(at, min(at + AT_ONCE, len(documents))), device).to_dense()
        else:
            yield at, unit_tensor(torch.from_numpy(documents[at : at + AT_ONCE]).to(device))


def _unit(vectors: Vectors, device: torch.device) -> torch.Tensor:
    """Rows of length 1, sparse or dense as they come."""
    if isinstance(vectors, SparseMatrix):
        return _tensor(unit_rows(vectors), device)
    return unit_tensor(torch.from_numpy(vectors).to(device))


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
