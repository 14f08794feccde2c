"""Where are the newest documents searched? In memory, as a segment is, until they are in a segment on the disk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.index.allowed import Allowed
from lsr.index.engines import Engine, IndexSettings
from lsr.index.exact import ExactIndex
from lsr.index.fields.changes import column_of_record
from lsr.index.fields.columns import Column
from lsr.index.results import TopK
from lsr.index.storage.ids import text_hashes
from lsr.index.storage.records import Batch, batch_name, documents_of
from lsr.sparse import SparseMatrix, concatenate

GROWTH = 4  # a segment of the newest documents that is less than so many times as large as the next joins it


class RecentDocuments:
    """The documents of a `RecentSegment` by row."""

    def __init__(self, documents: list[Document]) -> None:
        self._documents = documents

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, row: int) -> Document:
        return self._documents[row]

    def id(self, row: int) -> str:
        """The id of the document at ``row``."""
        return self._documents[row].id

    def documents(self, rows: NDArray[np.int64]) -> Iterator[Document]:
        """The documents at ``rows``, int64[n]."""
        return (self._documents[row] for row in rows.tolist())

    def ids(self) -> list[str]:
        """All ids, in order of rows."""
        return [document.id for document in self._documents]


class RecentSegment:
    """The documents of some batches, open for search.

    Args:
        batches: by generation, rising.
        settings: of the engine.
        types: of fields by name.

    Raises:
        VectorError: damage.
    """

    def __init__(self, batches: Sequence[tuple[int, Batch]], settings: IndexSettings) -> None:
        self.batches = tuple(batches)
        self.vectors = concatenate([batch.matrix for _, batch in batches])
        self._settings = settings
        self._exact = ExactIndex(self.vectors)
        self.documents = RecentDocuments([document for _, batch in batches for document in documents_of(batch)])
        self.pieces = [(batch_name(generation), len(batch.ids)) for generation, batch in batches]
        self.born = np.repeat([g for g, _ in batches], [size for _, size in self.pieces]).astype(np.uint32)

    @cached_property
    def engine(self) -> Engine:
        """Over the vectors."""
        return self._settings.choice.index.build(self.vectors, self._settings.settings)

    def __len__(self) -> int:
        return len(self.vectors)

    @cached_property
    def rows_by_id(self) -> dict[str, list[int]]:
        """The rows of every id."""
        found: dict[str, list[int]] = {}
        for row, document in enumerate(self.documents.ids()):
            found.setdefault(document, []).append(row)
        return found

    def rows_of(self, ids: Sequence[str]) -> list[list[int]]:
        """The rows of each of ``ids``, deleted ones among them."""
        return [self.rows_by_id.get(name, []) for name in ids]

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Of titles and texts, uint64[n]."""
        return text_hashes(self.documents[row] for row in range(len(self)))

    def column(self, name: str, kind: str) -> Column | None:
        """The column of a field; None where no document has it."""
        if not any(name in batch.columns for _, batch in self.batches):
            return None
        nothing = ([None] * len(batch.ids) for _, batch in self.batches)
        parts = zip(self.batches, nothing, strict=True)
        return column_of_record(kind, [value for (_, batch), none in parts for value in batch.columns.get(name, none)])

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[n]."""
        return self._exact.scores(query)

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        allowed: Allowed | None = None,
        settings: Any | None = None,
        threads: int = 1,
        scan: bool = False,
    ) -> TopK:
        """As `Segment.search`."""
        engine = self._exact if exact and scan else self.engine
        return engine.search(queries, k, exact=exact, allowed=allowed, settings=settings, threads=threads)


def joined(
    recent: Sequence[RecentSegment], batches: Sequence[tuple[int, Batch]], settings: IndexSettings
) -> tuple[RecentSegment, ...]:
    """``recent`` segments with more batches; small ones join, so that there are few of them."""
    kept = list(recent)
    for generation, batch in batches:
        if batch.ids:
            new = [(generation, batch)]
            while kept and len(kept[-1]) < GROWTH * sum(len(one.ids) for _, one in new):
                new = [*kept.pop().batches, *new]
            kept.append(RecentSegment(new, settings))
    for segment in kept:
        _ = segment.engine  # built now, not by the first search
    return tuple(kept)
