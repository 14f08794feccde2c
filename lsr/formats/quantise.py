"""What does a weight lose that becomes a whole number? Rounded, and the loss counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from lsr.errors import InputError
from lsr.formats.vectors import VectorBatch, Vocabulary, single, sorted_rows
from lsr.sparse import SparseMatrix

LARGEST = 2**31 - 1  # of an int32


@dataclass
class Rounding:
    """What rounding did.

    Attributes:
        scale: what weights were multiplied with.
        weights: how many there were.
        dropped: of these, how many became 0 and are gone.
        worst: largest |rounded / scale - weight|.
        moved: sum of the same.
        total: sum of |weight|.
    """

    scale: float
    weights: int = 0
    dropped: int = 0
    worst: float = 0.0
    moved: float = 0.0
    total: float = 0.0

    @property
    def share(self) -> float:
        """How much of the sum of all weights was moved, 0 to 1."""
        return self.moved / self.total if self.total else 0.0


@dataclass(frozen=True)
class Quantiser:
    """Turns weights into whole numbers.

    SPLADE's convention is a scale of 100, that of uniCOIL 8 bits (Lin and Ma, arXiv 2106.14807).

    Attributes:
        scale: multiply with it.
        bits: or: multiply so that the largest weight becomes ``2**bits - 1``.

    Raises:
        InputError: both of them, or a number out of range.
    """

    scale: float | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if self.scale is not None and self.bits is not None:
            raise InputError("--scale and --bits exclude each other: give one")
        if self.scale is not None and not 0 < self.scale < LARGEST:
            raise InputError(f"--scale {self.scale:g}: wanted a number above 0 and below {LARGEST:g}")
        if self.bits is not None and not 1 <= self.bits <= 24:
            raise InputError(f"--bits {self.bits}: wanted 1 to 24")

    @property
    def given(self) -> bool:
        """Whether weights are changed at all."""
        return self.scale is not None or self.bits is not None

    def rounding(self, batches: Iterable[VectorBatch]) -> Rounding:
        """The scale; with bits the vectors are read through for the largest weight.

        Raises:
            InputError: there is no weight.
        """
        if self.scale is not None:
            return Rounding(self.scale)
        largest = max((float(np.abs(b.matrix.values).max(initial=0)) for b in batches), default=0.0)
        if not largest:
            raise InputError("no vector has a weight: nothing to scale")
        return Rounding((2 ** (self.bits or 8) - 1) / largest)


def rounded(batches: Iterable[VectorBatch], rounding: Rounding) -> Iterator[VectorBatch]:
    """Whole weights; what rounding did is counted in ``rounding``.

    Raises:
        InputError: a weight that becomes too large for float32.
    """
    for batch in batches:
        values = batch.matrix.values.astype(np.float64)
        whole = single(np.rint(values * rounding.scale))[0].astype(np.float64)
        if not np.isfinite(whole).all():
            raise InputError(f"--scale {rounding.scale:g}: a weight becomes too large for float32; give a smaller one")
        error = np.abs(whole / rounding.scale - values)
        rounding.weights += values.size
        rounding.dropped += int((whole == 0).sum())
        rounding.worst = max(rounding.worst, float(error.max(initial=0)))
        rounding.moved += float(error.sum())
        rounding.total += float(np.abs(values).sum())
        yield batch._replace(matrix=_with(batch.matrix, whole))


def whole_only(batches: Iterable[VectorBatch], vocabulary: Vocabulary, format_name: str) -> Iterator[VectorBatch]:
    """The same batches, as long as every weight is a whole number of 1 or more.

    Raises:
        InputError: one is not.
    """
    for batch in batches:
        values = batch.matrix.values
        good = (values >= 1) & (values <= LARGEST) & (values == np.rint(values))
        if not good.all():
            at = int(np.argmin(good))
            row = int(np.searchsorted(batch.matrix.indptr, at, side="right")) - 1
            name = vocabulary[int(batch.matrix.terms[at])]
            raise InputError(
                f"document {batch.documents[row].id!r} has the weight {values[at]:g} for {name!r}, but {format_name} "
                "keeps whole numbers from 1: give --scale 100 or --bits 8"
                + ("; negative weights cannot be kept" if values[at] < 0 else "")
            )
        yield batch


def _with(matrix: SparseMatrix, whole: np.ndarray[tuple[int], np.dtype[np.float64]]) -> SparseMatrix:
    counts = np.diff(matrix.indptr)
    return sorted_rows(counts, matrix.terms, whole.astype(np.float32), matrix.dim, str)
