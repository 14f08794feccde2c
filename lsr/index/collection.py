"""What can be asked of an index folder? Search over all its segments, documents by row."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.errors import InputError, MismatchError, StorageError
from lsr.index.allowed import Allowed
from lsr.index.engines import IndexSettings
from lsr.index.fanout import search_segments
from lsr.index.fields.conditions import Condition
from lsr.index.fields.facets import Facet, facet
from lsr.index.fields.filters import Filter, as_condition, is_relative
from lsr.index.fields.matching import matches
from lsr.index.fields.sorting import order_by
from lsr.index.plan import COMPILER, check_recall, scan_cost, settings_for
from lsr.index.results import TopK, check_queries, mask_of
from lsr.index.storage import manifest as manifests
from lsr.index.storage.segment import Segment
from lsr.index.windowed.kernels import search_windows
from lsr.sparse import SparseMatrix

KEPT_FILTERS = 31  # masks of filters that were asked before


class Collection:
    """An index folder open for search. Rows number the documents from 0 in the order they were indexed.

    Args:
        folder: the index.
        fingerprint: of the encoder that will make the queries; None skips the check.

    Raises:
        StorageError: no finished index, another format version, or damage.
        MismatchError: the index was made by another encoder.
    """

    def __init__(self, folder: Path, fingerprint: str | None = None) -> None:
        self.folder = folder
        while True:
            self.manifest = manifests.read(folder)
            self._check_encoder(fingerprint)
            try:
                self._segments = self._opened()
                break
            except StorageError:
                if self.is_current():  # otherwise it was replaced meanwhile
                    raise
        self._ends = list(accumulate(len(segment) for segment in self._segments))
        self._scanned = 0.0  # microseconds
        self._matched: dict[Condition, Allowed] = {}

    def _opened(self) -> list[Segment]:
        manifests.check_sizes(self.folder, self.manifest)
        self._settings = _settings(self.folder, self.manifest)
        segments = []
        for info in self.manifest.segments:
            segment = Segment(self.folder / info.folder, self.manifest.encoder.dim, self._settings)
            if (len(segment), segment.vectors.nnz) != (info.documents, info.nonzeros):
                raise StorageError(
                    f"{self.folder / info.folder} is not what its manifest says: index the documents again"
                )
            segments.append(segment)
        return segments

    def is_current(self) -> bool:
        """Whether the folder still holds the index that was opened.

        Raises:
            StorageError: it holds none any more.
        """
        return manifests.read(self.folder).files == self.manifest.files

    @staticmethod
    def verify(folder: Path) -> manifests.Manifest:
        """Compare every file with its checksum; the manifest.

        Raises:
            StorageError: a file is missing or damaged.
        """
        manifest = manifests.read(folder)
        manifests.check_sums(folder, manifest)
        return manifest

    def __len__(self) -> int:
        return self.manifest.documents

    def __repr__(self) -> str:
        return f"<Collection {str(self.folder)!r}, {len(self):,} documents, encoder {self.manifest.encoder.name!r}>"

    @property
    def grid(self) -> tuple[dict[str, Any], ...]:
        """Changes of the engine's settings that are worth trying."""
        return self._settings.choice.grid

    @property
    def encoder_folder(self) -> Path:
        """Where the index keeps its encoder."""
        return self.folder / self.manifest.encoder_folder

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
            queries: made by the index's encoder.
            k: at least 1, cut to the number of documents; places without a document hold row -1.
            exact: leave nothing out that could matter.
            recall: the share of the true best k to be found on average, above 0 and at most 1; the fastest settings
                that reached it on held-out queries are taken (`lsr tune`), or careful guesses. None takes the
                settings of the index.
            allowed: the documents that may be found; None means all.
            settings: changes of the engine's settings, in place of ``recall``.
            threads: queries are spread over so many; results are equal for any number.

        Raises:
            MismatchError: queries over another vocabulary, or ``allowed`` for another number of documents.
            InputError: k or threads below 1, recall outside (0, 1], or both ``exact`` and ``recall``.
        """
        check_queries(queries, self.manifest.encoder.dim, k)
        k = min(k, max(1, len(self)))
        chosen = self._settings.changed(settings) if settings else self._engine_settings(exact, recall, k)
        mask_of(allowed, len(self))  # refuses one that does not fit
        return search_segments(
            self._segments,
            queries,
            k,
            exact=chosen is None,
            allowed=() if allowed is None else self._parts(allowed),
            settings=chosen,
            threads=threads,
            scan=chosen is None and self._may_scan(len(queries)),
        )

    def _parts(self, allowed: Allowed) -> list[Allowed]:
        """The choice, by segment."""
        return [allowed.part(start, stop) for start, stop in pairwise([0, *self._ends])]

    def _engine_settings(self, exact: bool, recall: float | None, k: int) -> Any | None:
        """Settings of the engine that give what is wanted; None for exact search."""
        if exact and recall is not None:
            raise InputError("exact and recall exclude each other: exact search finds everything")
        if recall is None:
            return None if exact else self._settings.settings
        check_recall(recall)
        found = settings_for(recall, k, self.manifest.tuning, self._settings.choice.untuned)
        return None if found is None else self._settings.changed(found)

    def _may_scan(self, queries: int) -> bool:
        """Whether exact search does without the compiler, which a process that asks little need not wait for."""
        self._scanned += scan_cost(self.manifest.nonzeros, queries)
        return self._scanned < COMPILER and not search_windows.loaded

    @property
    def fields(self) -> dict[str, str]:
        """Types of the documents' fields by name."""
        return self.manifest.fields

    def matching(self, filter_: Filter) -> Allowed:
        """The documents that meet a filter: text, JSON, or a condition; see `lsr.index.fields`.

        Raises:
            InputError: no filter, an unknown field, or a value that does not fit its type.
            StorageError: damage.
        """
        condition = as_condition(filter_, self.fields)
        found = self._matched.get(condition)
        if found is None:
            masks = [matches(condition, segment.fields, len(segment)) for segment in self._segments]
            found = Allowed(np.concatenate([np.zeros(0, np.bool_), *masks]))
            if not is_relative(condition):
                self._matched = {**dict([*self._matched.items()][-KEPT_FILTERS:]), condition: found}
        return found

    def facets(self, names: Sequence[str], allowed: Allowed | None = None, top: int = 10) -> list[Facet]:
        """How the values of fields are spread over all documents, or over those allowed.

        Raises:
            InputError: an unknown field, or one that is stored only.
            MismatchError: ``allowed`` for another number of documents.
        """
        mask = mask_of(allowed, len(self)) != 0
        chosen = mask if mask.size else np.ones(len(self), np.bool_)
        parts = list(zip(self._segments, np.split(chosen, self._ends[:-1]), strict=True))
        return [
            facet(name, self._type_of(name), [(segment.fields.get(name), part) for segment, part in parts], top)
            for name in names
        ]

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[N].

        Raises:
            MismatchError: another vocabulary size.
        """
        check_queries(query, self.manifest.encoder.dim, 1)
        return np.concatenate([np.zeros(0, np.float32), *(segment.scores(query) for segment in self._segments)])

    def sorted(
        self, query: SparseMatrix, k: int, field: str, *, descending: bool = False, allowed: Allowed | None = None
    ) -> TopK:
        """The first k documents that score above 0 for a query of one row, by a field, ties by score.

        Raises:
            MismatchError, InputError: as for `search`; or a field that is unknown or has no order.
        """
        check_queries(query, self.manifest.encoder.dim, k)
        self._type_of(field)
        mask = mask_of(allowed, len(self))
        scores = self.scores(query)
        chosen = (scores > 0) & (mask != 0) if mask.size else scores > 0
        parts = zip(self._segments, np.split(chosen, self._ends[:-1]), strict=True)
        columns = [(segment.fields.get(field), part) for segment, part in parts]
        rows = np.flatnonzero(chosen)
        rows = rows[order_by(field, columns, scores[chosen], descending)[:k]]
        return TopK(rows[None].astype(np.int64), scores[rows][None])

    def _type_of(self, name: str) -> str:
        if name not in self.fields:
            known = ", ".join(sorted(self.fields)) or "none"
            raise InputError(f"no field {name!r:.60}: the index has {known:.500}")
        return self.fields[name]

    def document(self, row: int) -> Document:
        """The document at ``row``."""
        segment, within = self._locate(row)
        return segment.document(within)

    def document_id(self, row: int) -> str:
        """The id of the document at ``row``."""
        segment, within = self._locate(row)
        return segment.documents.id(within)

    def known(self, ids: Iterable[str]) -> set[str]:
        """Which of ``ids`` are documents of the index."""
        wanted = set(ids)
        return {name for segment in self._segments for name in segment.documents.known(wanted)}

    def vector(self, row: int) -> SparseMatrix:
        """The document vector at ``row``, as a matrix of one row."""
        segment, within = self._locate(row)
        return segment.vectors.slice(within, within + 1)

    def batches(self, rows: int) -> Iterator[tuple[list[Document], SparseMatrix]]:
        """All documents with their vectors, at most ``rows`` at a time, in order."""
        for segment in self._segments:
            for start in range(0, len(segment), rows):
                stop = min(start + rows, len(segment))
                yield [segment.documents[row] for row in range(start, stop)], segment.vectors.slice(start, stop)

    def terms_per_document(self) -> NDArray[np.int64]:
        """How many terms each document has, int64[N], in order of rows."""
        return np.concatenate([np.diff(segment.vectors.indptr) for segment in self._segments])

    def known_settings(self, k: int) -> list[dict[str, Any]]:
        """Changes of the engine's settings worth comparing at ``k``: the frontier of `lsr tune`, or careful guesses."""
        tuning = self.manifest.tuning
        if tuning is None or not tuning.points:
            return [changes for _, changes in self._settings.choice.untuned]
        return [point.settings for point in tuning.points if point.k == k]

    def _locate(self, row: int) -> tuple[Segment, int]:
        at = bisect_right(self._ends, row)
        if row < 0 or at == len(self._ends):
            raise InputError(f"row {row}: wanted 0 to {len(self) - 1:,}")
        return self._segments[at], row - (self._ends[at - 1] if at else 0)

    def _check_encoder(self, fingerprint: str | None) -> None:
        made_by = self.manifest.encoder
        if fingerprint not in (None, made_by.fingerprint):
            raise MismatchError(
                f"{self.folder} was indexed with {made_by.name} ({made_by.fingerprint}), the encoder given is "
                f"{fingerprint}: search with the index's own encoder, or index again with the new one"
            )


def _settings(folder: Path, manifest: manifests.Manifest) -> IndexSettings:
    points = manifest.tuning.points if manifest.tuning else []
    try:
        settings = IndexSettings.from_dict(manifest.settings)
        for point in points:
            IndexSettings.from_dict({**settings.to_dict(), **point.settings})
    except InputError as error:
        raise StorageError(f"{folder / manifests.NAME} has unreadable settings ({error}): index again") from None
    return settings
