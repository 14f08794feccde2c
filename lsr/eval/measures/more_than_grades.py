"""Which measures need more than a grade a document? alpha-nDCG subtopics of queries, ILD document vectors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ir_measures.measures import BaseMeasure, ParamInfo, register, registry

from lsr.errors import InputError
from lsr.eval.collections.collection import load_topics
from lsr.eval.measures.diversity import Topics, alpha_ndcg, intra_list_distance
from lsr.sparse import SparseMatrix

ALPHA = 0.5
PARAMETERS = {"alpha_nDCG": ("cutoff", "alpha"), "ILD": ("cutoff",)}


class Evidence(NamedTuple):
    """What is known beside the grades.

    Attributes:
        topics: of each relevant document, by query.
        vectors: gives the vectors of documents by id, one row each; None where there are none.
    """

    topics: Mapping[str, Topics] = {}
    vectors: Callable[[Sequence[str]], SparseMatrix] | None = None


class _ILD(BaseMeasure):  # type: ignore[misc]
    """Intra-list distance, in the form of ir-measures."""

    __name__ = NAME = "ILD"
    SUPPORTED_PARAMS = {"cutoff": ParamInfo(dtype=int, required=True, desc="ranking cutoff threshold")}  # noqa: RUF012


if "ILD" not in registry:
    register(_ILD(), name="ILD")


def is_own(measure: Any) -> bool:
    """Whether this module computes ``measure``; ir-measures does not."""
    return measure.NAME in PARAMETERS


def fault_of_own(measure: Any) -> str | None:
    """What is wrong with the parameters of a measure of this module, or None."""
    known = PARAMETERS[measure.NAME]
    if unknown := [name for name in measure.params if name not in known]:
        return f"{unknown[0]} is not computed here; it takes {' and '.join(known)}"
    return None if "cutoff" in measure.params else f"it needs a cutoff, as {measure @ 10}"


def subtopics_for(measures: Sequence[Any], path: str | Path, split: str | None = None) -> dict[str, Topics]:
    """Topics of relevant documents by query, where a measure asks for them; judgements are not read otherwise.

    Raises:
        InputError: as `lsr.eval.load_topics`.
    """
    wanted = any(measure.NAME == "alpha_nDCG" for measure in measures)
    return dict(load_topics(path, split)) if wanted else {}


def check_evidence(
    measures: Sequence[Any],
    evidence: Evidence,
    lacking: str = "a run has none: measure an encoder or an index with lsr eval",
) -> None:
    """Refuse measures that nothing is there for; ``lacking`` says why there are no vectors, and what to do.

    Raises:
        InputError: says what the measure needs and who gives it.
    """
    names = {measure.NAME: measure for measure in measures}
    if "alpha_nDCG" in names and not any(_several(topics) for topics in evidence.topics.values()):
        raise InputError(
            f"{names['alpha_nDCG']} needs subtopics, and these judgements have none: wanted lines "
            '"query subtopic document grade", as TREC\'s diversity tasks have them'
        )
    if "ILD" in names and evidence.vectors is None:
        raise InputError(f"{names['ILD']} needs document vectors, and {lacking}")


def value_of(measure: Any, query: str, ranking: Sequence[str], evidence: Evidence) -> float:
    """The value of a measure of this module for one query; ``ranking`` is document ids, best first."""
    k = measure.params["cutoff"]
    if measure.NAME == "alpha_nDCG":
        alpha = measure.params.get("alpha", ALPHA)
        return alpha_ndcg(ranking, evidence.topics.get(query, {}), k, alpha)
    assert evidence.vectors is not None  # noqa: S101  `check_evidence` says so
    return intra_list_distance(evidence.vectors(ranking[:k]))


def _several(topics: Topics) -> bool:
    return len({topic for own in topics.values() for topic in own}) > 1
