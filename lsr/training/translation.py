"""What does a vector of word-pieces say in stems? Each whole word its stem, which takes the largest weight."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.stems import NO_TERM, WORD, Stems
from lsr.encoders.view import read_tokenizer
from lsr.sparse import SparseMatrix, indptr_of, term_dtype


def stems_of_pieces(tokenizer: Path, stems: Stems) -> NDArray[np.int64]:
    """The named stem int64[V] of every word-piece that is a word; -1 for parts of words, signs and function words."""
    names = read_tokenizer(tokenizer).get_vocab()
    found = np.full(max(names.values(), default=-1) + 1, NO_TERM, np.int64)
    for name, piece in names.items():
        if len(name) > 1 and WORD.fullmatch(name):
            term = stems.term(name)
            found[piece] = term if term < len(stems.stems) else NO_TERM
    return found


def translated(vectors: SparseMatrix, terms: NDArray[np.int64], dim: int, factor: float = 1.0) -> SparseMatrix:
    """``vectors`` in other terms.

    Args:
        vectors: rows of old terms.
        terms: int64[V], the new term of each old one; -1 for none. Of several the largest weight counts.
        dim: number of new terms.
        factor: what weights are multiplied by.
    """
    owner = np.repeat(np.arange(len(vectors)), np.diff(vectors.indptr))
    new = terms[vectors.terms]
    keys, weights = (owner * dim + new)[new >= 0], vectors.values[new >= 0]
    order = np.argsort(keys, kind="stable")
    keys, weights = keys[order], weights[order]
    first = np.flatnonzero(np.diff(keys, prepend=-1))
    values = np.maximum.reduceat(weights, first) if first.size else weights
    counts = np.bincount(keys[first] // dim, minlength=len(vectors))
    return SparseMatrix(indptr_of(counts), (keys[first] % dim).astype(term_dtype(dim)), values * factor, dim)
