"""What is a dense vector of a document? A list of numbers, float16 or int8, of one length for all values of a field."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus.values import MisfitError

MOST_NUMBERS = 4096
NAME = re.compile(r"(vector|vector_int8)(?:\(([1-9]\d{0,3})\))?")


class DenseType(NamedTuple):
    """A type of dense vectors.

    Attributes:
        base: "vector" or "vector_int8".
        length: how many numbers every value has; 0 where no value was seen.
    """

    base: str
    length: int = 0

    @property
    def name(self) -> str:
        """As schemas call it: "vector(384)", or "vector" without a length."""
        return f"{self.base}({self.length})" if self.length else self.base

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers, as they are stored."""
        return np.dtype("i1" if self.base == "vector_int8" else "<f2")

    @property
    def highest(self) -> int:
        """The largest number that it holds."""
        return 127 if self.base == "vector_int8" else 65_504

    @property
    def lowest(self) -> int:
        """The smallest number that it holds."""
        return -128 if self.base == "vector_int8" else -65_504

    @property
    def wanted(self) -> str:
        """Its values in words, for messages."""
        count = f"{self.length:,}" if self.length else f"1 to {MOST_NUMBERS:,}"
        numbers = "whole numbers" if self.base == "vector_int8" else "numbers"
        return f"a list of {count} {numbers} from {self.lowest:,} to {self.highest:,}"

    def take(self, value: Any) -> bytes:
        """A list, an array or JSON as its numbers are stored.

        Raises:
            MisfitError: anything else, another length, or a number that is not finite, too large, or no whole one.
        """
        found = _numbers(value)
        if self.length not in (0, found.size) or not self.lowest <= found.min() <= found.max() <= self.highest:
            raise MisfitError
        if self.dtype == np.int8 and found.dtype.kind == "f" and (found != np.trunc(found)).any():
            raise MisfitError
        stored: NDArray[Any] = found.astype(self.dtype) + self.dtype.type(0)  # -0.0 becomes 0.0
        return stored.tobytes()

    def with_length_of(self, value: bytes) -> DenseType:
        """The same type for vectors as long as one that is stored."""
        return DenseType(self.base, len(value) // self.dtype.itemsize)


@lru_cache(4096)
def dense_type(name: str) -> DenseType | None:
    """The type called "vector", "vector_int8", or one of these with a length, as "vector(384)"; None for others."""
    found = NAME.fullmatch(name)
    if found is None or int(found[2] or 1) > MOST_NUMBERS:
        return None
    return DenseType(found[1], int(found[2] or 0))


def _numbers(value: Any) -> NDArray[Any]:
    """The numbers of one vector as an array of integers or floats, at least one."""
    try:
        if isinstance(value, str):
            value = msgspec.json.decode(value)
        if not isinstance(value, list | tuple | np.ndarray) or not 1 <= len(value) <= MOST_NUMBERS:
            raise MisfitError
        if not isinstance(value, np.ndarray) and bool in set(map(type, value)):
            raise MisfitError
        found = np.asarray(value)
    except (msgspec.MsgspecError, ValueError, TypeError, OverflowError, UnicodeError, RecursionError):
        raise MisfitError from None
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise MisfitError
    return found
