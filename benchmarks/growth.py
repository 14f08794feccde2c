"""How does latency grow with the collection? The windowed engine at recall@10 .95, on 200,000 to 1,000,000 documents.

Larger collections are made from real vectors: each new document keeps a random 70 % of the entries of one document and
takes 30 % of another's (the larger weight where both have a term). Truth is exact search, which tests hold equal to
brute force.

    python benchmarks/growth.py VECTORS --loader FILE
"""

from __future__ import annotations

import argparse
import itertools
import time
from pathlib import Path

import numpy as np
from engines import read_vectors
from rich.console import Console
from rich.table import Table

from lsr.index.windowed import WindowedIndex, WindowedSettings
from lsr.sparse import SparseMatrix, concatenate, indptr_of

TARGET, K, REPEATS = 0.95, 10, 3
GRID = tuple(itertools.product((0.3, 0.27, 0.25, 0.22, 0.2), (0.7, 1, 1.5, 2, 3)))


def mixed(documents: SparseMatrix, seed: int) -> SparseMatrix:
    """As many new documents, each a mixture of two."""
    rng = np.random.default_rng(seed)
    n, dim = len(documents), documents.dim
    rows = np.repeat(np.arange(n), np.diff(documents.indptr))
    partner = rng.permutation(n)  # row i gives its share to partner[i]
    first, second = rng.random(rows.size) < 0.7, rng.random(rows.size) < 0.3
    keys = np.concatenate([rows[first], partner[rows[second]]]) * dim
    keys += np.concatenate([documents.terms[first], documents.terms[second]])
    weights = np.concatenate([documents.weights[first], documents.weights[second]])
    order = np.lexsort((weights, keys))
    last = np.append(keys[order][1:] != keys[order][:-1], True)  # the larger of equals
    keys, weights = keys[order][last], weights[order][last]
    sizes = np.bincount(keys // dim, minlength=n)
    return SparseMatrix(indptr_of(sizes), (keys % dim).astype(documents.terms.dtype), weights, dim, documents.scale)


def measure(
    index: WindowedIndex, queries: list[SparseMatrix], settings: WindowedSettings
) -> tuple[float, list[set[int]]]:
    """Median microseconds of a query, and the rows found."""
    index.settings = settings
    seconds = np.zeros((REPEATS, len(queries)))
    for repeat, (i, query) in itertools.product(range(REPEATS), enumerate(queries)):
        started = time.perf_counter()
        index.search(query, K)
        seconds[repeat, i] = time.perf_counter() - started
    found = [set(index.search(query, K).rows[0].tolist()) for query in queries]
    return 1e6 * float(np.median(np.median(seconds, axis=0))), found


def main() -> None:
    """Print a row for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--loader", type=Path, required=True)
    options = parser.parse_args()
    vectors = read_vectors(options.vectors, options.loader)
    parts = [vectors.documents]
    table = Table("documents", "build s", "recall", "median us", "growth", "exact us", "setting")
    smallest = None
    for copies in (1, 2, 5):
        parts += [mixed(vectors.documents, seed) for seed in range(len(parts), copies)]
        documents = concatenate(parts)
        started = time.perf_counter()
        index = WindowedIndex.build(documents)
        build = time.perf_counter() - started
        queries = vectors.single_queries
        index.search(queries[0], K, exact=True)  # compiles
        started = time.perf_counter()
        truth = [set(index.search(query, K, exact=True).rows[0].tolist()) for query in queries]
        exact = 1e6 * (time.perf_counter() - started) / len(queries)
        tried = []
        for cut, effort in GRID:
            median, found = measure(index, queries, WindowedSettings(cut, effort))
            recall = float(np.mean([len(a & b) / len(a) for a, b in zip(truth, found, strict=True) if a]))
            tried.append((recall < TARGET, median, recall, f"cut {cut} effort {effort}"))
        _, median, recall, name = min(tried)
        smallest = smallest or median
        cells = f"{build:.1f}", f"{recall:.4f}", f"{median:.0f}", f"{median / smallest:.2f}x", f"{exact:.0f}", name
        table.add_row(f"{len(documents):,}", *cells)
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
