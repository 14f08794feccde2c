"""What do the ways to search an index give? Recall, effectiveness and time of each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from lsr.eval import Convention, Evidence, Run, SweepPoint, TestCollection, evaluate, seconds_each, shared_share
from lsr.measuring.systems import SparseSystem, ways_of
from lsr.retrieval.searcher import Searcher
from lsr.sparse import SparseMatrix

K = 10
TIMED = 300  # queries, one a call


def sweep(
    searcher: Searcher,
    collection: TestCollection,
    measures: Sequence[Any],
    rules: Convention,
    depth: int,
    evidence: Evidence = Evidence(),  # noqa: B008  immutable
) -> list[SweepPoint]:
    """One point for each of `ways_of`, on all queries of ``collection``; times on the first 300, one thread.

    Recall is of the exact best 10.
    """
    vectors = searcher.encoder.encode_queries(list(collection.queries.values()))
    true = searcher.generation.search(vectors, K, exact=True).rows
    points = []
    for way in ways_of(searcher):
        system = SparseSystem(searcher, way)
        ranked = searcher.ranked(partial(system.search, vectors), depth)
        run: Run = dict(zip(collection.queries, ranked, strict=True))
        recall = shared_share(system.search(vectors, K).rows, true)
        means = evaluate(collection.qrels, run, measures, rules, evidence).mean
        points.append(SweepPoint(way.name, recall, _median_us(system, vectors), means))
    return points


def _median_us(system: SparseSystem, vectors: SparseMatrix) -> float:
    singles = [vectors.slice(i, i + 1) for i in range(min(TIMED, len(vectors)))]
    system.search(singles[0], K)
    return 1e6 * float(np.median(seconds_each(lambda vector: system.search(vector, K), singles)))
