"""Which numbers say how good a run is? Those of ir-measures, by their names there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import ir_measures

from lsr.errors import InputError
from lsr.eval.collection import Qrels
from lsr.eval.runs import Run

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100")
UNCUT_DEPTH = 1000  # results kept for a measure without cutoff, as TREC does


class Scores(NamedTuple):
    """Measured values: the mean over all judged queries, and by measure and query."""

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]


def parse_measures(names: Iterable[str]) -> list[Any]:
    """ir-measures objects for names such as nDCG@10, R@100, RR, AP(rel=2).

    Raises:
        InputError: an unknown name.
    """
    measures = []
    for name in names:
        try:
            measures.append(ir_measures.parse_measure(name))
        except (NameError, ValueError, SyntaxError, TypeError):
            raise InputError(f"unknown measure {name!r}: wanted names such as nDCG@10, R@100, RR@10, AP") from None
    return measures


def depth_of(measures: Sequence[Any]) -> int:
    """How many results a query needs for ``measures``."""
    return max((measure.params.get("cutoff") or UNCUT_DEPTH for measure in measures), default=UNCUT_DEPTH)


def evaluate(qrels: Qrels, run: Run, measures: Sequence[Any]) -> Scores:
    """Measure ``run``; a judged query without results counts as 0, an unjudged query not at all."""
    known = {query: dict(run.get(query, ())) for query in qrels}
    per_query: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(qrels, 0.0) for measure in measures}
    for value in ir_measures.iter_calc(measures, qrels, known):
        per_query[str(value.measure)][value.query_id] = value.value
    return Scores({name: sum(values.values()) / len(values) for name, values in per_query.items()}, per_query)
