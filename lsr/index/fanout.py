"""Which documents of all segments are best? Segments that one kernel can read are searched by one call."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from lsr.index.allowed import Allowed
from lsr.index.results import TopK, check_queries, empty_results, merge
from lsr.index.windowed.engine import WindowedIndex
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
    options = {"exact": exact, "settings": settings, "threads": threads}
    if not (exact and scan) and segments and _one_kind(segments):
        return _together(segments, queries, k, allowed, **options)
    return _in_turn(segments, queries, k, allowed, scan, **options)


def crop(queries: SparseMatrix, dim: int) -> SparseMatrix:
    """The queries over the first ``dim`` terms; the same ones where they have no more."""
    if dim >= queries.dim:
        return queries
    kept = queries.terms < dim
    indptr = np.concatenate([indptr_of([]), np.cumsum(kept)])[queries.indptr]
    terms = queries.terms[kept].astype(term_dtype(dim), copy=False)
    return SparseMatrix.unchecked(indptr, terms, queries.weights[kept], dim, queries.scale)


def _kind(segment: SearchedSegment) -> Any:
    """What the segments of one call have in common; None where each is searched by itself."""
    return getattr(getattr(segment, "engine", None), "kind", None)


def _one_kind(segments: Sequence[SearchedSegment]) -> bool:
    kinds = [_kind(segment) for segment in segments]
    return kinds[0] is not None and kinds.count(kinds[0]) == len(kinds)


def _together(
    segments: Sequence[SearchedSegment],
    queries: SparseMatrix,
    k: int,
    allowed: Sequence[Allowed | None],
    *,
    exact: bool,
    settings: Any,
    threads: int,
) -> TopK:
    """Search segments of one kind."""
    first: WindowedIndex = segments[0].engine
    group = first.together([segment.engine for segment in segments])
    check_queries(queries, max(queries.dim, group.dim), k)
    check_summable(queries, "query {}".format)
    return group.search(queries, k, exact, allowed, settings or first.settings, threads)


def _in_turn(
    segments: Sequence[SearchedSegment],
    queries: SparseMatrix,
    k: int,
    allowed: Sequence[Allowed | None],
    scan: bool,
    **options: Any,
) -> TopK:
    """Search segments of several kinds, those of one kind that follow each other together."""
    sizes = [len(segment) for segment in segments]
    k = min(k, max(1, sum(sizes)))
    parts, starts, first = [], [], 0
    for alike in _runs(segments, options["exact"] and scan):
        last = first + len(alike)
        masks = allowed[first:last]
        if len(alike) > 1:
            parts.append(_together(alike, queries, k, masks, **options))
        else:
            one, mask = alike[0], masks[0] if masks else None
            parts.append(one.search(crop(queries, one.vectors.dim), k, allowed=mask, scan=scan, **options))
        starts.append(sum(sizes[:first]))
        first = last
    return merge(parts, starts, k) if parts else empty_results(len(queries), k)


def _runs(segments: Sequence[SearchedSegment], apart: bool) -> list[list[SearchedSegment]]:
    """Segments of one kind that follow each other; each of its own where ``apart`` or where it has none."""
    found = []
    for kind, run in groupby(segments, _kind):
        alike = list(run)
        found += [[one] for one in alike] if apart or kind is None else [alike]
    return found
