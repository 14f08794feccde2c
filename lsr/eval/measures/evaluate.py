"""Which numbers say how good a run is? Those of ir-measures, by their names there, alpha-nDCG and ILD."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from subprocess import CalledProcessError
from typing import Any, NamedTuple

import ir_measures

from lsr.errors import InputError
from lsr.eval.collections.collection import MOST_GRADE, Qrels
from lsr.eval.measures.more_than_grades import Evidence, check_evidence, is_own, value_of
from lsr.eval.measures.names import MOST_CUTOFF, check_measure
from lsr.eval.runs.conventions import CONVENTIONS, Convention, apply_convention
from lsr.eval.runs.run import Run

DEFAULT_MEASURES = ("nDCG@10", "RR@10", "R@100")
UNCUT_DEPTH = 1000  # results kept for a measure without cutoff, as TREC does
UNCUT = MOST_CUTOFF + 1
GDEVAL_GRADE = 4  # gdeval, which computes ERR and exponential gains, takes none above
# What ir-measures and the programs below it raise where a run or judgements are beyond them.
FAULTS = (RuntimeError, ValueError, TypeError, KeyError, AssertionError, ArithmeticError, CalledProcessError)


class Scores(NamedTuple):
    """Measured values: over the queries that count (mostly their mean; NumQ and its kind their sum), and by query."""

    mean: dict[str, float]
    per_query: dict[str, dict[str, float]]


class Numbered(NamedTuple):
    """Grades and scores of one query, by other names for its documents."""

    grades: dict[str, int]
    scores: dict[str, float]


def depth_of(measures: Sequence[Any]) -> int:
    """How many results a query needs for ``measures``."""
    return max((measure.params.get("cutoff") or UNCUT_DEPTH for measure in measures), default=UNCUT_DEPTH)


def is_sum(measure: Any) -> bool:
    """Whether a measure of many queries is the sum of their values, not the mean: NumQ, NumRel, NumRet."""
    return isinstance(measure.aggregator(), ir_measures.SumAgg)


def evaluate(
    qrels: Qrels,
    run: Run,
    measures: Sequence[Any],
    rules: Convention = CONVENTIONS["trec"],
    evidence: Evidence = Evidence(),  # noqa: B008  immutable
) -> Scores:
    """Measure ``run`` by ``rules``; an unjudged query never counts.

    ``evidence`` is what alpha_nDCG and ILD need beside the grades.

    Raises:
        InputError: a measure that no installed program computes, one without its evidence, a grade that it does not
            take, or no query of the run is judged.
    """
    for measure in measures:
        check_measure(measure)
    check_evidence(measures, evidence)
    known = apply_convention(qrels, run, rules)
    if not known:
        raise InputError(f"the run answers none of the {len(qrels):,} judged queries: are run and qrels of one set?")
    per_query: dict[str, dict[str, float]] = {str(measure): dict.fromkeys(known, 0.0) for measure in measures}
    answered = [query for query, ranking in known.items() if ranking and qrels[query]]  # Judged@k divides by both
    others = [f"x{place}" for place in range(max((len(known[query]) for query in answered), default=0))]
    numbered = [_numbered(query, qrels[query], known[query], others) for query in answered]
    _check_grades(measures, max((max(query.grades.values()) for query in numbered), default=0))
    for measure in filter(is_own, measures):
        for query in answered:
            per_query[str(measure)][query] = value_of(measure, query, [*known[query]], evidence)
    for group in _groups([measure for measure in measures if not is_own(measure)]):
        for name, i, value in _values(group, numbered):
            per_query[name][answered[i]] = value
    return Scores({str(measure): _together(measure, per_query[str(measure)]) for measure in measures}, per_query)


def _numbered(query: str, graded: Mapping[str, int], ranking: Mapping[str, float], others: Sequence[str]) -> Numbered:
    """Grades and scores of one query by numbers for its judged documents, and names by place for ``others``.

    Names hold what the programs below do not survive (NUL), or split at (white space). Scores no longer tie, so no
    order hangs on a name. Below 0 all grades mean the same: in the pool, not judged; where a query has no others,
    trec_eval reads levels of the query before, so they are 0, which gives the same values.
    """
    number = {name: str(i) for i, name in enumerate(graded)}
    grades = {number[name]: _grade(query, name, grade) for name, grade in graded.items()}
    lowest = -1 if max(grades.values()) >= 0 else 0
    scores = {number.get(name, other): score for (name, score), other in zip(ranking.items(), others, strict=False)}
    return Numbered({name: max(lowest, grade) for name, grade in grades.items()}, scores)


def _grade(query: str, document: str, grade: object) -> int:
    try:
        found = operator.index(grade)  # type: ignore[arg-type]
    except TypeError:
        found = MOST_GRADE + 1
    if abs(found) > MOST_GRADE:
        raise InputError(
            f"query {query!r}, document {document!r}: found the grade {grade!r:.40}, wanted a whole number from "
            f"{-MOST_GRADE:,} to {MOST_GRADE:,}"
        )
    return found


def _check_grades(measures: Sequence[Any], largest: int) -> None:
    """Refuse grades that the program of a measure does not take."""
    for measure in measures:
        if largest > GDEVAL_GRADE and (measure.NAME == "ERR" or measure.params.get("dcg") == "exp-log2"):
            raise InputError(
                f"{measure} takes grades up to {GDEVAL_GRADE}, found {largest:,}: leave the measure out, or grade less"
            )


def _groups(measures: Sequence[Any]) -> list[list[Any]]:
    """Measures that ir-measures computes rightly in one call: it may lend gains and judged_only to its neighbours."""
    groups: dict[str, list[Any]] = {}
    for measure in measures:
        key = repr([measure.params.get(name) for name in ("gains", "judged_only", "rel")])
        groups.setdefault(key, []).append(measure)
    return list(groups.values())


def _values(measures: Sequence[Any], numbered: Sequence[Numbered]) -> Iterator[tuple[str, int, float]]:
    """(measure, number of the query, value), for measures of one group."""
    names_of = {_computed_as(measure): str(measure) for measure in measures}
    least = measures[0].params.get("rel")
    judged = {str(i): _from(least, query.grades) for i, query in enumerate(numbered)}
    scores = {str(i): query.scores for i, query in enumerate(numbered)}
    try:
        for value in ir_measures.iter_calc([*names_of], judged, scores):
            yield names_of[value.measure], int(value.query_id), value.value
    except FAULTS as error:
        names = ", ".join(names_of.values())
        raise InputError(f"ir-measures cannot compute {names} here: {error}; leave the measure out") from None


def _computed_as(measure: Any) -> Any:
    """The measure to compute: nDCG without cutoff as nDCG at more than anybody finds, the same and fast; rel as 1."""
    if measure.NAME == "nDCG" and "cutoff" not in measure.params:
        return measure @ UNCUT
    return measure(rel=1) if measure.params.get("rel") else measure


def _from(least: int | None, grades: dict[str, int]) -> dict[str, int]:
    """1 for grades from ``least``; Bpref(rel=3) reads past the levels of a query that has none of 2."""
    return {name: grade if grade < 0 else int(grade >= least) for name, grade in grades.items()} if least else grades


def _together(measure: Any, values: Mapping[str, float]) -> float:
    total = measure.aggregator()
    for value in values.values():
        total.add(value)
    return float(total.result())
