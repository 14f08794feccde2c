"""How good are the results? Test collections, runs, measures.

`load_collection` reads a judged collection in BEIR layout; `run_queries` asks all its queries; `evaluate` measures
the run with ir-measures by the rules of a `convention`; `compare` says whether two systems differ; `fuse` merges
runs; `read_run` and `write_trec_run` bring them from and to files.
"""

from lsr.eval.collection import Qrels, TestCollection, load_collection, load_qrels
from lsr.eval.conventions import Convention, Oddities, convention, explain_oddities, oddities
from lsr.eval.diversity import alpha_ndcg, intra_list_distance
from lsr.eval.fusion import fuse
from lsr.eval.measures import DEFAULT_MEASURES, Scores, depth_of, evaluate, parse_measures
from lsr.eval.run_files import read_run, write_msmarco_run
from lsr.eval.runs import Ranking, Run, check_trec_ids, run_queries, write_trec_run
from lsr.eval.significance import Difference, Interval, compare, confidence_interval, holm

__all__ = [
    "DEFAULT_MEASURES",
    "Convention",
    "Difference",
    "Interval",
    "Oddities",
    "Qrels",
    "Ranking",
    "Run",
    "Scores",
    "TestCollection",
    "alpha_ndcg",
    "check_trec_ids",
    "compare",
    "confidence_interval",
    "convention",
    "depth_of",
    "evaluate",
    "explain_oddities",
    "fuse",
    "holm",
    "intra_list_distance",
    "load_collection",
    "load_qrels",
    "oddities",
    "parse_measures",
    "read_run",
    "run_queries",
    "write_msmarco_run",
    "write_trec_run",
]
