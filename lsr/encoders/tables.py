"""How are queries encoded without a network? Word-pieces looked up in a table of one number a term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.declaration import Side
from lsr.encoders.source import read_object
from lsr.encoders.view import Tokens, View, read_tokenizer
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype


class TableRunner:
    """Every distinct token of a text weighs what the table says (arXiv 2411.04403, eq. 2); no torch.

    Args:
        side: its view and length.
        tokenizer: path of a ``tokenizer.json``.
        table: float32[V], finite; terms at 0 or below never fire.

    Raises:
        EncoderError: table and tokenizer do not fit.
    """

    def __init__(self, side: Side, tokenizer: Path, table: NDArray[np.float32]) -> None:
        self.tokenizer = read_tokenizer(tokenizer)
        self._view, self._table, self.terms = View(self.tokenizer, side), table, table.size
        if self.terms < self.tokenizer.get_vocab_size():
            raise EncoderError(
                f"{tokenizer.parent}: the query table has {self.terms:,} numbers but the tokenizer "
                f"{self.tokenizer.get_vocab_size():,} word-pieces; they do not belong together"
            )
        if not np.isfinite(table).all():
            raise EncoderError(f"{tokenizer.parent}: the query table holds NaN or infinity; the weights are damaged")
        self._plain, self._prompt = side.view == "bare", side.prompt
        self._dtype = term_dtype(self.terms)
        self._weights = {i: weight for i, weight in enumerate(table.tolist()) if weight > 0}

    def run(self, texts: Sequence[str]) -> tuple[SparseMatrix, int]:
        """Vectors, and how many texts were cut."""
        if len(texts) == 1 and self._plain:
            return self._one(texts[0])
        tokens = self._view(texts)
        rows = [self._row(t.ids) for t in tokens]
        terms = np.concatenate([np.zeros(0, self._dtype), *rows])
        matrix = SparseMatrix(indptr_of([row.size for row in rows]), terms, self._table[terms], self.terms)
        return matrix, sum(t.cut for t in tokens)

    def origins(self, text: str) -> tuple[SparseMatrix, Tokens, NDArray[np.int64]]:
        """The vector of one text, its tokens, and which of them gave each term."""
        matrix, _ = self.run([text])
        tokens = self._view([text])[0]
        first = {term: at for at, term in reversed(list(enumerate(tokens.ids)))}
        return matrix, tokens, np.array([first[int(term)] for term in matrix.terms], np.int64)

    def _one(self, text: str) -> tuple[SparseMatrix, int]:
        """The path of a served query: tens of microseconds."""
        encoding = self.tokenizer.encode(self._prompt + text, add_special_tokens=False)
        weights = self._weights
        own = sorted(term for term in set(encoding.ids) if term in weights)
        terms, values = np.array(own, self._dtype), np.array([weights[term] for term in own], np.float32)
        matrix = SparseMatrix.unchecked(np.array([0, len(own)], np.int64), terms, values, self.terms)
        return matrix, int(bool(encoding.overflowing))

    def _row(self, ids: list[int]) -> NDArray[Any]:
        terms = np.array(sorted(set(ids)), self._dtype)
        return np.asarray(terms[self._table[terms] > 0])


def read_idf(path: Path, tokenizer: Path) -> NDArray[np.float32]:
    """The table in an OpenSearch ``idf.json`` (token to number), float32[V]; tokens that it leaves out weigh 0.

    Raises:
        EncoderError: not such a file, or tokens that the tokenizer does not know.
    """
    ids = read_tokenizer(tokenizer).get_vocab()
    weights = read_object(path)
    table = np.zeros(max(ids.values(), default=0) + 1, np.float32)
    for token, weight in weights.items():
        if not isinstance(weight, int | float) or not np.isfinite(weight):
            raise EncoderError(f"{path}: token {token!r} has {weight!r}; wanted a finite number")
        if token not in ids:
            raise EncoderError(f"{path}: token {token!r} is not in the tokenizer; they do not belong together")
        table[ids[token]] = weight
    return table
