"""What does a collection with fields cost? Build, opening, filters of every selectivity against no filter.

    python benchmarks/collection.py [--vectors FILE] [--queries N] [--json FILE]

FILE as in benchmarks/vectors.py. Prints a table; --json writes filtered_worst_ratio, fields_build_ratio and open_ms.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from vectors import Vectors, read_vectors

from lsr._version import __version__
from lsr.corpus import Document
from lsr.index import Allowed, Collection, CollectionWriter, EncoderInfo
from lsr.sparse import SparseMatrix

BATCH, K, RECALL, REPEATS, CHECKED = 4096, 10, 0.95, 5, 20
SHARES = {"price < 0.1": 0.1, "price < 1": 1, "price < 10": 10, "price < 50": 50, "brand = 'brand 7'": 1}


def documents(rows: range, rng: np.random.Generator, fields: bool) -> list[Document]:
    """Documents with short texts and, where wanted, five fields; prices are spread evenly over 0 to 100."""
    prices, brands, stock = rng.random(len(rows)) * 100, rng.integers(0, 100, len(rows)), rng.random(len(rows)) < 0.5
    found = []
    for row, price, brand, there in zip(rows, prices.tolist(), brands.tolist(), stock.tolist(), strict=True):
        own: dict[str, Any] = {
            "price": price,
            "brand": f"brand {brand}",
            "in_stock": there,
            "made": f"20{row % 24:02d}-05-01",
            "tags": [f"tag {row % 7}", f"tag {row % 11}"],
        }
        found.append(Document(f"d{row}", f"Title {row}", f"Text of document {row}", own if fields else {}))
    return found


def build(vectors: SparseMatrix, folder: Path, fields: bool) -> float:
    """Seconds to write an index of the vectors."""
    rng, parts = np.random.default_rng(0), [(at, min(at + BATCH, len(vectors))) for at in range(0, len(vectors), BATCH)]
    batches = [documents(range(*part), rng, fields) for part in parts]
    started = time.perf_counter()
    with CollectionWriter(folder) as writer:
        for part, batch in zip(parts, batches, strict=True):
            writer.append(vectors.slice(*part), batch)
        writer.save_encoder(lambda place: (place / "none").write_text("none") and None)
        info = EncoderInfo("none", "none", vectors.dim)
        writer.commit(info, lambda rows: rows, {"documents": len(vectors), "truncated": 0, "empty": 0}, __version__)
    return time.perf_counter() - started


def medians_us(ways: dict[str, Callable[[SparseMatrix], Any]], queries: list[SparseMatrix]) -> dict[str, float]:
    """Median over queries of the best of some runs, ways taking turns."""
    seconds = {name: np.full((REPEATS, len(queries)), np.inf) for name in ways}
    for repeat in range(REPEATS):
        for at, query in enumerate(queries):
            for name, way in ways.items():
                started = time.perf_counter()
                way(query)
                seconds[name][repeat, at] = time.perf_counter() - started
    return {name: 1e6 * float(np.median(found.min(0))) for name, found in seconds.items()}


def check(index: Collection, allowed: Allowed, queries: list[SparseMatrix]) -> None:
    """Exact search over a filter finds what scoring every document finds."""
    for query in queries[:CHECKED]:
        scores = np.where(allowed.mask != 0, index.scores(query), 0)
        best = np.argsort(-scores, kind="stable")[:K]
        found = index.search(query, K, exact=True, allowed=allowed)
        if found.rows[0].tolist() != [row if scores[row] > 0 else -1 for row in best.tolist()]:
            raise SystemExit("a filtered search did not find what scoring every document finds")


def measure(vectors: Vectors, folder: Path) -> tuple[Table, dict[str, float]]:
    """The table, and what --json writes."""
    without, with_fields = (
        build(vectors.documents, folder / "plain", False),
        build(vectors.documents, folder / "f", True),
    )
    started = time.perf_counter()
    index = Collection(folder / "f")
    index.search(vectors.single_queries[0], K, exact=True)
    opened = 1e3 * (time.perf_counter() - started)
    index.search(vectors.single_queries[0], K, recall=RECALL)  # kernels
    table = Table(
        "filter", "documents", "first mask, ms", "median, us", "to no filter", title=f"{vectors.source}, k {K}"
    )
    ways: dict[str, Callable[[SparseMatrix], Any]] = {"none": lambda query: index.search(query, K, recall=RECALL)}
    masks, times = {}, {}
    for text in SHARES:
        began = time.perf_counter()
        masks[text] = index.matching(text)
        times[text] = 1e3 * (time.perf_counter() - began)
        ways[text] = lambda query, mask=masks[text]: index.search(query, K, recall=RECALL, allowed=mask)
        check(index, masks[text], vectors.single_queries)
    found = medians_us(ways, vectors.single_queries)
    table.add_row("none", f"{len(index):,}", "", f"{found['none']:.0f}", "1.00")
    for text, mask in masks.items():
        ratio = found[text] / found["none"]
        table.add_row(text, f"{mask.count:,}", f"{times[text]:.2f}", f"{found[text]:.0f}", f"{ratio:.2f}")
    worst = max(found[text] / found["none"] for text in masks)
    return table, {
        "filtered_worst_ratio": worst,
        "fields_build_ratio": with_fields / without,
        "build_s": with_fields,
        "open_ms": opened,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    vectors = read_vectors(arguments.vectors, arguments.queries)
    with tempfile.TemporaryDirectory() as place:
        table, values = measure(vectors, Path(place))
    Console().print(table)
    for name, value in values.items():
        Console().print(f"{name} {value:.3f}", highlight=False)
    if arguments.json:
        arguments.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
