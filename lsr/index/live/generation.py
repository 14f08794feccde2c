"""What does a collection hold at one generation, and which of it scores highest? Never changed once it is made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.corpus.dense import dense_type
from lsr.corpus.passages import NUMBER
from lsr.errors import InputError
from lsr.index.allowed import Allowed
from lsr.index.engines import IndexSettings
from lsr.index.fanout import crop, search_segments
from lsr.index.fields.changes import raw_values
from lsr.index.fields.columns import DenseColumn
from lsr.index.fields.conditions import Comparison, Condition
from lsr.index.fields.facets import Facet, facet
from lsr.index.fields.filters import Filter, as_condition, fields_of, is_relative
from lsr.index.fields.matching import matches
from lsr.index.fields.sorting import order_by
from lsr.index.live.contents import Summary
from lsr.index.live.part import Part
from lsr.index.passage_rows import PassageRows
from lsr.index.plan import COMPILER, check_recall, scan_cost, settings_for
from lsr.index.results import TopK, check_queries, mask_of
from lsr.index.windowed.kernels import search_windows
from lsr.sparse import SparseMatrix

KEPT_FILTERS = 31  # masks of filters that were asked before


class Dense(NamedTuple):
    """Dense vectors of m documents.

    Attributes:
        values: float16[m, d] or int8[m, d]; zeros where a document has none, so that inner products are 0.
        there: bool[m], which documents have one.
    """

    values: NDArray[Any]
    there: NDArray[np.bool_]


class Generation:
    """Everything that a collection holds at one time, open for search.

    Rows number the documents from 0, those that were deleted since among them, which nothing finds. They differ from
    one generation to the next: what lasts is the id.

    Args:
        folder: of the collection.
        summary: what is known of it.
        parts: its segments.
        settings: of the engine.
    """

    def __init__(self, folder: Path, summary: Summary, parts: Sequence[Part], settings: IndexSettings) -> None:
        self.folder, self.summary, self.parts, self._settings = folder, summary, tuple(parts), settings
        self._segments = [part.segment for part in parts]
        self._ends = list(accumulate(len(part) for part in parts))
        self._starts = [0, *self._ends][: len(parts)]
        self._alive = [part.allowed for part in parts] if any(part.allowed for part in parts) else []
        self._scanned = 0.0  # microseconds
        self._matched: dict[Condition, Allowed] = {}
        self._split: list[tuple[Allowed, list[Allowed]]] = []
        self._count = sum(part.count for part in parts)

    def __len__(self) -> int:
        return self.count(self.alive) if self.has_passages else self._count

    def __repr__(self) -> str:
        return f"<Generation {self.number} of {str(self.folder)!r}, {len(self):,} documents>"

    @property
    def number(self) -> int:
        """Rises by one with every change of the collection."""
        return self.summary.generation

    @property
    def rows(self) -> int:
        """How many numbers of rows there are: documents, and those that were deleted since."""
        return self._ends[-1] if self._ends else 0

    @property
    def dim(self) -> int:
        """Size of the vocabulary."""
        return self.summary.dim

    @property
    def fields(self) -> Mapping[str, str]:
        """Types of the documents' fields by name."""
        return self.summary.fields

    @property
    def settings(self) -> IndexSettings:
        """The engine and its settings."""
        return self._settings

    @property
    def grid(self) -> tuple[dict[str, Any], ...]:
        """Changes of the engine's settings that are worth trying."""
        return self._settings.choice.grid

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        recall: float | None = None,
        allowed: Allowed | None = None,
        settings: dict[str, Any] | None = None,
        threads: int = 1,
    ) -> TopK:
        """The best k documents of each query; scores are exact inner products, ties go to the lower row.

        Args:
            queries: made by the collection's encoder.
            k: at least 1, cut to the number of documents; places without a document hold row -1.
            exact: leave nothing out that could matter.
            recall: the share of the true best k to be found on average, above 0 and at most 1; the fastest settings
                that reached it on held-out queries are taken (`lsr tune`), or careful guesses. None takes the
                settings of the collection.
            allowed: the rows that may be found; None means all. Deleted documents are never found.
            settings: changes of the engine's settings, in place of ``recall``.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of rows.
            InputError: k or threads below 1, recall outside (0, 1], or both ``exact`` and ``recall``.
        """
        check_queries(queries, self.dim, k)
        k = min(k, max(1, self._count))
        chosen = self._settings.changed(settings) if settings else self._engine_settings(exact, recall, k)
        return search_segments(
            self._segments,
            queries,
            k,
            exact=chosen is None,
            allowed=self._alive if allowed is None else self._allowed(allowed),
            settings=chosen,
            threads=threads,
            scan=chosen is None and self._may_scan(len(queries)),
        )

    def matching(self, filter_: Filter) -> Allowed:
        """The documents that meet a filter: text, JSON, or a condition; see `lsr.index.fields`.

        Raises:
            InputError: no filter, an unknown field, or a value that does not fit its type.
            StorageError: damage.
        """
        condition = as_condition(filter_, self.fields)
        found = self._matched.get(condition)
        if found is None:
            names = sorted(fields_of(condition))
            masks = [matches(condition, part.columns(names), len(part)) & part.mask for part in self.parts]
            found = Allowed(np.concatenate([np.zeros(0, np.bool_), *masks]))
            if not is_relative(condition):
                self._matched = {**dict([*self._matched.items()][-KEPT_FILTERS:]), condition: found}
        return found

    @cached_property
    def alive(self) -> Allowed:
        """The rows that are documents."""
        return Allowed(np.concatenate([np.zeros(0, np.bool_), *(part.mask for part in self.parts)]))

    def facets(self, names: Sequence[str], allowed: Allowed | None = None, top: int = 10) -> list[Facet]:
        """How the values of fields are spread over all documents, or over those allowed.

        Raises:
            InputError: an unknown field, or one that is stored only.
            MismatchError: ``allowed`` for another number of rows.
        """
        chosen = self._one_each(self._chosen(allowed))
        return [facet(name, self._type_of(name), self._columns(name, chosen), top) for name in names]

    @property
    def has_passages(self) -> bool:
        """Whether rows are passages of documents; otherwise each is a document."""
        return bool(self.summary.about.passages)

    @cached_property
    def passage_rows(self) -> PassageRows:
        """Which rows belong together, where they are passages."""
        first = Comparison(NUMBER, "=", 1)
        masks = [matches(first, part.columns([NUMBER]), len(part)) for part in self.parts]
        return PassageRows(np.concatenate([np.zeros(0, np.bool_), *masks]))

    def count(self, allowed: Allowed) -> int:
        """How many documents have a row that is allowed."""
        return int(np.count_nonzero(self._one_each(allowed.mask != 0)))

    def whole(self, allowed: Allowed) -> Allowed:
        """All rows of the documents that have a row that is allowed."""
        return Allowed(self.passage_rows.whole(allowed.mask != 0)) if self.has_passages else allowed

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[N] by row; 0 for a deleted one.

        Raises:
            MismatchError: another vocabulary size.
        """
        check_queries(query, self.dim, 1)
        found = [np.zeros(0, np.float32)]
        for part in self.parts:
            scores = part.segment.scores(crop(query, part.segment.vectors.dim))
            found.append(scores if part.alive is None else np.where(part.alive, scores, np.float32(0)))
        return np.concatenate(found)

    def sorted(
        self, query: SparseMatrix, k: int, field: str, *, descending: bool = False, allowed: Allowed | None = None
    ) -> TopK:
        """The first k documents that score above 0 for a query of one row, by a field, ties by score.

        Raises:
            MismatchError, InputError: as for `search`; or a field that is unknown or has no order.
        """
        check_queries(query, self.dim, k)
        self._type_of(field)
        scores = self.scores(query)
        chosen = (scores > 0) & self._chosen(allowed)
        rows = np.flatnonzero(chosen)
        rows = rows[order_by(field, self._columns(field, chosen), scores[chosen], descending)[:k]]
        return TopK(rows[None].astype(np.int64), scores[rows][None])

    def places(self, rows: NDArray[np.int64]) -> dict[str, tuple[NDArray[np.uint32], NDArray[np.int64]]]:
        """By name of a segment or batch the rows, int64[n], that lie in it: as it counts them, and where in ``rows``.

        uint32[m] and int64[m].
        """
        names = [name for part in self.parts for name, _ in part.segment.pieces]
        ends = np.cumsum([0, *(size for part in self.parts for _, size in part.segment.pieces)])
        pieces = np.searchsorted(ends, rows, side="right") - 1
        found = {}
        for piece in np.unique(pieces).tolist():
            at = np.flatnonzero(pieces == piece)
            found[names[piece]] = (rows[at] - ends[piece]).astype(np.uint32), at
        return found

    def pieces(self) -> Iterator[tuple[str, int, int]]:
        """Name, first row and number of rows of every segment and batch, in order."""
        first = 0
        for name, size in (piece for part in self.parts for piece in part.segment.pieces):
            yield name, first, size
            first += size

    def alive_by_piece(self) -> dict[str, NDArray[np.bool_]]:
        """Which rows of each segment and batch are documents, bool[size]."""
        alive = self.alive.mask != 0
        return {name: alive[first : first + size] for name, first, size in self.pieces()}

    def rows_at(self, other: Generation, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers here of ``rows``, int64[n], of another generation that shares their segments."""
        starts = {name: first for name, first, _ in self.pieces()}
        found = rows.copy()
        for name, first, size in other.pieces():
            own = (rows >= first) & (rows < first + size)
            found[own] += starts.get(name, first) - first
        return found

    def document(self, row: int, dense: bool = True) -> Document:
        """The document at ``row``, with its fields; those of dense vectors may be left out."""
        part, within = self._locate(row)
        return part.document(within, dense)

    def document_id(self, row: int) -> str:
        """The id of the document at ``row``."""
        part, within = self._locate(row)
        return part.segment.documents.id(within)

    def vector(self, row: int) -> SparseMatrix:
        """The document vector at ``row``, as a matrix of one row."""
        part, within = self._locate(row)
        return part.segment.vectors.slice(within, within + 1).widened(self.dim)

    def rows_of(self, ids: Sequence[str]) -> list[list[int]]:
        """The rows of each of ``ids``, rising: one, several where a document has passages, or none."""
        found: list[list[int]] = [[] for _ in ids]
        for part, start in zip(self.parts, self._starts, strict=True):
            for own, rows in zip(found, part.segment.rows_of(ids), strict=True):
                own += [start + row for row in rows if part.alive is None or part.alive[row]]
        return found

    def texts_of(self, rows: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Hashes of title and text of the documents at ``rows``, int64[n]; uint64[n]."""
        found = np.zeros(rows.size, np.uint64)
        for part, own, at in self._by_part(rows):
            found[at] = part.segment.hashes[own]
        return found

    def values_of(self, name: str, rows: NDArray[np.int64]) -> list[Any]:
        """The values of a field at ``rows``, int64[n], as they are stored; None for nothing."""
        found: list[Any] = [None] * rows.size
        for part, own, at in self._by_part(rows):
            if (column := part.column(name)) is not None:
                for place, value in zip(at.tolist(), raw_values(column, own), strict=True):
                    found[place] = value
        return found

    def dense(self, name: str, rows: NDArray[np.int64]) -> Dense:
        """The dense vectors of a field at ``rows``, int64[m], in any order.

        Raises:
            InputError: an unknown field, one of another type, or a row that is none.
            StorageError: damage.
        """
        type_ = dense_type(self._type_of(name))
        if type_ is None:
            raise InputError(f"the field {name!r:.60} is {self.fields[name]}: wanted a field of dense vectors")
        if rows.size and not 0 <= rows.min() <= rows.max() < self.rows:
            raise InputError(f"rows {rows.min()} to {rows.max()}: wanted 0 to {self.rows - 1:,}")
        found = Dense(np.zeros((rows.size, type_.length), type_.dtype), np.zeros(rows.size, np.bool_))
        for part, own, at in self._by_part(rows):
            column = part.column(name)
            if isinstance(column, DenseColumn) and column.type == type_:
                found.values[at], found.there[at] = column.values[own], column.there[own]
        return found

    def documents_at(self, rows: NDArray[np.int64]) -> Iterator[Document]:
        """The documents at ``rows``, int64[n], rising, with their fields."""
        for part, own, _ in self._by_part(rows):
            yield from part.documents(own, [*self.fields])

    def _by_part(self, rows: NDArray[np.int64]) -> Iterator[tuple[Part, NDArray[np.int64], NDArray[np.int64]]]:
        """The parts that hold ``rows``, with their own numbers of these, and where in ``rows`` they are."""
        numbers = np.searchsorted(self._ends, rows, side="right")
        for number in np.unique(numbers).tolist():
            at = np.flatnonzero(numbers == number)
            yield self.parts[number], rows[at] - self._starts[number], at

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are documents of the collection."""
        wanted = list(dict.fromkeys(ids))
        return {name for name, rows in zip(wanted, self.rows_of(wanted), strict=True) if rows}

    def batches(self, rows: int) -> Iterator[tuple[list[Document], SparseMatrix]]:
        """All documents with their vectors, at most ``rows`` at a time, in order."""
        for part in self.parts:
            for start in range(0, len(part), rows):
                stop = min(start + rows, len(part))
                kept = start + np.flatnonzero(part.mask[start:stop])
                if kept.size:
                    yield [part.document(row) for row in kept.tolist()], part.segment.vectors.taken(kept)

    def terms_per_document(self) -> NDArray[np.int64]:
        """How many terms each document has, int64[N], in order of rows."""
        sizes = [np.diff(part.segment.vectors.indptr)[part.mask] for part in self.parts]
        return np.concatenate([np.zeros(0, np.int64), *sizes])

    def known_settings(self, k: int) -> list[dict[str, Any]]:
        """Changes of the engine's settings worth comparing at ``k``: the frontier of `lsr tune`, or careful guesses."""
        tuning = self.summary.about.tuning
        if tuning is None or not tuning.points:
            return [changes for _, changes in self._settings.choice.untuned]
        return [point.settings for point in tuning.points if point.k == k]

    def _engine_settings(self, exact: bool, recall: float | None, k: int) -> Any | None:
        """Settings of the engine that give what is wanted; None for exact search."""
        if exact and recall is not None:
            raise InputError("exact and recall exclude each other: exact search finds everything")
        if recall is None:
            return None if exact else self._settings.settings
        check_recall(recall)
        found = settings_for(recall, k, self.summary.about.tuning, self._settings.choice.untuned)
        return None if found is None else self._settings.changed(found)

    def _may_scan(self, queries: int) -> bool:
        """Whether exact search does without the compiler, which a process that asks little need not wait for."""
        self._scanned += scan_cost(self.summary.nonzeros, queries)
        return self._scanned < COMPILER and not search_windows.loaded

    def _allowed(self, allowed: Allowed) -> list[Allowed]:
        """A choice by part, without deleted documents; the latest are kept."""
        for known, parts in self._split:
            if known is allowed:
                return parts
        mask_of(allowed, self.rows)  # refuses one that does not fit
        parts = []
        for part, start, stop in zip(self.parts, self._starts, self._ends, strict=True):
            own = allowed.part(start, stop)
            parts.append(own if part.alive is None else Allowed((own.mask != 0) & part.alive))
        self._split = [*self._split[-KEPT_FILTERS:], (allowed, parts)]
        return parts

    def _chosen(self, allowed: Allowed | None) -> NDArray[np.bool_]:
        """The rows that are documents and allowed, bool[rows]."""
        mask = mask_of(allowed, self.rows)
        alive: NDArray[np.bool_] = self.alive.mask != 0
        return np.logical_and(alive, mask != 0) if mask.size else alive

    def _one_each(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """One row for each document of which some are ``chosen``."""
        return self.passage_rows.one_each(chosen) if self.has_passages else chosen

    def _columns(self, name: str, chosen: NDArray[np.bool_]) -> list[tuple[Any, NDArray[np.bool_]]]:
        """The column of a field, and which of its rows count, by part."""
        masks = np.split(chosen, self._ends[:-1]) if self._ends else []
        return [(part.column(name), mask) for part, mask in zip(self.parts, masks, strict=True)]

    def _type_of(self, name: str) -> str:
        if name not in self.fields:
            known = ", ".join(sorted(self.fields)) or "none"
            raise InputError(f"no field {name!r:.60}: the index has {known:.500}")
        return self.fields[name]

    def _locate(self, row: int) -> tuple[Part, int]:
        at = bisect_right(self._ends, row)
        if row < 0 or at == len(self._ends):
            raise InputError(f"row {row}: wanted 0 to {self.rows - 1:,}")
        return self.parts[at], row - self._starts[at]
