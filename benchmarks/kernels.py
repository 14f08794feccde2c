"""What does one posting, document and summary entry cost, against what this machine's memory can do at best?

The floors are measured in the same run: reading on in order, loads that wait for one another, and single lines asked
for in time (prefetched), all over an array larger than the caches.

    python benchmarks/kernels.py [--vectors FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from vectors import Vectors, read_vectors

from lsr.index import SeismicIndex, SeismicSettings, WindowedIndex
from lsr.index.intrinsics import prefetch
from lsr.index.kernels import AHEAD, score_documents
from lsr.index.seismic.kernels import _sum
from lsr.index.windowed.build import shape_of
from lsr.index.windowed.kernels import Scratch, SumScale, _accumulate, _column_maxima
from lsr.index.windowed.parts import part_of
from lsr.kernel import kernel

BYTES = 2**28
QUERIES = 200


@kernel
def read_on(array: Any) -> Any:
    """Sum of all, in four lanes."""
    a, b, c, d = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
    for i in range(0, array.size, 4):
        a += array[i]
        b += array[i + 1]
        c += array[i + 2]
        d += array[i + 3]
    return a + b + c + d


@kernel
def follow(array: Any, steps: int) -> Any:
    """Where ``steps`` loads lead, each at the place that the one before names."""
    at = np.uint64(0)
    for _ in range(steps):
        at = array[at]
    return at


@kernel
def visit(array: Any, places: Any) -> Any:
    """Sum at random places, each asked for AHEAD steps before."""
    total = np.uint64(0)
    for i in range(places.size):
        if i + AHEAD < places.size:
            prefetch(array, places[i + AHEAD])
        total += array[places[i]]
    return total


@kernel
def accumulate(n_lists: int, table: Any, like: Any, scale: Any, scratch: Any) -> None:
    """Add up all windows."""
    part, scale = part_of(table, 0, like), SumScale(*scale)
    for window in range(part.windows):
        chosen = scratch.lists, scratch.gains, scratch.left
        _accumulate(window, n_lists, part, scale, scratch.sums[: part.width], chosen)


@kernel
def maxima(scratch: Any, shape: Any) -> None:
    """Column maxima of all windows."""
    for window in range(shape[0]):
        _column_maxima(scratch.sums[: shape[1]], scratch.maxima[window * 1024 : (window + 1) * 1024])


@kernel
def summaries(cut: Any, terms: Any, weights: Any, blocks: Any, sums: Any) -> None:
    """Estimate the blocks of the lists ``cut``."""
    for list_ in cut:
        _sum(list_, terms, weights, blocks, sums)


@kernel
def count_entries(cut: Any, terms: Any, blocks: Any) -> Any:
    """Summary entries that `summaries` adds up."""
    found = 0
    for list_ in cut:
        table = blocks.tables[list_]
        mask = blocks.tables[list_ + 1] - table - 1
        if mask < 0:
            continue
        shift = 0
        while mask >> shift:
            shift += 1
        for term in terms:
            at = table + (term & mask)
            for run in range(blocks.buckets[at, 0], blocks.buckets[at + 1, 0]):
                if blocks.runs[run] >> 8 == (term >> shift) & 255:
                    found += (blocks.runs[run] & 255) + 1
    return found


def seconds(call: Callable[[], Any], repeats: int = 5) -> float:
    """The median of some calls, after one that compiles."""
    call()
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return float(np.median(taken))


def floors() -> dict[str, float]:
    """GB a second read in order; nanoseconds of a load that waits, and of a line asked for in time."""
    rng = np.random.default_rng(0)
    array = np.arange(BYTES // 8, dtype=np.uint64)
    places = rng.integers(0, array.size, 10**6)
    ring = np.empty_like(array)
    order = rng.permutation(array.size)
    ring[order] = np.roll(order, -1)
    steps = 10**6
    return {
        "read in order, GB/s": BYTES / seconds(lambda: read_on(array)) / 1e9,
        "a load that waits for the last, ns": 1e9 * seconds(lambda: follow(ring, steps)) / steps,
        f"a line asked for {AHEAD} ahead, ns": 1e9 * seconds(lambda: visit(array, places)) / places.size,
    }


def postings(index: WindowedIndex, vectors: Vectors) -> dict[str, float]:
    """Nanoseconds of a posting added up, and of one sum passed over."""
    windows, group, shape = index._windows, index._alone, shape_of(len(vectors.documents))
    scratch = Scratch(*group._take_scratch("uint8"))
    per_list = np.diff(windows.heads[:: shape[0], 1].astype(np.int64))
    each = []
    for query in vectors.single_queries[:QUERIES]:
        terms, weights = query.row(0)
        number = terms.size
        scratch.lists[:number] = terms
        scratch.gains[:number] = weights * group._unit * windows.steps[terms]
        scale = np.float32(0), np.float32(scratch.gains[:number].sum() * 24 / 200), np.float32(0.5), 0

        def add(number: int = number, scale: Any = scale) -> None:
            accumulate(number, group.table, group._like, scale, scratch)

        each.append(seconds(add, 3) / max(1, per_list[terms.astype(np.int64)].sum()))
    passed = seconds(lambda: maxima(scratch, shape)) / (shape[0] * shape[1])
    return {"a posting added to its sum, ns": 1e9 * float(np.median(each)), "a sum in the maxima, ns": 1e9 * passed}


def documents(index: WindowedIndex, vectors: Vectors) -> dict[str, float]:
    """Nanoseconds of a document scored exactly: at random places, and again when it lies in cache."""
    scratch = Scratch(*index._alone._take_scratch("uint8"))
    documents = vectors.documents
    forward = documents.indptr, documents.terms, documents.weights
    terms, weights = vectors.single_queries[0].row(0)
    scratch.slots[terms] = np.arange(1, terms.size + 1)
    scratch.weights[1 : terms.size + 1] = weights
    scores, rows = np.zeros(10, np.float32), np.zeros(10, np.int64)
    rng = np.random.default_rng(0)

    def score(chosen: Any) -> None:
        score_documents(chosen, chosen.size, scratch.slots, scratch.weights, forward, scores, rows, 0, 0)

    far = [rng.permutation(len(vectors.documents))[:20_000].astype(np.uint32) for _ in range(6)]
    turn = iter(far)
    cold = seconds(lambda: score(next(turn)), 5) / 20_000
    near = far[0][:50]
    hot = seconds(lambda: score(near), 200) / near.size
    bytes_each = 3 * vectors.documents.nnz / len(vectors.documents)
    return {
        "a document scored, at random places, ns": 1e9 * cold,
        f"  the same in GB/s ({bytes_each:.0f} bytes each)": bytes_each / cold / 1e9,
        "a document scored, in cache, ns": 1e9 * hot,
    }


def entries(vectors: Vectors) -> dict[str, float]:
    """Nanoseconds of a summary entry added to its block's estimate, over the ten heaviest lists of a query."""
    index = SeismicIndex.build(vectors.documents, SeismicSettings(n_postings=300))
    sums = np.zeros(2**18, np.float32)
    each = []
    for query in vectors.single_queries[:QUERIES]:
        terms, weights = query.row(0)
        wide, cut = terms.astype(np.int64), terms[np.argsort(-weights)[:10]].astype(np.int64)
        number = count_entries(cut, wide, index._blocks)

        def add(cut: Any = cut, wide: Any = wide, weights: Any = weights) -> None:
            summaries(cut, wide, weights, index._blocks, sums)

        each.append(seconds(add, 3) / max(1, number))
    return {"a summary entry added, ns": 1e9 * float(np.median(each))}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    options = parser.parse_args()
    vectors = read_vectors(options.vectors, 1000)
    index = WindowedIndex.build(vectors.documents)
    table = Table("what", "measured")
    found = {**floors(), **postings(index, vectors), **documents(index, vectors), **entries(vectors)}
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}")
    print(vectors.source)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
