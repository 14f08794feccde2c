"""What does the default model cost? Size, documents a second, terms a document, and search beside another encoder.

Documents of 120 word-pieces are encoded on all processors. Both encoders' vectors of the same documents are indexed and
searched at 95 % recall of the exact top 10, in turns; milliseconds are those of all queries together, one thread.

    python benchmarks/default_model.py ../shared/data/eval/scifact.zip --beside splade-tiny
"""

from __future__ import annotations

import json
import statistics
import time
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from lsr.corpus import DocumentReader
from lsr.encoders import DEFAULT, Encoder, load
from lsr.encoders.expanded import ExpandedEncoder
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.registry import folder_of
from lsr.encoders.tokens.word_pieces import read_tokenizer
from lsr.eval import load_collection
from lsr.index import WindowedIndex
from lsr.index.windowed.engine import WindowedSettings
from lsr.sparse import SparseMatrix, concatenate

PIECES, K, RECALL = 120, 10, 0.95
AT_ONCE = 1024
WAYS = [WindowedSettings(cut, effort) for cut in (0.05, 0.08, 0.12, 0.18, 0.25) for effort in (0.3, 0.6, 1.0, 2.0, 4.0)]


def cut_texts(texts: Sequence[str], encoder: NeuralEncoder, most: int) -> list[str]:
    """The first word-pieces of texts that have enough of them."""
    tokenizer = read_tokenizer(encoder.source.document.tokenizer)
    tokenizer.no_truncation()
    found = (tokenizer.encode(text, add_special_tokens=False).offsets for text in texts)
    return [text[: o[PIECES - 1][1]] for text, o in zip(texts, found, strict=True) if len(o) >= PIECES][:most]


def vectors(encoder: Encoder, texts: Sequence[str]) -> SparseMatrix:
    parts = [encoder.observe(texts[at : at + AT_ONCE]).matrix for at in range(0, len(texts), AT_ONCE)]
    return encoder.weigh(concatenate(parts))


def recall(found: Any, exact: Any) -> float:
    pairs = zip(found.rows, exact.rows, strict=True)
    return float(np.mean([np.isin(best[best >= 0], got).mean() for got, best in pairs if (best >= 0).any()]))


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path)
    parser.add_argument("--beside", help="folder of another sparse encoder")
    parser.add_argument("--documents", type=int, default=600, help="cut to 120 word-pieces, for the speed of encoding")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    texts = [document.full_text for document in DocumentReader([str(arguments.collection)])]
    queries = list(load_collection(arguments.collection).queries.values())
    report = {"bytes": sum(path.stat().st_size for path in folder_of(DEFAULT).rglob("*") if path.is_file())}
    report |= encoding(texts, arguments)
    encoders = [DEFAULT, *([arguments.beside] if arguments.beside else [])]
    report["search"] = searching(encoders, texts, queries, arguments.rounds)
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def encoding(texts: Sequence[str], arguments: Any) -> dict[str, float]:
    encoder = load(DEFAULT, device="cpu", truncate=True)
    assert isinstance(encoder, ExpandedEncoder)
    some = cut_texts(texts, encoder.base, arguments.documents)
    encoder.observe(some[:32])
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        encoder.observe(some)
        seconds.append(time.perf_counter() - started)
    return {"documents": len(some), "documents a second": len(some) / statistics.median(seconds)}


def searching(names: Sequence[str], texts: Sequence[str], queries: Sequence[str], rounds: int) -> dict[str, Any]:
    """For each encoder: terms, and milliseconds at the smallest effort that finds enough."""
    ready = {}
    for name in names:
        encoder = load(name, device="cpu", truncate=True)
        documents = vectors(encoder, texts)
        asked, sizes = encoder.encode_queries(queries), np.diff(documents.indptr)
        index = WindowedIndex.build(documents)
        way, found = tuned(index, asked)
        facts = {"terms a document": float(sizes.mean()), "99 %": float(np.percentile(sizes, 99)), "recall": found}
        ready[Path(name).name] = (index, asked, way, facts | {"terms a query": asked.nnz / len(asked), "ms": []})
    for _ in range(rounds):
        for index, asked, way, facts in ready.values():
            started = time.perf_counter()
            index.search(asked, K, settings=way)
            facts["ms"].append(1000 * (time.perf_counter() - started))
    return {name: facts | {"ms": statistics.median(facts["ms"])} for name, (_, _, _, facts) in ready.items()}


def tuned(index: WindowedIndex, asked: SparseMatrix) -> tuple[WindowedSettings, float]:
    """The fastest way to find enough, and how much it finds."""
    exact, good = index.search(asked, K, exact=True), []
    for way in WAYS:
        started = time.perf_counter()
        found = recall(index.search(asked, K, settings=way), exact)
        if found >= RECALL:
            good.append((time.perf_counter() - started, way, found))
    _, way, found = min(good, key=lambda one: one[0])
    return way, found


def show(report: dict[str, Any]) -> None:
    console = Console()
    console.print(
        f"{report['bytes']:,} bytes; {report['documents a second']:.1f} documents of {PIECES} word-pieces a second"
    )
    names = ["terms a document", "99 %", "terms a query", "recall", "ms"]
    table = Table("encoder", *names)
    for name, facts in report["search"].items():
        table.add_row(name, *(f"{facts[key]:.2f}" for key in names))
    console.print(table)


if __name__ == "__main__":
    main()
