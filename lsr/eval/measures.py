"""Which numbers say how good a run is? Those of ir-measures, by their names there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import ir_measures

from lsr.errors import InputError
from lsr.eval.collection import Qrels
from lsr.eval.conventions import CONVENTIONS, Convention, apply_convention
from lsr.eval.runs import Run

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100")
UNCUT_DEPTH = 1000  # results kept for a measure without cutoff, as TREC does
NEEDS_MORE = {
    "alpha_nDCG": "topics within queries: call alpha_ndcg",
    "ILD": "document vectors: call intra_list_distance",
}


class Scores(NamedTuple):
    """Measured values: the mean over the queries that count, and by measure and query."""

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]


def parse_measures(names: Iterable[str]) -> list[Any]:
    """ir-measures objects for names such as nDCG@10, R@100, RR, AP(rel=2), Success@5, P@10, Judged@10.

    Raises:
        InputError: an unknown name, or a measure that needs more than relevance grades.
    """
    measures = []
    for name in names:
        if need := NEEDS_MORE.get(name.partition("@")[0]):
            raise InputError(f"the measure {name!r} needs {need}")
        try:
            measures.append(ir_measures.parse_measure(name))
        except (NameError, ValueError, SyntaxError, TypeError):
            raise InputError(f"unknown measure {name!r}: wanted names such as nDCG@10, R@100, RR@10, AP") from None
    return measures


def depth_of(measures: Sequence[Any]) -> int:
    """How many results a query needs for ``measures``."""
    return max((measure.params.get("cutoff") or UNCUT_DEPTH for measure in measures), default=UNCUT_DEPTH)


def evaluate(qrels: Qrels, run: Run, measures: Sequence[Any], rules: Convention = CONVENTIONS["trec"]) -> Scores:
    """Measure ``run`` by ``rules``; an unjudged query never counts.

    Raises:
        InputError: a measure that no installed program computes, or no query of the run is judged.
    """
    known = apply_convention(qrels, run, rules)
    if not known:
        raise InputError(f"the run answers none of the {len(qrels):,} judged queries: are run and qrels of one set?")
    judged = {query: qrels[query] for query in known}
    per_query: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(judged, 0.0) for measure in measures}
    answered = {query: ranking for query, ranking in known.items() if ranking}  # Judged@k divides by its length
    try:
        for value in ir_measures.iter_calc(measures, judged, answered):
            per_query[str(value.measure)][value.query_id] = value.value
    except (RuntimeError, ValueError) as error:
        raise InputError(f"ir-measures cannot compute this: {error}; leave the measure out") from None
    return Scores({name: sum(values.values()) / len(values) for name, values in per_query.items()}, per_query)
