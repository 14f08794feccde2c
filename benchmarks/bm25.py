"""Is our BM25 the one that others measure, and at what speed?

For each judged collection (BEIR folder or zip) prints nDCG@10 of `lsr` and of bm25s (lucene variant, same k1, b,
stemmer) and, for both, seconds to index and milliseconds a query, exact search, one thread.

    pip install '.[bench]'
    python benchmarks/bm25.py data/sample scifact.zip
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import bm25s
import Stemmer
from rich.console import Console
from rich.table import Table

from lsr.corpus import DocumentReader
from lsr.encoders import load
from lsr.eval import Ranking, TestCollection, evaluate, load_collection, parse_measures, run_queries
from lsr.retrieval import Searcher, index_documents

K1, B, DEPTH = 0.9, 0.4, 10


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def ours(collection: TestCollection, folder: str) -> tuple[Callable[..., list[Ranking]], float]:
    _, seconds = timed(lambda: index_documents(DocumentReader([collection.path]), load("bm25"), folder))
    searcher = Searcher.open(folder)
    searcher.warm_up()
    return lambda texts, k: searcher.rank(texts, k, exact=True), seconds


def theirs(collection: TestCollection) -> tuple[Callable[..., list[Ranking]], float]:
    stemmer, engine = Stemmer.Stemmer("english"), bm25s.BM25(method="lucene", k1=K1, b=B)

    def tokens(texts: list[str]) -> Any:
        return bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False)

    def build() -> list[str]:
        documents = list(DocumentReader([collection.path]))
        engine.index(tokens([document.full_text for document in documents]), show_progress=False)
        return [document.id for document in documents]

    ids, seconds = timed(build)

    def rank(texts: list[str], k: int) -> list[Ranking]:
        rows, scores = engine.retrieve(tokens(texts), k=min(k, len(ids)), show_progress=False)
        return [[(ids[r], float(s)) for r, s in zip(*found, strict=True)] for found in zip(rows, scores, strict=True)]

    return rank, seconds


def measured(collection: TestCollection, rank: Callable[..., list[Ranking]], indexing: float) -> tuple[str, ...]:
    run, query_seconds = timed(lambda: run_queries(rank, collection.queries, DEPTH))
    value = evaluate(collection.qrels, run, parse_measures(["nDCG@10"])).mean["nDCG@10"]
    return f"{value:.4f}", f"{indexing:.2f}", f"{1e3 * query_seconds / len(collection.queries):.3f}"


def main(paths: list[str]) -> None:
    table = Table("collection", "system", "nDCG@10", "index s", "ms a query")
    for path in paths:
        collection = load_collection(path)
        with tempfile.TemporaryDirectory() as folder:
            for name, system in (("lsr", ours(collection, folder)), ("bm25s", theirs(collection))):
                table.add_row(collection.name, name, *measured(collection, *system))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:] or sys.exit(__doc__))
