"""How does a runner encode long texts? Their windows like texts of their own; of each term the largest weight stays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.registry import head_of
from lsr.encoders.runners.rows import maxima
from lsr.encoders.side import Side
from lsr.encoders.tokens.windows import WindowView, joined
from lsr.encoders.tokens.word_pieces import Tokens
from lsr.sparse import SparseMatrix


class WindowedRunner(ABC):
    """One side that reads so many tokens at once.

    Args:
        tokenizer: path of a ``tokenizer.json``.
        side: view, length, and what becomes of long texts; a dense one reads their first tokens.
    """

    def __init__(self, tokenizer: Path, side: Side) -> None:
        self._windows = WindowView(tokenizer, side, truncate=head_of(side).dense)

    def run(self, texts: Sequence[str]) -> tuple[SparseMatrix, int]:
        """Vectors, and how many texts were truncated."""
        windows = self._windows(texts)
        return maxima(self._encoded(windows.tokens), windows.counts), windows.truncated

    def origins(self, text: str) -> tuple[SparseMatrix, Tokens, NDArray[np.int64]]:
        """The vector of one text, its tokens, and which of them gave each term; -1 where no single one did.

        The last is int64[N] for N terms: places in the tokens. Of a long text these are the tokens of all windows.
        """
        windows = self._windows([text]).tokens
        rows = self._encoded(windows)
        matrix = maxima(rows, [len(windows)])
        positions, before = np.full(matrix.nnz, -1, np.int64), 0
        for at, givers in enumerate(_givers(rows, matrix)):
            found = self._positions(windows[at], matrix.terms[givers].astype(np.int64))
            positions[givers] = np.where(found < 0, -1, found + before)
            before += len(windows[at].ids)
        return matrix, joined(windows) if len(windows) > 1 else windows[0], positions

    @abstractmethod
    def _encoded(self, tokens: list[Tokens]) -> SparseMatrix:
        """Vectors of windows."""

    @abstractmethod
    def _positions(self, tokens: Tokens, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each term of the vector of one window its token; -1 where no single one gave it."""


def _givers(rows: SparseMatrix, matrix: SparseMatrix) -> list[NDArray[np.intp]]:
    """For each window the places in ``matrix``, of one row, of the terms whose weight it gave; the first of equals."""
    left = np.ones(matrix.nnz, bool)
    found = []
    for at in range(len(rows)):
        terms, values = rows.row(at)
        places = np.searchsorted(matrix.terms, terms)
        own = places[(values == matrix.values[places]) & left[places]]
        left[own] = False
        found.append(own)
    return found
