"""Which rows of a vocabulary can be left out? Those of terms that no document of a sample fires, at a measured loss."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import Encoder
from lsr.errors import InputError

LEAST = 20  # documents of a sample below which a loss says nothing


class Pruning(NamedTuple):
    """Rows int64[K] to keep, ascending, and the share of weight that the others had in documents held out."""

    rows: NDArray[np.int64]
    loss: float

    @property
    def suffix(self) -> str:
        """What it adds to a fingerprint."""
        return f"-pruned-{hashlib.sha256(self.rows.tobytes()).hexdigest()[:8]}"


def choose_rows(encoder: Encoder, texts: Sequence[str]) -> Pruning:
    """Terms that fire in four fifths of ``texts``.

    The last fifth measures the loss; then its terms are kept as well, so the loss stated is more than the loss made.

    Raises:
        InputError: fewer than 20 texts.
    """
    if len(texts) < LEAST:
        raise InputError(f"{len(texts)} documents are too few to choose terms by: give {LEAST} or more")
    matrix = encoder.encode_documents(texts)
    border = len(texts) * 4 // 5
    seen, held = matrix.slice(0, border), matrix.slice(border, len(texts))
    fired = np.zeros(matrix.dim, bool)
    fired[seen.terms] = True
    loss = float(held.values[~fired[held.terms]].sum() / max(held.values.sum(), 1e-9))
    fired[held.terms] = True
    return Pruning(np.flatnonzero(fired), loss)
