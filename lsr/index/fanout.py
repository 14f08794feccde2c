"""Which documents of all segments are best? Segments that one kernel can read are searched by one call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from lsr.index.allowed import Allowed
from lsr.index.results import TopK, check_queries, empty_results, merge
from lsr.index.windowed.engine import WindowedIndex
from lsr.index.windowed.group import WindowedGroup
from lsr.sparse import SparseMatrix, check_summable, indptr_of, term_dtype


class SearchedSegment(Protocol):
    """What a segment must have: its vectors, an engine over them, a search, its number of documents."""

    vectors: SparseMatrix

    @property
    def engine(self) -> Any:
        """Over the vectors."""

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
        """As `lsr.index.storage.segment.Segment.search`."""

    def __len__(self) -> int: ...


def search_segments(
    segments: Sequence[SearchedSegment],
    queries: SparseMatrix,
    k: int,
    *,
    exact: bool = False,
    allowed: Sequence[Allowed | None] = (),
    settings: Any = None,
    threads: int = 1,
    scan: bool = False,
) -> TopK:
    """The best k documents of each query in all segments, ties by row: those of a segment follow those before it.

    Args:
        segments: built over as many terms as the queries, or over fewer: terms beyond are ignored.
        queries: one row a query.
        k: at least 1, cut to the number of documents.
        exact: leave nothing out that could matter.
        allowed: the documents that may be found in each segment; None, or an empty sequence, means all.
        settings: of the engine; None takes those of the first segment.
        threads: queries are spread over so many; results are equal for any number.
        scan: exact search does without a kernel.

    Raises:
        MismatchError: a segment over more terms than the queries, or ``allowed`` for another number of documents.
        InputError: k or threads below 1, or queries that the engine does not take.
        VectorError: weights so large that scores could be infinite.
    """
    group = None if exact and scan else _group(segments)
    if group is not None:
        first: WindowedIndex = segments[0].engine
        check_queries(queries, max(queries.dim, group.dim), k)
        check_summable(queries, "query {}".format)
        return group.search(queries, k, exact, allowed, settings or first.settings, threads)
    options = {"exact": exact, "settings": settings, "threads": threads, "scan": scan}
    return _in_turn(segments, queries, k, allowed, options)


def crop(queries: SparseMatrix, dim: int) -> SparseMatrix:
    """The queries over the first ``dim`` terms; the same ones where they have no more."""
    if dim >= queries.dim:
        return queries
    kept = queries.terms < dim
    indptr = np.concatenate([indptr_of([]), np.cumsum(kept)])[queries.indptr]
    terms = queries.terms[kept].astype(term_dtype(dim), copy=False)
    return SparseMatrix.unchecked(indptr, terms, queries.weights[kept], dim, queries.scale)


def _group(segments: Sequence[SearchedSegment]) -> WindowedGroup | None:
    """All segments as one, where a kernel can read them together."""
    engines = [getattr(segment, "engine", None) for segment in segments]
    return engines[0].together(engines) if engines and isinstance(engines[0], WindowedIndex) else None


def _in_turn(
    segments: Sequence[SearchedSegment],
    queries: SparseMatrix,
    k: int,
    allowed: Sequence[Allowed | None],
    options: dict[str, Any],
) -> TopK:
    """Search segments of several kinds: those of one kind that follow each other together, others one by one."""
    sizes = [len(segment) for segment in segments]
    k = min(k, max(1, sum(sizes)))
    parts, starts, first = [], [], 0
    for alike in _runs(segments, options["exact"] and options["scan"]):
        masks = allowed[first : first + len(alike)]
        if len(alike) > 1:
            parts.append(search_segments(alike, queries, k, allowed=masks, **options))
        else:
            own = crop(queries, alike[0].vectors.dim)
            parts.append(alike[0].search(own, k, allowed=masks[0] if masks else None, **options))
        starts.append(sum(sizes[:first]))
        first += len(alike)
    return merge(parts, starts, k) if parts else empty_results(len(queries), k)


def _runs(segments: Sequence[SearchedSegment], apart: bool) -> list[list[SearchedSegment]]:
    """Segments of one kind that follow each other; each of its own where ``apart`` or where it has none."""
    found = []
    for kind, run in groupby(segments, lambda segment: getattr(getattr(segment, "engine", None), "kind", None)):
        alike = list(run)
        found += [[one] for one in alike] if apart or kind is None else [alike]
    return found
