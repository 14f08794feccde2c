"""Are our measures those of ir-measures and trec_eval, on the runs of a suite, to the last digit that matters?

Reads the runs that `lsr bench` left in its folder, gives each of them to ir-measures and to trec_eval (pytrec_eval) as
it is, and prints by collection the largest difference from what we measure, over all systems and queries. RR is
compared with trec_eval alone, and Judged@10 is left out: where scores are equal, ir-measures orders documents the other
way round there.

    python benchmarks/agreement.py benchmarks/suites/ten.toml ten.bench
"""

from __future__ import annotations

import sys
from pathlib import Path

import ir_measures
import pytrec_eval
from rich.console import Console
from rich.table import Table

from lsr.eval import CellStore, Qrels, Run, collection_name, evaluate, load_collection, parse_measures, read_suite

TREC_EVAL = {"nDCG@10": "ndcg_cut_10", "R@100": "recall_100", "AP": "map", "P@5": "P_5", "RR": "recip_rank"}
IR_MEASURES = ["nDCG@10", "nDCG", "R@100", "R@2", "AP", "P@5", "Success@5"]


def differences(qrels: Qrels, run: Run) -> tuple[float, float]:
    """Largest differences of a query's value from ir-measures and from trec_eval."""
    ours = evaluate(qrels, run, parse_measures([*IR_MEASURES, "RR"])).per_query
    scores = {query: dict(ranking) for query, ranking in run.items()}
    theirs = ir_measures.iter_calc(parse_measures(IR_MEASURES), qrels, scores)
    first = max(abs(ours[str(value.measure)][value.query_id] - value.value) for value in theirs)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(TREC_EVAL.values()))
    found = evaluator.evaluate(scores).items()
    pairs = [(ours[name][query], value[other]) for query, value in found for name, other in TREC_EVAL.items()]
    return first, max(abs(a - b) for a, b in pairs)


def main(path: str, folder: str) -> None:
    suite, store = read_suite(Path(path)), CellStore(Path(folder) / "cells")
    table = Table("collection", "runs", "from ir-measures", "from trec_eval")
    for source in suite.collections:
        name, qrels = collection_name(source), load_collection(source, suite.split).qrels
        known = [spec.name for spec in suite.system if store.read(spec.name, name)]
        found = [differences(qrels, store.run(system, name)) for system in known]
        if found:
            worst = [f"{max(column):.1e}" for column in zip(*found, strict=True)]
            table.add_row(name, str(len(known)), *worst)
    Console().print(table)


if __name__ == "__main__":
    main(*sys.argv[1:]) if len(sys.argv) == 3 else sys.exit(__doc__)
