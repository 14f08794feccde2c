"""How are the examples of a source held? As flat arrays of rows, a few bytes an example."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.sparse import indptr_of


class Example(NamedTuple):
    """Row of a query, rows of its documents with a positive first, and a teacher's score of each, or None."""

    query: int
    documents: tuple[int, ...]
    scores: tuple[float, ...] | None = None


class Examples:
    """The examples of one source; example ``i`` has the documents ``documents[borders[i]:borders[i + 1]]``.

    Args:
        queries: int32[n], row of each example's query.
        borders: int64[n + 1], rising: every example has a document.
        documents: int32[m], rows, a positive first in each example.
        scores: float32[m] of a teacher, NaN for examples without; None where there are none at all.
    """

    def __init__(
        self,
        queries: NDArray[np.int32],
        borders: NDArray[np.int64],
        documents: NDArray[np.int32],
        scores: NDArray[np.float32] | None = None,
    ) -> None:
        self.queries, self.borders, self.documents, self.scores = queries, borders, documents, scores

    @classmethod
    def of(cls, examples: Iterable[Example]) -> Examples:
        """The same as arrays, read one by one."""
        queries, sizes, documents, scores = array("i"), array("i"), array("i"), array("f")
        for example in examples:
            queries.append(example.query)
            sizes.append(len(example.documents))
            documents.extend(example.documents)
            scores.extend(example.scores or [np.nan] * len(example.documents))
        known = np.array(scores, np.float32)
        return cls(
            np.array(queries, np.int32),
            indptr_of(np.array(sizes, np.int64)),
            np.array(documents, np.int32),
            None if np.isnan(known).all() else known,
        )

    def __len__(self) -> int:
        return self.queries.size

    def __getitem__(self, i: int) -> Example:
        start, stop = self.borders[i], self.borders[i + 1]
        scores = None if self.scores is None else tuple(self.scores[start:stop].tolist())
        known = scores if scores and scores[0] == scores[0] else None
        return Example(int(self.queries[i]), tuple(self.documents[start:stop].tolist()), known)

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))

    @property
    def positives(self) -> NDArray[np.int32]:
        """Row of each example's positive, int32[n]."""
        return self.documents[self.borders[:-1]]


class Answers:
    """The known positives of each query, over all sources: ``documents[borders[q]:borders[q + 1]]``, rising.

    Args:
        sources: examples of each.
        queries: how many there are.
    """

    def __init__(self, sources: Sequence[Examples], queries: int) -> None:
        pairs = [source.queries.astype(np.int64) << 32 | source.positives for source in sources]
        found = np.unique(np.concatenate([np.zeros(0, np.int64), *pairs]))
        self.documents = (found & 0xFFFFFFFF).astype(np.int32)
        self.borders = indptr_of(np.bincount(found >> 32, minlength=queries))

    def of(self, query: int) -> NDArray[np.int32]:
        """Rows of documents, rising. int32[N]."""
        return self.documents[self.borders[query] : self.borders[query + 1]]
