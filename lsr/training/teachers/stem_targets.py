"""Which weights does a student of stems choice? What each stem adds to a teacher's score of a document."""

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
from lsr.training.recipe import TargetChoice
from lsr.training.teachers.scores import SparseVectors, StemWeights
from lsr.training.teachers.stem_regression import stem_weights, word_table
from lsr.training.teachers.vector_cache import Vectors


class StemTargets:
    """All targets, for rows of documents.

    Args:
        parts: weights of stems float32[documents, R], and the share of them for stems that stand in the text.
        device: where they are wanted.
    """

    def __init__(self, parts: Sequence[tuple[SparseMatrix, float]], device: torch.device) -> None:
        self._parts = [(SparseVectors(part.slice(0, 0), part, device), share) for part, share in parts]

    def vectors(self, documents: Rows) -> StemWeights:
        """Weights of documents."""
        given = [(part.vectors(documents), share) for part, share in self._parts]
        absent = torch.stack([weights for weights, _ in given]).sum(0)
        if not any(share for _, share in given):
            return StemWeights(absent)
        return StemWeights(absent, torch.stack([share * weights for weights, share in given]).sum(0))


def stem_targets(
    teachers: Sequence[tuple[Vectors, Vectors] | None],
    choices: Sequence[TargetChoice],
    student_queries: SparseMatrix,
    norms: NDArray[np.float32],
    rows: int,
    device: torch.device,
) -> StemTargets:
    """What teachers have to give.

    Args:
        teachers: vectors of documents and of queries, of each; None where it has none.
        choices: of which of them, and how much.
        student_queries: queries float32[Q, stems] as the student asks them.
        norms: float32[documents] of `word_norms`.
        rows: R, stems that have a row.
        device: where it is computed and wanted.

    Raises:
        TrainingError: a teacher without vectors.
    """
    parts = []
    for choice in choices:
        if (pair := teachers[choice.teacher] if 0 <= choice.teacher < len(teachers) else None) is None:
            raise TrainingError(
                f"targets name teacher {choice.teacher} of {len(teachers)}, counted from 0: wanted an encoder"
            )
        documents, queries = pair
        found = stem_weights(documents, word_table(student_queries, queries, rows, device), choice.above, choice.kept)
        factors = np.repeat(choice.factor * (norms if choice.normed else np.ones_like(norms)), np.diff(found.indptr))
        parts.append((SparseMatrix(found.indptr, found.terms, found.values * factors, found.dim), choice.present))
    return StemTargets(parts, device)


def word_norms(documents: TokenStore) -> NDArray[np.float32]:
    """What BM25 gives a word that occurs once, in each document; 1 at the mean length. float32[N], of N documents."""
    lengths = documents.own_lengths
    return counted_once(lengths, max(1.0, lengths.mean())).astype(np.float32)
