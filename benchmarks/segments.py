"""What do segments cost? One approximate query over a collection of one segment against the same documents in more.

    python benchmarks/segments.py [--vectors FILE] [--queries N] [--repeats N]

FILE as in benchmarks/vectors.py. Ways take turns, each with all queries, as a service would see them; a query's time is
the best of its repeats. The settings are the least cut that finds .95 of the true best 10 in one segment, effort 1.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from vectors import Vectors, read_vectors

from lsr.index import TopK, WindowedIndex, WindowedSettings
from lsr.index.fanout import search_segments
from lsr.sparse import SparseMatrix

K, RECALL = 10, 0.95
CUTS = (0.3, 0.25, 0.2, 0.16, 0.12, 0.09, 0.06, 0.03)
SMALL = (100, 300, 1000, 2000)  # documents of segments in memory, the newest
Way = Callable[[SparseMatrix], TopK]


class Segment:
    """Documents in memory, with an engine."""

    def __init__(self, vectors: SparseMatrix) -> None:
        self.vectors, self.engine = vectors, WindowedIndex.build(vectors)
        self.search = self.engine.search

    def __len__(self) -> int:
        return len(self.vectors)


def divided(documents: SparseMatrix, parts: int, small: tuple[int, ...] = ()) -> list[Segment]:
    """``parts`` segments of equal size, then small ones."""
    n = len(documents)
    inner = np.linspace(0, n - sum(small), parts + 1).astype(int).tolist()
    ends = [*inner, *(inner[-1] + np.cumsum(small, dtype=int)).tolist()]
    return [Segment(documents.slice(a, b)) for a, b in pairwise(ends)]


def recall(way: Way, queries: list[SparseMatrix], best: list[TopK]) -> float:
    """Mean share of the true best that are found."""
    pairs = [(exact.rows[exact.rows >= 0], way(query).rows) for query, exact in zip(queries, best, strict=True)]
    return float(np.mean([np.isin(exact, found).mean() for exact, found in pairs if exact.size]))


def times_us(ways: dict[str, Way], queries: list[SparseMatrix], repeats: int) -> dict[str, np.ndarray]:
    """Microseconds of each query by way, the best of some repeats."""
    found = {name: np.full(len(queries), np.inf) for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            for at, query in enumerate(queries):
                started = time.perf_counter()
                way(query)
                found[name][at] = min(found[name][at], 1e6 * (time.perf_counter() - started))
    return found


def tuned(one: list[Segment], queries: list[SparseMatrix], best: list[TopK]) -> WindowedSettings:
    """The settings with the largest cut that reaches RECALL."""
    for cut in CUTS:
        settings = WindowedSettings(cut, 1.0)
        if recall(searching(one, settings), queries, best) >= RECALL:
            break
    return settings


def searching(segments: list[Segment], settings: WindowedSettings) -> Way:
    """Approximate search over segments."""
    return lambda query: search_segments(segments, query, K, settings=settings)


def measure(vectors: Vectors, repeats: int) -> Table:
    """The table."""
    documents, queries = vectors.documents, vectors.single_queries
    sets = {f"{parts}": divided(documents, parts) for parts in (1, 2, 5, 10)}
    sets["10 + 4 small"] = divided(documents, 10, SMALL)
    best = [search_segments(sets["1"], query, K, exact=True) for query in queries]
    settings = tuned(sets["1"], queries, best)
    ways = {name: searching(segments, settings) for name, segments in sets.items()}
    shares = {name: recall(way, queries, best) for name, way in ways.items()}
    times = times_us(ways, queries, repeats)
    table = Table("segments", "median, us", "ratio", "p99, us", "ratio", "recall", title=f"k {K}, {settings}")
    first = {q: np.percentile(times["1"], q) for q in (50, 99)}
    for name, taken in times.items():
        median, p99 = np.percentile(taken, 50), np.percentile(taken, 99)
        ratios = f"{median / first[50]:.2f}", f"{p99 / first[99]:.2f}"
        table.add_row(name, f"{median:.1f}", ratios[0], f"{p99:.1f}", ratios[1], f"{shares[name]:.4f}")
    return table


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=15)
    arguments = parser.parse_args()
    vectors = read_vectors(arguments.vectors, arguments.queries)
    print(vectors.source)
    Console(width=100).print(measure(vectors, arguments.repeats))


if __name__ == "__main__":
    main()
