"""How good are the results? Test collections, runs, measures.

`load_collection` reads a judged collection in BEIR layout; `run_queries` asks all its queries; `evaluate` measures
the run with ir-measures by the rules of a `convention`; `compare` says whether two systems differ; `fuse` merges
runs; `read_run` and `write_run` bring them from and to files;
`measure_efficiency` says what a search costs. `make_limit` and
`self_task` make collections; `find_collections` finds them.
"""

from lsr.eval.cells import Cell, CellStore, SweepPoint, Values, histogram, measured
from lsr.eval.certificate import Certificate, Line, Question, compare_certificates, read_certificate
from lsr.eval.collections.catalogue import find_collections, missing_collections
from lsr.eval.collections.collection import (
    Qrels,
    TestCollection,
    is_judgements,
    load_collection,
    load_judged,
    load_qrels,
    load_topics,
    sub_collections,
)
from lsr.eval.collections.limit import LimitShape, extend_limit, invented_attributes, make_limit, read_limit
from lsr.eval.collections.tasks import self_task
from lsr.eval.collections.topics import read_topics
from lsr.eval.collections.writer import write_collection
from lsr.eval.measures.diversity import alpha_ndcg, intra_list_distance
from lsr.eval.measures.efficiency import Efficiency, Subject, flops, measure_efficiency, seconds_each, shared_share
from lsr.eval.measures.evaluate import DEFAULT_MEASURES, Scores, depth_of, evaluate, is_sum
from lsr.eval.measures.more_than_grades import Evidence, check_evidence, subtopics_for
from lsr.eval.measures.names import parse_measures
from lsr.eval.measures.significance import Difference, Interval, compare, confidence_interval, holm, p_text
from lsr.eval.provenance import provenance
from lsr.eval.runs.checksums import data_checksums, run_checksum, values_checksum
from lsr.eval.runs.conventions import Convention, Oddities, convention, explain_oddities, oddities
from lsr.eval.runs.fusion import fuse
from lsr.eval.runs.run import Ranking, Run, check_trec_ids, run_queries, write_trec_run
from lsr.eval.runs.run_files import (
    check_run_ids,
    read_run,
    run_of_ground_truth,
    write_ground_truth_run,
    write_json_run,
    write_msmarco_run,
    write_run,
)
from lsr.eval.suite import Suite, SystemSpec, collection_name, path_for, read_suite
from lsr.eval.tables import SuiteTable, markdown, suite_table

__all__ = [
    "DEFAULT_MEASURES",
    "Cell",
    "CellStore",
    "Certificate",
    "Convention",
    "Difference",
    "Efficiency",
    "Evidence",
    "Interval",
    "LimitShape",
    "Line",
    "Oddities",
    "Qrels",
    "Question",
    "Ranking",
    "Run",
    "Scores",
    "Subject",
    "Suite",
    "SuiteTable",
    "SweepPoint",
    "SystemSpec",
    "TestCollection",
    "Values",
    "alpha_ndcg",
    "check_evidence",
    "check_run_ids",
    "check_trec_ids",
    "collection_name",
    "compare",
    "compare_certificates",
    "confidence_interval",
    "convention",
    "data_checksums",
    "depth_of",
    "evaluate",
    "explain_oddities",
    "extend_limit",
    "find_collections",
    "flops",
    "fuse",
    "histogram",
    "holm",
    "intra_list_distance",
    "invented_attributes",
    "is_judgements",
    "is_sum",
    "load_collection",
    "load_judged",
    "load_qrels",
    "load_topics",
    "make_limit",
    "markdown",
    "measure_efficiency",
    "measured",
    "missing_collections",
    "oddities",
    "p_text",
    "parse_measures",
    "path_for",
    "provenance",
    "read_certificate",
    "read_limit",
    "read_run",
    "read_suite",
    "read_topics",
    "run_checksum",
    "run_of_ground_truth",
    "run_queries",
    "seconds_each",
    "self_task",
    "shared_share",
    "sub_collections",
    "subtopics_for",
    "suite_table",
    "values_checksum",
    "write_collection",
    "write_ground_truth_run",
    "write_json_run",
    "write_msmarco_run",
    "write_run",
    "write_trec_run",
]
