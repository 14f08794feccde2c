"""What is a set of sparse vectors? One CSR matrix, the only value that crosses a room's border."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import MissingExtraError, VectorError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

TermArray = NDArray[Any]  # uint16 or uint32
WeightArray = NDArray[Any]  # float32 or uint8

MAX_DIM = 2**32 - 1
FEW = 256  # numbers that Python looks through faster than NumPy
MOST_WEIGHT = 1e15  # of a query or a document: sums of 10^8 products of two such weights are float32


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """Sparse vectors as rows of a CSR matrix; immutable, checked once when made.

    Row ``i`` holds the terms ``terms[indptr[i]:indptr[i + 1]]`` with the values
    ``weights[indptr[i]:indptr[i + 1]] * scale``.

    Attributes:
        indptr: int64[n + 1], from 0 to the number of non-zeros, never falling.
        terms: uint16 or uint32[nnz], strictly ascending within a row, below ``dim``.
        weights: float32 or uint8[nnz], finite and not 0; float32 may be negative.
        dim: number of terms in the vocabulary.
        scale: value of one weight unit; 1 for float32 weights that are values already.

    Raises:
        VectorError: an array breaks one of these rules; the message names row and position.
    """

    indptr: NDArray[np.int64]
    terms: TermArray
    weights: WeightArray
    dim: int
    scale: float = 1.0

    def __post_init__(self) -> None:
        _check(self)

    def __len__(self) -> int:
        return self.indptr.size - 1

    @property
    def nnz(self) -> int:
        """Number of stored weights."""
        return int(self.terms.size)

    @property
    def signed(self) -> bool:
        """Whether a weight is negative; reads them all."""
        return self.weights.dtype == np.float32 and bool((self.weights < 0).any())

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, vocabulary size)."""
        return len(self), self.dim

    @property
    def values(self) -> NDArray[np.float32]:
        """Weights times scale, float32[nnz]."""
        if self.weights.dtype == np.float32 and self.scale == 1.0:
            return self.weights
        return self.weights.astype(np.float32) * np.float32(self.scale)

    def row(self, i: int) -> tuple[TermArray, NDArray[np.float32]]:
        """Terms and float32 values of row ``i``. Terms are uint16[n] or wider, values float32[n]."""
        part = self.slice(i, i + 1)
        return part.terms, part.values

    def slice(self, start: int, stop: int) -> SparseMatrix:
        """Rows ``start`` to ``stop`` as views of the same arrays (only indptr is copied)."""
        first, last = self.indptr[start], self.indptr[stop]
        indptr = self.indptr[start : stop + 1] - first
        return _trusted(indptr, self.terms[first:last], self.weights[first:last], self.dim, self.scale)

    def taken(self, rows: NDArray[np.int64]) -> SparseMatrix:
        """The rows with these numbers, int64[m], in that order."""
        starts, sizes = self.indptr[rows], np.diff(self.indptr)[rows]
        indptr = indptr_of(sizes)
        places = np.repeat(starts - indptr[:-1], sizes) + np.arange(indptr[-1])
        return _trusted(indptr, self.terms[places], self.weights[places], self.dim, self.scale)

    def widened(self, dim: int) -> SparseMatrix:
        """The same rows over a vocabulary of ``dim`` terms, or of its own size where that is larger."""
        if dim <= self.dim:
            return self
        return _trusted(self.indptr, self.terms.astype(term_dtype(dim), copy=False), self.weights, dim, self.scale)

    @classmethod
    def unchecked(
        cls, indptr: NDArray[np.int64], terms: TermArray, weights: WeightArray, dim: int, scale: float = 1.0
    ) -> SparseMatrix:
        """A matrix that is not checked: the caller keeps the rules. Saves 40 us, as much as the rest of a query.

        ``indptr`` is int64[N + 1], ``terms`` and ``weights`` are [nnz].
        """
        return _trusted(indptr, terms, weights, dim, scale)

    @classmethod
    def from_dicts(cls, rows: Iterable[Mapping[int, float]], dim: int) -> SparseMatrix:
        """Rows given as ``{term: weight}``; terms may come in any order, weights that are 0 as float32 are dropped.

        Raises:
            VectorError: a term or a weight is out of range, or is no number.
        """
        _check_dim(dim)
        found = [sorted(_pairs(row)) for row in rows]
        terms = [t for row in found for t, _ in row]
        if terms and not 0 <= min(terms) <= max(terms) < dim:
            raise VectorError(f"term {min(terms) if min(terms) < 0 else max(terms)}: wanted 0 <= term < dim = {dim:,}")
        with np.errstate(over="ignore"):
            weights = np.array([w for row in found for _, w in row], np.float64).astype(np.float32)
        kept = weights != 0
        indptr = np.concatenate([[0], np.cumsum(kept)])[indptr_of([len(row) for row in found])]
        return cls(indptr, np.array(terms, term_dtype(dim))[kept], weights[kept], dim)

    def to_dicts(self) -> list[dict[int, float]]:
        """One ``{term: value}`` for each row."""
        values = self.values
        spans = zip(self.indptr[:-1].tolist(), self.indptr[1:].tolist(), strict=True)
        return [dict(zip(self.terms[a:b].tolist(), values[a:b].tolist(), strict=True)) for a, b in spans]

    @classmethod
    def from_scipy(cls, matrix: Any) -> SparseMatrix:
        """Any scipy sparse matrix or array; duplicates are added up, weights that are 0 as float32 are dropped.

        Raises:
            VectorError: a value is not finite.
        """
        csr = matrix.tocsr().copy()
        csr.sum_duplicates()
        with np.errstate(over="ignore"):
            csr = csr.astype(np.float32)
        csr.eliminate_zeros()
        dim = csr.shape[1]
        return cls(csr.indptr.astype(np.int64), csr.indices.astype(term_dtype(dim)), csr.data, dim)

    def to_scipy(self) -> csr_array:
        """The same matrix as a float32 ``scipy.sparse.csr_array``.

        Raises:
            MissingExtraError: scipy is not installed.
        """
        try:
            from scipy.sparse import csr_array
        except ImportError:
            raise MissingExtraError("scipy", "bench", "to_scipy()") from None
        return csr_array((self.values, self.terms.astype(np.int64), self.indptr), shape=self.shape)


