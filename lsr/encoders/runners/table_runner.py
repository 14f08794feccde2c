"""How are queries encoded without a network? Word-pieces looked up in a table of one number a term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.part import Parts
from lsr.encoders.side import Side
from lsr.encoders.tokens.stem_tokens import StemView, terms_of, view_of
from lsr.encoders.tokens.windows import whole
from lsr.encoders.tokens.word_pieces import Tokens, read_tokenizer
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype


class TableRunner:
    """Every token of a text weighs what the table says, once (arXiv 2411.04403, eq. 2) or each time; no torch.

    Args:
        side: its view and length.
        tokenizer: path of a ``tokenizer.json``.
        table: float32[V], finite; terms at 0 never fire.
        terms: width of the vectors, V or more; None means V.

    Raises:
        EncoderError: table and tokenizer do not fit.
    """

    def __init__(self, side: Side, tokenizer: Path, table: NDArray[np.float32], terms: int | None = None) -> None:
        self.tokenizer = read_tokenizer(tokenizer)
        self._view, self.terms = view_of(tokenizer, whole(side)), max(table.size, terms or 0)
        if table.size < (known := terms_of(tokenizer, side)):
            raise EncoderError(
                f"{tokenizer.parent}: the query table has {table.size:,} numbers but the vocabulary "
                f"{known:,} terms; they do not belong together"
            )
        if not np.isfinite(table).all():
            raise EncoderError(f"{tokenizer.parent}: the query table holds NaN or infinity; the weights are damaged")
        self._short, self._prompt = side.view == "bare" or side.stems, side.prompt
        self._dtype, self._each = term_dtype(self.terms), side.pool == "sum"
        self._most = side.k if side.sparsifier == "topk" else self.terms
        self.set_table(table)

    def set_table(self, table: NDArray[np.float32]) -> None:
        """Other numbers, float32[V]."""
        self._table = np.append(table, np.zeros(max(0, self.terms - table.size), np.float32))

    def run(self, texts: Sequence[str]) -> tuple[SparseMatrix, int]:
        """Vectors, and how many texts were truncated."""
        if len(texts) == 1 and self._short:
            return self._one(texts[0])
        tokens = self._view(texts)
        rows = [self._row(_terms(t)) for t in tokens]
        terms = np.concatenate([np.zeros(0, self._dtype), *(own for own, _ in rows)])
        weights = np.concatenate([np.zeros(0, np.float32), *(weights for _, weights in rows)])
        matrix = SparseMatrix(indptr_of([own.size for own, _ in rows]), terms, weights, self.terms)
        return matrix, sum(t.truncated for t in tokens)

    def origins(self, text: str) -> tuple[SparseMatrix, Tokens, NDArray[np.int64]]:
        """The vector of one text, its tokens, and which of them gave each term.

        The last is int64[N] for N terms: places in the tokens.
        """
        matrix, _ = self.run([text])
        tokens = self._view([text])[0]
        own = tokens.ids if tokens.terms is None else tokens.terms
        pairs = zip(own, tokens.literal, strict=True)
        first = {term: at for at, (term, literal) in reversed(list(enumerate(pairs))) if literal or own is tokens.ids}
        return matrix, tokens, np.array([first[int(term)] for term in matrix.terms], np.int64)

    def _one(self, text: str) -> tuple[SparseMatrix, int]:
        """The path of a served query: tens of microseconds."""
        found, cut = self._literal(self._prompt + text)
        terms = np.array(sorted(set(found)), self._dtype)
        values = self._table[terms]
        if not values.all():
            terms, values = terms[values != 0], values[values != 0]
        if self._each and terms.size < len(found):
            values *= np.array([found.count(term) for term in terms.tolist()], np.float32)
        terms, values = self._heaviest(terms, values)
        matrix = SparseMatrix.unchecked(np.array([0, len(terms)], np.int64), terms, values, self.terms)
        return matrix, cut

    def _literal(self, text: str) -> tuple[list[int], int]:
        if isinstance(self._view, StemView):
            return self._view.stems.terms_of(text), 0
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return encoding.ids, int(bool(encoding.overflowing))

    def _row(self, ids: list[int]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Terms that weigh something, and their weights."""
        terms, counts = np.unique(np.array(ids, self._dtype), return_counts=True)
        kept = self._table[terms] != 0
        times = counts if self._each else np.ones_like(counts)
        return self._heaviest(terms[kept], self._table[terms[kept]] * times[kept].astype(np.float32))

    def _heaviest(self, terms: NDArray[Any], weights: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """The terms that the sparsifier keeps: those farthest from 0, the lower of equals."""
        if terms.size <= self._most:
            return terms, weights
        kept = np.sort(np.argsort(-np.abs(weights), kind="stable")[: self._most])
        return terms[kept], weights[kept]


class CorpusTable:
    """Weights of query terms that follow the corpus that is searched.

    A term weighs ``table[t] log p / log prior[t]``, where ``prior`` is the share of documents of the training corpus
    that hold it and ``p = (frequency + strength prior) / (documents + strength)`` the share expected in this corpus:
    the posterior mean under a Beta prior. Before the first document a term weighs ``table[t]``; a term that is rare in
    general and common here loses weight, as under BM25, but is never taken for more than `COMMONER` times as common:
    in passages gathered around some topics their words still say more than the words of any question.

    Args:
        parts: ``table`` and ``prior`` float32[V]; ``frequency`` float32[V] and ``documents`` float32[1] where a corpus
            was seen.

    Raises:
        EncoderError: counts that are none.
    """

    STRENGTH = 500.0  # documents that the prior stands for
    COMMONER = 55.0  # times as common as in general, at most

    def __init__(self, parts: Parts) -> None:
        self._table, self._prior = parts["table"], parts["prior"]
        self.frequency = parts.get("frequency", np.zeros_like(self._table)).copy()
        documents = parts.get("documents", np.zeros(1))
        counts = np.append(self.frequency.ravel(), documents.ravel())
        shapes = self.frequency.shape == self._table.shape == self._prior.shape and documents.shape == (1,)
        if not shapes or not np.isfinite(counts).all() or (counts < 0).any():
            raise EncoderError(
                "the query table's document frequencies are damaged: wanted one count of documents a term"
            )
        self.documents = int(documents[0])

    def observe(self, terms: Sequence[Sequence[int]]) -> None:
        """Take note of documents, each given by the terms that stand in it."""
        distinct = np.fromiter((term for own in terms for term in set(own)), np.int64)
        self.frequency += np.bincount(distinct, minlength=self.frequency.size)
        self.documents += len(terms)

    def weights(self) -> NDArray[np.float32]:
        """The table for this corpus, float32[V]."""
        prior = np.clip(self._prior.astype(np.float64), 1e-9, 1 - 1e-9)
        share = (self.frequency + self.STRENGTH * prior) / (self.documents + self.STRENGTH)
        share = np.minimum(share, self.COMMONER * prior)
        return (self._table * np.log(share) / np.log(prior)).astype(np.float32)

    def parts(self) -> Parts:
        """What the constructor takes."""
        seen = {"frequency": self.frequency, "documents": np.array([self.documents], np.float32)}
        return {"table": self._table, "prior": self._prior, **(seen if self.documents else {})}


def _terms(tokens: Tokens) -> list[int]:
    return tokens.ids if tokens.terms is None else tokens.own_terms
