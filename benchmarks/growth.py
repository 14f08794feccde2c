"""What does it cost that BM25 weighs a document by the mean length of its day? Growth against a fresh build.

Each judged collection (BEIR folder or zip) is indexed with BM25 in ten steps of a tenth: in a random order, and from
the shortest document to the longest, the worst there is. Prints the mean length at the first and at the last step, and
nDCG@10 of a fresh build, of what has grown, and of what has grown after `compact`, which weighs all documents anew.

    python benchmarks/growth.py data/sample scifact.zip
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from lsr.corpus import Document, DocumentReader
from lsr.eval import TestCollection, evaluate, load_collection, parse_measures
from lsr.retrieval import Collection

STEPS, DEPTH = 10, 10


def ndcg(collection: Collection, judged: TestCollection) -> float:
    """nDCG@10 of exact search."""
    names = list(judged.queries)
    ranked = collection.searcher.rank([judged.queries[name] for name in names], DEPTH, exact=True)
    run = dict(zip(names, ranked, strict=True))
    measures = parse_measures(["nDCG@10"])
    return evaluate(judged.qrels, run, measures).mean["nDCG@10"]


def mean_length(collection: Collection) -> float:
    """Terms of a document."""
    seen = collection.searcher.encoder.seen()
    return seen.length / seen.documents


def grown(documents: Sequence[Document], folder: Path, judged: TestCollection) -> tuple[float, float, float, float]:
    """Mean length at the first and last step; nDCG@10 of what has grown, before `compact` and after."""
    parts = np.array_split(np.arange(len(documents)), STEPS)
    with Collection.create(folder, [documents[at] for at in parts[0]], "bm25") as collection:
        first = mean_length(collection)
        for part in parts[1:]:
            collection.add([documents[at] for at in part])
        last, before = mean_length(collection), ndcg(collection, judged)
        collection.compact()
        return first, last, before, ndcg(collection, judged)


def main() -> None:
    """Measure each collection in both orders."""
    table = Table("collection", "order", "mean length", "fresh", "grown", "compacted", title="BM25, nDCG@10")
    rng = np.random.default_rng(0)
    for path in sys.argv[1:]:
        judged = load_collection(path)
        documents = list(DocumentReader([judged.path]))
        mixed = [documents[at] for at in rng.permutation(len(documents))]
        rising = sorted(documents, key=lambda document: len(document.full_text.split()))
        for name, order in (("random", mixed), ("shortest first", rising)):
            with tempfile.TemporaryDirectory() as place:
                with Collection.create(Path(place) / "fresh", order, "bm25") as fresh:
                    best = ndcg(fresh, judged)
                first, last, before, after = grown(order, Path(place) / "grown", judged)
            shown = [f"{first:.1f} to {last:.1f}", *(f"{value:.4f}" for value in (best, before, after))]
            table.add_row(judged.name, name, *shown)
    Console().print(table)


if __name__ == "__main__":
    main()
