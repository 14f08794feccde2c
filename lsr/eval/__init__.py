"""How good are the results? Test collections, runs, measures.

`load_collection` reads a judged collection in BEIR layout; `run_queries` asks all its queries; `evaluate` measures
the run with ir-measures; `write_trec_run` keeps it.
"""

from lsr.eval.collection import TestCollection, load_collection
from lsr.eval.measures import DEFAULT_MEASURES, depth_of, evaluate, parse_measures
from lsr.eval.runs import Ranking, Run, check_trec_ids, run_queries, write_trec_run

__all__ = [
    "DEFAULT_MEASURES",
    "Ranking",
    "Run",
    "TestCollection",
    "check_trec_ids",
    "depth_of",
    "evaluate",
    "load_collection",
    "parse_measures",
    "run_queries",
    "write_trec_run",
]
