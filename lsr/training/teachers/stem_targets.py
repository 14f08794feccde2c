"""Which weights does a student of stems copy? What each stem adds to a teacher's score of a document."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.lexical.stems import counted_once
from lsr.errors import TrainingError
from lsr.sparse import SparseMatrix
from lsr.training.data.ragged import Rows
from lsr.training.data.token_store import TokenStore
from lsr.training.recipe import Copy
from lsr.training.teachers.scores import SparseVectors, Wanted
from lsr.training.teachers.stem_regression import folded, word_table
from lsr.training.teachers.vector_cache import Vectors


class Copies:
    """All that is copied, for rows of documents.

    Args:
        parts: weights of stems float32[documents, R], and the share of them for stems that stand in the text.
        device: where they are wanted.
    """

    def __init__(self, parts: Sequence[tuple[SparseMatrix, float]], device: torch.device) -> None:
        self._parts = [(SparseVectors(part.slice(0, 0), part, device), share) for part, share in parts]

    def vectors(self, documents: Rows) -> Wanted:
        """Weights of documents."""
        given = [(part.vectors(documents), share) for part, share in self._parts]
        absent = torch.stack([weights for weights, _ in given]).sum(0)
        if not any(share for _, share in given):
            return Wanted(absent)
        return Wanted(absent, torch.stack([share * weights for weights, share in given]).sum(0))


def copies_of(
    teachers: Sequence[tuple[Vectors, Vectors] | None],
    copies: Sequence[Copy],
    asked: SparseMatrix,
    norms: NDArray[np.float32],
    rows: int,
    device: torch.device,
) -> Copies:
    """What teachers have to give.

    Args:
        teachers: vectors of documents and of queries, of each; None where it has none.
        copies: of which of them, and how much.
        asked: queries float32[Q, stems] as the student asks them.
        norms: float32[documents] of `word_norms`.
        rows: R, stems that have a row.
        device: where it is computed and wanted.

    Raises:
        TrainingError: a teacher without vectors.
    """
    parts = []
    for copy in copies:
        if (pair := teachers[copy.teacher] if 0 <= copy.teacher < len(teachers) else None) is None:
            raise TrainingError(
                f"copies name teacher {copy.teacher} of {len(teachers)}, counted from 0: wanted one that is an encoder"
            )
        documents, queries = pair
        found = folded(documents, word_table(asked, queries, rows, device), copy.above, copy.kept)
        factors = np.repeat(copy.factor * (norms if copy.normed else np.ones_like(norms)), np.diff(found.indptr))
        parts.append((SparseMatrix(found.indptr, found.terms, found.values * factors, found.dim), copy.present))
    return Copies(parts, device)


def word_norms(documents: TokenStore) -> NDArray[np.float32]:
    """What BM25 gives a word that stands once, in each document; 1 at the mean length. float32[N], of N documents."""
    lengths = documents.own_lengths
    return counted_once(lengths, max(1.0, lengths.mean())).astype(np.float32)
