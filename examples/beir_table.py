"""A table as papers print it: systems over measures, with paired tests against BM25, and a page of plots.

python examples/beir_table.py                      # data/sample
python examples/beir_table.py scifact.zip out      # any collection that lsr eval reads, plots in out/report.html
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import lsr
from lsr.eval import (
    Cell,
    Run,
    TestCollection,
    compare,
    fuse,
    holm,
    load_collection,
    measured,
    provenance,
    run_queries,
)
from lsr.eval.report import Measured, report_page

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"
MEASURES = ("nDCG@10", "RR@10", "R@100")
BASELINE = "bm25"
LEVEL = 0.05
DEPTH = 100  # results a query


def runs(collection: TestCollection) -> dict[str, Run]:
    """What each system finds: two encoders, and two ways to fuse them."""
    found: dict[str, Run] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in (BASELINE, "default"):
            folder = Path(temporary) / name
            lsr.index_documents(lsr.DocumentReader([collection.path]), lsr.load_encoder(name), folder)
            searcher = lsr.Searcher.open(folder)
            found[name] = run_queries(searcher.rank, collection.queries, DEPTH)
    for method in ("rrf", "min-max"):
        found[f"both, {method}"] = fuse([found[BASELINE], found["default"]], method)
    return found


def table(cells: dict[str, Cell]) -> str:
    """Means; * marks what differs from the baseline by a paired t-test, corrected (Holm) for all tests of the table."""
    base = cells[BASELINE].values.per_query
    tests = {
        f"{name} {measure}": compare(base[measure], cell.values.per_query[measure]).t_test
        for name, cell in cells.items()
        for measure in MEASURES
        if name != BASELINE
    }
    corrected = holm(tests)
    lines = [f"{'':16}" + "".join(f"{measure:>10}" for measure in MEASURES)]
    for name, cell in cells.items():
        marks = ["*" if corrected.get(f"{name} {measure}", 1) < LEVEL else " " for measure in MEASURES]
        means = (f"{cell.values.measures[m]:>9.4f}{mark}" for m, mark in zip(MEASURES, marks, strict=True))
        lines.append(f"{name:16}" + "".join(means))
    return "\n".join(lines)


def main(dataset: str, out: Path) -> None:
    """Measure, print the table, write the plots."""
    collection, made = load_collection(dataset), provenance()
    size = sum(1 for _ in lsr.DocumentReader([dataset]))
    cells = {}
    for name, run in runs(collection).items():
        values = measured(collection.qrels, run, MEASURES, "trec")
        shared = {"key": "", "collection": collection.name, "documents": size, "made": made, "about": {}}
        cells[name] = Cell(system=name, values=values, **shared)
    print(f"{collection.name}: {size:,} documents, {len(collection.queries):,} queries")
    print(table(cells))
    one = Measured(collection.name, size, collection.queries, list(cells.values()), BASELINE)
    page = out / "report.html"
    page.write_text(report_page(f"Four systems on {collection.name}", made, [one], MEASURES[0]), encoding="utf-8")
    print(f"plots: {page}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else str(SAMPLE), Path(sys.argv[2] if len(sys.argv) > 2 else "."))