def term_dtype(dim: int) -> type[np.uint16] | type[np.uint32]:
    """The narrowest type that holds every term below ``dim``."""
    return np.uint16 if dim <= 2**16 else np.uint32


def indptr_of(counts: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """Row borders int64[n + 1] from the number of non-zeros of each row."""
    indptr = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    return indptr


def concatenate(parts: Sequence[SparseMatrix]) -> SparseMatrix:
    """The rows of all parts in order; the parts share one scale and weight type, the widest dim wins.

    Raises:
        VectorError: no parts, or parts of different scale or weight type.
    """
    if not parts:
        raise VectorError("nothing to concatenate: give at least one matrix")
    if len({(part.scale, part.weights.dtype) for part in parts}) > 1:
        raise VectorError("parts with different scales or weight types: give all the same, or float32 values")
    dim = max(part.dim for part in parts)
    indptr = indptr_of(np.concatenate([np.diff(part.indptr) for part in parts]))
    terms = np.concatenate([part.terms for part in parts]).astype(term_dtype(dim), copy=False)
    return _trusted(indptr, terms, np.concatenate([part.weights for part in parts]), dim, parts[0].scale)


def check_summable(matrix: SparseMatrix, name: Callable[[int], str] = "row {}".format) -> None:
    """Refuse weights that could make a score infinite.

    Args:
        matrix: queries, or documents.
        name: of a row, for the message.

    Raises:
        VectorError: a weight above `MOST_WEIGHT`, or below its negative.
    """
    weights, most = matrix.weights, MOST_WEIGHT / matrix.scale
    values = weights.tolist() if weights.size < FEW else (weights.max(), weights.min())
    if values and (max(values) > most or min(values) < -most):
        at = int(np.argmax(np.abs(weights)))
        row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
        raise VectorError(
            f"{name(row)} has the weight {weights[at] * matrix.scale:g}, wanted at most {MOST_WEIGHT:g}, so that "
            "scores, sums of products of weights, stay finite; scale the vectors down"
        )


def _pairs(row: Mapping[int, float]) -> list[tuple[int, float]]:
    try:
        return [(index(term), float(weight)) for term, weight in row.items()]
    except (AttributeError, OverflowError, TypeError, ValueError):
        raise VectorError(
            f"found {row!r:.60}, wanted whole numbers of terms with their weights, as {{3: 0.5}}"
        ) from None


def _trusted(indptr: NDArray[np.int64], terms: TermArray, weights: WeightArray, dim: int, scale: float) -> SparseMatrix:
    """A matrix made of parts of checked ones: not checked again."""
    matrix = object.__new__(SparseMatrix)
    fields = {"indptr": indptr, "terms": terms, "weights": weights, "dim": dim, "scale": scale}
    for name, value in fields.items():
        object.__setattr__(matrix, name, value)
    return matrix


def _check(matrix: SparseMatrix) -> None:
    _check_types(matrix)
    _check_indptr(matrix)
    _check_weights(matrix)
    _check_terms(matrix)


def _check_types(matrix: SparseMatrix) -> None:
    wanted = {
        "indptr": (matrix.indptr, ("int64",)),
        "terms": (matrix.terms, ("uint16", "uint32")),
        "weights": (matrix.weights, ("float32", "uint8")),
    }
    for name, (array, dtypes) in wanted.items():
        if not isinstance(array, np.ndarray) or array.ndim != 1 or str(array.dtype) not in dtypes:
            found = f"{array.dtype}{list(array.shape)}" if isinstance(array, np.ndarray) else type(array).__name__
            raise VectorError(f"{name} is {found}: wanted a flat array of {' or '.join(dtypes)}")
    _check_dim(matrix.dim)
    if not (np.isfinite(matrix.scale) and matrix.scale > 0):
        raise VectorError(f"scale is {matrix.scale}: wanted a finite number above 0")


def _check_dim(dim: object) -> None:
    if not isinstance(dim, int | np.integer) or not 0 < dim <= MAX_DIM:
        raise VectorError(f"dim is {dim!r:.40}: wanted a whole number from 1 to {MAX_DIM:,}")


def _check_indptr(matrix: SparseMatrix) -> None:
    indptr, nnz = matrix.indptr, matrix.terms.size
    if matrix.weights.size != nnz:
        raise VectorError(f"{nnz:,} terms but {matrix.weights.size:,} weights: give one weight for each term")
    if indptr.size == 0 or indptr[0] != 0 or indptr[-1] != nnz:
        ends = "nothing" if indptr.size == 0 else f"{indptr[0]} to {indptr[-1]}"
        raise VectorError(f"indptr runs from {ends}: wanted 0 to the number of terms, {nnz:,}")
    if (falls := np.flatnonzero(np.diff(indptr) < 0)).size:
        raise VectorError(f"indptr falls after row {falls[0]}: row borders must never fall")


def _check_weights(matrix: SparseMatrix) -> None:
    weights = matrix.weights
    good = weights != 0
    if weights.dtype == np.float32:
        good &= np.isfinite(weights)
    if not good.all():
        at = int(np.argmin(good))
        raise VectorError(f"{_place(matrix, at)}: weight {weights[at]}, wanted a finite number other than 0")


def _check_terms(matrix: SparseMatrix) -> None:
    terms = matrix.terms
    if terms.size and int(terms.max()) >= matrix.dim:
        at = int(np.argmax(terms))
        raise VectorError(f"{_place(matrix, at)}: term {terms[at]}, wanted a term below dim = {matrix.dim:,}")
    rises = np.ones(terms.size + 1, bool)
    np.greater(terms[1:], terms[:-1], out=rises[1:-1])
    rises[matrix.indptr] = True
    if not rises.all():
        at = int(np.argmin(rises))
        raise VectorError(
            f"{_place(matrix, at)}: term {terms[at]} comes after term {terms[at - 1]}, "
            "wanted strictly ascending terms within a row (sort them and add up duplicates)"
        )


def _place(matrix: SparseMatrix, at: int) -> str:
    row = int(np.searchsorted(matrix.indptr, at, side="right")) - 1
    return f"row {row}, position {at - int(matrix.indptr[row])}"
