"""What does a collection that changes cost? Writes, deletes, updates, merges, opening, filters, beside searches.

    python benchmarks/collection.py [--vectors FILE] [--documents N] [--queries N] [--json FILE] [--only ROW,...]

FILE as in benchmarks/vectors.py. Prints a table; --json writes p99_under_writes_ratio, ten_segments_ratio,
filtered_worst_ratio, update_ms, delete_25k_s, open_200k_ms, bytes_after_churn_ratio and the rest.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
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
from lsr.encoders import PrecomputedVectors
from lsr.formats import Vocabulary
from lsr.index import About, Allowed, CollectionWriter, EncoderInfo, Generation, Store
from lsr.index.storage.places import size_of
from lsr.retrieval import Collection
from lsr.sparse import SparseMatrix, concatenate

BATCH, K, RECALL, REPEATS, CHECKED = 4096, 10, 0.95, 5, 20
RATE, WRITING = 500, 20.0  # documents a second, seconds
SHARES = ("price < 0.1", "price < 1", "price < 10", "price < 50", "brand = 'brand 7'")
OPENING = """
import sys, time
from pathlib import Path
from lsr.index import Store
from lsr.sparse import SparseMatrix
import pyarrow, numpy
dim, terms = int(sys.argv[2]), [int(term) for term in sys.argv[3].split(",")]
query = SparseMatrix.from_dicts([dict.fromkeys(terms, 1.0)], dim)
started = time.perf_counter()
Store(Path(sys.argv[1])).current.search(query, 10, exact=True)
print(1e3 * (time.perf_counter() - started))
"""
Rows = dict[str, float]


def documents(rows: range, rng: np.random.Generator, fields: bool = True, words: str = "Text") -> list[Document]:
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
        found.append(Document(f"d{row}", f"Title {row}", f"{words} of document {row}", own if fields else {}))
    return found


def build(vectors: SparseMatrix, folder: Path, fields: bool = True, nonzeros: int | None = None) -> float:
    """Seconds to write a collection of the vectors, in segments of so many weights."""
    rng, parts = np.random.default_rng(0), [(at, min(at + BATCH, len(vectors))) for at in range(0, len(vectors), BATCH)]
    vocabulary = Vocabulary()
    vocabulary.widen(vectors.dim)
    encoder = PrecomputedVectors(vocabulary)
    seconds = 0.0
    with CollectionWriter(folder, segment_nonzeros=nonzeros) as writer:
        for part in parts:
            batch = documents(range(*part), rng, fields)
            started = time.perf_counter()
            writer.append(vectors.slice(*part), batch)
            seconds += time.perf_counter() - started
        started = time.perf_counter()
        writer.save_encoder(encoder.fingerprint, encoder.save)
        info = EncoderInfo(encoder.name, encoder.fingerprint, vectors.dim)
        about = About(lsr=__version__, encoder=info, base_terms=vectors.dim, summary={"truncated": 0, "empty": 0})
        writer.commit(about, lambda rows: rows, vectors.dim)
    return seconds + time.perf_counter() - started


def best_us(ways: dict[str, Callable[[SparseMatrix], Any]], queries: list[SparseMatrix]) -> dict[str, np.ndarray]:
    """Best of some runs of each query, ways taking turns."""
    seconds = {name: np.full((REPEATS, len(queries)), np.inf) for name in ways}
    for repeat in range(REPEATS):
        for at, query in enumerate(queries):
            for name, way in ways.items():
                started = time.perf_counter()
                way(query)
                seconds[name][repeat, at] = time.perf_counter() - started
    return {name: 1e6 * found.min(0) for name, found in seconds.items()}


def check(index: Generation, allowed: Allowed, queries: list[SparseMatrix]) -> None:
    """Exact search over a filter finds what scoring every document finds."""
    for query in queries[:CHECKED]:
        scores = np.where(allowed.mask != 0, index.scores(query), 0)
        best = np.argsort(-scores, kind="stable")[:K]
        found = index.search(query, K, exact=True, allowed=allowed)
        if found.rows[0].tolist() != [row if scores[row] > 0 else -1 for row in best.tolist()]:
            raise SystemExit("a filtered search did not find what scoring every document finds")


def filters(vectors: Vectors, folder: Path) -> Rows:
    """Filtered searches against those without, and building with fields against building without."""
    plain, full = build(vectors.documents, folder / "plain", False), build(vectors.documents, folder / "full")
    with Store(folder / "full") as store:
        index = store.current
        ways: dict[str, Callable[[SparseMatrix], Any]] = {"none": lambda query: index.search(query, K, recall=RECALL)}
        for text in SHARES:
            mask = index.matching(text)
            ways[text] = lambda query, mask=mask: index.search(query, K, recall=RECALL, allowed=mask)
            check(index, mask, vectors.single_queries)
        found = {name: float(np.median(us)) for name, us in best_us(ways, vectors.single_queries).items()}
    worst = max(found[text] / found["none"] for text in SHARES)
    return {
        "filtered_worst_ratio": worst,
        "unfiltered_us": found["none"],
        "build_s": full,
        "fields_build_ratio": full / plain,
        **{f"filter {text}, ratio": found[text] / found["none"] for text in SHARES},
    }


def opening(vectors: Vectors, folder: Path) -> Rows:
    """From opening to the first exact answer in a new process, imports excluded; median of five."""
    build(vectors.documents, folder / "full")
    terms = ",".join(map(str, vectors.single_queries[0].terms.tolist()))
    command = [sys.executable, "-c", OPENING, str(folder / "full"), str(vectors.documents.dim), terms]
    found = [float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(5)]
    return {"open_200k_ms": float(np.median(found)), "open_slowest_ms": max(found)}


def segments(vectors: Vectors, folder: Path) -> Rows:
    """Ten segments against one."""
    build(vectors.documents, folder / "one")
    build(vectors.documents, folder / "ten", nonzeros=vectors.documents.nnz // 10)
    with Store(folder / "one") as one, Store(folder / "ten") as ten:
        ways = {
            "one": lambda query: one.current.search(query, K, recall=RECALL),
            "ten": lambda query: ten.current.search(query, K, recall=RECALL),
        }
        found = best_us(ways, vectors.single_queries)
        truth = one.current.search(vectors.queries, K, exact=True).rows
        exact = ten.current.search(vectors.queries, K, exact=True).rows
        if (truth != exact).any():
            raise SystemExit("ten segments do not find exactly what one finds")
        shares = [share(store.current.search(vectors.queries, K, recall=RECALL).rows, truth) for store in (one, ten)]
        count = len(ten.contents.state.segments)
    one_us, ten_us = float(np.median(found["one"])), float(np.median(found["ten"]))
    return {
        "ten_segments_ratio": ten_us / one_us,
        "segments": count,
        "one_segment_us": one_us,
        "one_segment_recall": shares[0],
        "ten_segments_recall": shares[1],
    }


def share(found: np.ndarray, truth: np.ndarray) -> float:
    """Of the true documents that were found, on average."""
    return float(np.mean([np.isin(b[b >= 0], a).mean() for a, b in zip(found, truth, strict=True) if (b >= 0).any()]))


def verbs(vectors: Vectors, folder: Path) -> Rows:
    """Small updates, large deletes."""
    build(vectors.documents, folder / "full")
    with Collection.open(folder / "full", background=False) as collection:
        collection.update({"d0": {"price": 0.0}})
        seconds = []
        for at in range(1, 101):
            started = time.perf_counter()
            collection.update({f"d{at * 7}": {"price": float(at)}})
            seconds.append(time.perf_counter() - started)
        ids = [f"d{row}" for row in range(len(vectors.documents) // 8)]
        started = time.perf_counter()
        collection.delete(ids)
        deleted = time.perf_counter() - started
        if collection.count() != len(vectors.documents) - len(ids):
            raise SystemExit("a delete did not delete what it should")
    milliseconds = 1e3 * np.array(seconds)
    return {
        "update_ms": float(np.median(milliseconds)),
        "update_p99_ms": float(np.percentile(milliseconds, 99)),
        "delete_25k_s": deleted,
    }


def sync(vectors: Vectors, folder: Path) -> Rows:
    """A source of which nothing has changed, and one of which a hundredth of the prices have."""
    n = len(vectors.documents) // 2
    part = vectors.documents.slice(0, n)
    build(part, folder / "full")
    rng = np.random.default_rng(0)
    source = [one for at in range(0, n, BATCH) for one in documents(range(at, min(at + BATCH, n)), rng)]
    with Collection.open(folder / "full", background=False) as collection:
        started = time.perf_counter()
        changes = collection.sync(source)
        seconds = time.perf_counter() - started
        if changes.unchanged != n:
            raise SystemExit(f"a sync of unchanged documents did {changes}")
        for at in range(0, n, 100):
            source[at] = source[at]._replace(fields={**source[at].fields, "price": -1.0})
        started = time.perf_counter()
        collection.sync(source)
        return {"sync_100k_s": seconds, "sync_1000_prices_s": time.perf_counter() - started}


def churn(vectors: Vectors, folder: Path) -> Rows:
    """Half as many upserts and deletes as documents, then against a fresh build of what is left."""
    n, rng = len(vectors.documents), np.random.default_rng(1)
    build(vectors.documents, folder / "full")
    living = {f"d{row}": row for row in range(n)}  # id to row of the vectors
    started = time.perf_counter()
    with Collection.open(folder / "full") as collection:
        for _ in range(max(1, n // 4000)):
            chosen = rng.choice(n, 1000, replace=False)
            batch = documents(range(1), rng)[:0]
            for row in chosen.tolist():
                batch += documents(range(row, row + 1), rng, words="New text")
            sources = rng.choice(n, 1000)
            collection.upsert(batch, concatenate([vectors.documents.slice(row, row + 1) for row in sources.tolist()]))
            living |= {document.id: row for document, row in zip(batch, sources.tolist(), strict=True)}
            gone = rng.choice(sorted(living), 1000, replace=False).tolist()
            collection.delete(gone)
            for name in gone:
                del living[name]
        seconds = time.perf_counter() - started
        collection.flush()
        before = size_of(folder / "full")
        exact, recall = agreement(collection, living, vectors, folder / "fresh")
        count = len(collection.store.contents.state.segments)
        collection.compact()
        after = size_of(folder / "full")
    fresh = size_of(folder / "fresh")
    return {
        "bytes_after_churn_ratio": before / fresh,
        "bytes_after_compact_ratio": after / fresh,
        "churn_segments": count,
        "churn_documents_per_s": 2 * max(1, n // 4000) * 1000 / seconds,
        "churn_exact_equal": exact,
        "churn_recall_difference": recall,
    }


def agreement(collection: Collection, living: dict[str, int], vectors: Vectors, folder: Path) -> tuple[float, float]:
    """Whether exact scores equal those of a fresh build, and by how much recall differs at the tuned setting."""
    order = [document.id for document in collection]
    if sorted(order) != sorted(living):
        raise SystemExit("the collection does not hold what it should")
    matrix = vectors.documents.taken(np.array([living[name] for name in order], np.int64))
    build_as(matrix, list(collection), folder)
    with Store(folder) as store:
        now, fresh = collection.store.current, store.current
        a, b = (one.search(vectors.queries, K, exact=True) for one in (now, fresh))
        equal = float((a.scores == b.scores).all())
        shares = []
        for one, truth in ((now, a), (fresh, b)):
            shares.append(share(one.search(vectors.queries, K, recall=RECALL).rows, truth.rows))
        return equal, shares[0] - shares[1]


def build_as(matrix: SparseMatrix, found: list[Document], folder: Path) -> None:
    """Write a collection of given documents."""
    vocabulary = Vocabulary()
    vocabulary.widen(matrix.dim)
    encoder = PrecomputedVectors(vocabulary)
    with CollectionWriter(folder) as writer:
        for at in range(0, len(found), BATCH):
            writer.append(matrix.slice(at, min(at + BATCH, len(found))), found[at : at + BATCH])
        writer.save_encoder(encoder.fingerprint, encoder.save)
        info = EncoderInfo(encoder.name, encoder.fingerprint, matrix.dim)
        writer.commit(About(lsr=__version__, encoder=info, base_terms=matrix.dim), lambda rows: rows, matrix.dim)


def writes(vectors: Vectors, folder: Path) -> Rows:
    """Latency of searches while another thread of the same process upserts 500 documents a second, against idle."""
    n, rng = len(vectors.documents), np.random.default_rng(2)
    build(vectors.documents, folder / "full")
    with Collection.open(folder / "full") as collection:
        collection.store.current.search(vectors.single_queries[0], K, recall=RECALL)
        idle = latencies(collection, vectors.single_queries, WRITING / 2)
        done, counts = threading.Event(), [0]

        def write() -> None:
            started = time.perf_counter()
            while not done.is_set():
                rows = rng.choice(n, 50, replace=False).tolist()
                batch = [one for row in rows for one in documents(range(row, row + 1), rng, words="New text")]
                matrix = concatenate([vectors.documents.slice(row, row + 1) for row in rng.choice(n, 50).tolist()])
                collection.upsert(batch, matrix)
                counts[0] += 50
                time.sleep(max(0.0, started + counts[0] / RATE - time.perf_counter()))

        writer = threading.Thread(target=write)
        writer.start()
        busy = latencies(collection, vectors.single_queries, WRITING)
        done.set()
        writer.join()
        again = latencies(collection, vectors.single_queries, WRITING / 2)
    still = np.concatenate([idle, again])
    return {
        "p99_under_writes_ratio": float(np.percentile(busy, 99) / np.percentile(still, 99)),
        "p50_under_writes_ratio": float(np.median(busy) / np.median(still)),
        "p99_idle_us": float(np.percentile(still, 99)),
        "p99_under_writes_us": float(np.percentile(busy, 99)),
        "written_per_s": counts[0] / WRITING,
    }


def latencies(collection: Collection, queries: list[SparseMatrix], seconds: float) -> np.ndarray:
    """Microseconds of searches, one after the other, for some time; each is followed by a short rest."""
    found, until, at = [], time.perf_counter() + seconds, 0
    while time.perf_counter() < until:
        started = time.perf_counter()
        collection.store.current.search(queries[at % len(queries)], K, recall=RECALL)
        found.append(1e6 * (time.perf_counter() - started))
        at += 1
        time.sleep(0.0005)
    return np.array(found)


ROWS: dict[str, Callable[[Vectors, Path], Rows]] = {
    "filters": filters,
    "opening": opening,
    "segments": segments,
    "verbs": verbs,
    "sync": sync,
    "churn": churn,
    "writes": writes,
}


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--documents", type=int, help="repeat the vectors up to so many, or take the first ones")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default=",".join(ROWS))
    arguments = parser.parse_args()
    vectors = read_vectors(arguments.vectors, arguments.queries)
    if arguments.documents:
        rows = np.arange(arguments.documents) % len(vectors.documents)
        vectors.documents = vectors.documents.taken(rows)
    values: Rows = {"documents": len(vectors.documents)}
    console = Console()
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as place:
            found = ROWS[name](vectors, Path(place))
        values |= found
        for key, value in found.items():
            console.print(f"{key} {value:.3f}", highlight=False)
    table = Table("what", "value", title=f"{vectors.source}, {len(vectors.documents):,} documents, k {K}")
    for key, value in values.items():
        table.add_row(key, f"{value:,.3f}")
    console.print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(values, indent=1) + "\n")


if __name__ == "__main__":
    main()
