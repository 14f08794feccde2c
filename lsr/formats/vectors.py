"""What passes between a reader and a writer of vectors? Batches of documents with their vectors, and one vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

ROWS = 1024  # of a batch
EXACT = 2**24  # whole numbers up to here are float32


class VectorBatch(NamedTuple):
    """Documents with a row each.

    Attributes:
        documents: an id, and a text where the format keeps one.
        matrix: float32 weights.
        done: bytes of the file that are read.
        rounded: how many of the weights were whole numbers that float32 does not hold.
    """

    documents: list[Document]
    matrix: SparseMatrix
    done: int
    rounded: int = 0


class Vocabulary(Sequence[str]):
    """The names of terms: learned from tokens as they come, or, where a file only has numbers, the numbers themselves.

    Attributes:
        about: what a file says of its maker: "encoder", "fingerprint".
    """

    def __init__(self) -> None:
        self._terms: list[str] = []
        self._numbers: dict[str, int] = {}
        self._width = 0
        self.about: dict[str, str] = {}

    @property
    def named(self) -> bool:
        """Whether terms have names of their own."""
        return bool(self._terms)

    @property
    def dim(self) -> int:
        """Number of terms so far, at least 1: what a `SparseMatrix` wants."""
        return max(1, len(self))

    def __len__(self) -> int:
        return len(self._terms) or self._width

    @overload
    def __getitem__(self, at: int) -> str: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...
    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if self._terms:
            return self._terms[at]
        numbers = range(self._width)[at]
        return str(numbers) if isinstance(numbers, int) else list(map(str, numbers))

    def learn(self, tokens: Iterable[str]) -> list[int]:
        """The number of each token; new ones get the next number.

        Raises:
            InputError: the terms before were numbers.
        """
        if self._width:
            raise InputError("the vectors before had numbers for terms, these have names: give both of one kind")
        numbers, terms = self._numbers, self._terms
        found = []
        for token in tokens:
            number = numbers.setdefault(token, len(terms))
            if number == len(terms):
                terms.append(token)
            found.append(number)
        return found

    def widen(self, dim: int) -> None:
        """Terms are numbers below ``dim``, or below what was said before.

        Raises:
            InputError: the terms before had names.
        """
        if self._terms:
            raise InputError("the vectors before had names for terms, these have numbers: give both of one kind")
        self._width = max(self._width, dim)

    def renumber(self, names: Sequence[str] | None, dim: int) -> NDArray[np.int64] | None:
        """How a file's own numbers translate: new number by old, or None where they stay.

        int64[dim].

        Args:
            names: of the file's terms, in order; None where it only has numbers.
            dim: of the file.

        Raises:
            InputError: a name occurs twice, or the terms before were of the other kind.
        """
        if not names:
            self.widen(dim)
            return None
        if len(set(names)) < len(names):
            twice = next(name for name, count in Counter(names).items() if count > 1)
            raise InputError(f"the name {twice!r:.60} stands for two terms: give each term a name of its own")
        numbers = np.array(self.learn(names), np.int64)
        return None if np.array_equal(numbers, np.arange(len(names))) else numbers


def single(values: Sequence[float] | NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """Weights as float32, infinite where they are too large, and how many are whole numbers that this rounds.

    ``values`` is [N] of any dtype; float32[N].
    """
    if isinstance(values, np.ndarray) and values.dtype == np.float32:
        return values, 0
    with np.errstate(over="ignore"):
        weights = np.asarray(values, np.float64).astype(np.float32)
    sizes = np.abs(weights)
    if not sizes.max(initial=0) >= EXACT:
        return weights, 0
    large = np.flatnonzero(np.isfinite(weights) & (sizes >= EXACT)).tolist()
    return weights, sum(int(values[i]) == values[i] != int(weights[i]) for i in large)


def sorted_rows(
    counts: Sequence[int] | NDArray[Any],
    terms: NDArray[Any],
    weights: NDArray[np.float32],
    dim: int,
    place: Callable[[int], str],
) -> SparseMatrix:
    """A matrix of rows whose terms come in any order; weights of 0 are left out.

    Args:
        counts: terms of each row.
        terms: int[nnz], row after row.
        weights: float32[nnz].
        dim: number of terms.
        place: where a row is in its file, for messages.

    Raises:
        InputError: a weight is not finite, or a term is twice in a row.
    """
    rows = np.repeat(np.arange(len(counts)), counts)
    if not (finite := np.isfinite(weights)).all():
        at = int(np.argmin(finite))
        raise InputError(f"{place(int(rows[at]))}: found the weight {weights[at]}, wanted a finite number (float32)")
    if not (kept := weights != 0).all():
        rows, terms, weights = rows[kept], terms[kept], weights[kept]
    keys = rows * dim + terms.astype(np.int64)
    if keys.size and (np.diff(keys) <= 0).any():
        order = np.argsort(keys, kind="stable")
        keys, terms, weights = keys[order], terms[order], weights[order]
        if (same := np.flatnonzero(np.diff(keys) == 0)).size:
            row, term = divmod(int(keys[same[0]]), dim)
            raise InputError(f"{place(row)}: the term {term} occurs twice in one vector; add up its weights")
    indptr = indptr_of(np.bincount(rows, minlength=len(counts)))
    return SparseMatrix(indptr, terms.astype(term_dtype(dim)), weights, dim)
