"""By which rules is a run measured? Ties, self-retrieval and missing queries, each of them reported."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lsr.errors import InputError
from lsr.eval.collections.collection import Qrels
from lsr.eval.runs.run import Ranking, Run


@dataclass(frozen=True)
class Convention:
    """Rules that decide a mean before any formula does. Equal scores go to the larger document id, as in trec_eval.

    Attributes:
        name: what a person calls it.
        drops_self: a document whose id is the query's is taken out of the ranking.
        counts_missing: a judged query without results counts as 0; otherwise it is left out of the mean.
    """

    name: str
    drops_self: bool
    counts_missing: bool


CONVENTIONS = {
    "trec": Convention("trec", drops_self=False, counts_missing=True),  # trec_eval -c
    "beir": Convention("beir", drops_self=True, counts_missing=False),  # EvaluateRetrieval.evaluate
}


class Oddities(NamedTuple):
    """What in a run the conventions treat differently: numbers of queries.

    Attributes:
        missing: judged queries without results.
        self_hits: queries whose ranking holds a document of the query's id, where that can be the query itself.
        ties: queries with two documents of equal score.
        unjudged: queries of the run without judgements; they never count.
        fruitless: judged queries without a relevant document: nothing can be found, and they count as 0.
    """

    missing: int
    self_hits: int
    ties: int
    unjudged: int
    fruitless: int


def convention(name: str) -> Convention:
    """The rules called ``name``.

    Raises:
        InputError: no such convention.
    """
    if name not in CONVENTIONS:
        raise InputError(f"unknown convention {name!r:.60}: wanted {' or '.join(CONVENTIONS)}")
    return CONVENTIONS[name]


def apply_convention(qrels: Qrels, run: Run, rules: Convention) -> dict[str, dict[str, float]]:
    """The judged queries of ``run`` with scores that no longer tie: n for the first of n documents, 1 for the last.

    Measures of different programs break ties differently (in ir-measures RR@k by rising id, all others by falling
    id); after this they cannot.
    """
    ordered: dict[str, dict[str, float]] = {}
    for query in qrels:
        names = [name for name in trec_order(run.get(query, [])) if not (rules.drops_self and name == query)]
        if rules.counts_missing or run.get(query):
            ordered[query] = {name: float(len(names) - place) for place, name in enumerate(names)}
    return ordered


def trec_order(ranking: Ranking) -> list[str]:
    """Document ids by falling score, equal scores by falling id: the order in which trec_eval reads a run.

    It keeps scores as float32, so those that differ only beyond it are equal.
    """
    names = (name for name, _ in ranking)
    return [name for _, name in sorted(zip(_singles(ranking), names, strict=True), reverse=True)]


def _singles(ranking: Ranking) -> list[float]:
    return array("f", [score for _, score in ranking]).tolist()


def oddities(qrels: Qrels, run: Run, rules: Convention = CONVENTIONS["trec"]) -> Oddities:
    """Count what the conventions treat differently.

    Documents of the query's id count where ``rules`` take them out, or where the query may be one of the documents:
    ids that are numbers meet by chance, so for these only where most such documents come first, unjudged.
    """
    judged = {query: run.get(query, []) for query in qrels}
    same = [query for query, ranking in judged.items() if any(name == query for name, _ in ranking)]
    return Oddities(
        missing=sum(not ranking for ranking in judged.values()),
        self_hits=len(same) if rules.drops_self or _may_be_meant(same, qrels, judged) else 0,
        ties=sum(len(set(_singles(ranking))) < len(ranking) for ranking in judged.values()),
        unjudged=sum(query not in qrels for query in run),
        fruitless=sum(max(grades.values(), default=0) <= 0 for grades in qrels.values()),
    )


def _may_be_meant(same: Sequence[str], qrels: Qrels, run: Run) -> bool:
    """Whether the queries ``same``, which found documents of their own ids, can be these documents."""
    if not all(query.isdigit() for query in same):
        return True
    first = [query for query in same if trec_order(run[query])[0] == query and qrels[query].get(query, 0) <= 0]
    return 2 * len(first) > len(same)


def explain_oddities(found: Oddities, rules: Convention) -> list[str]:
    """One sentence for each rule that moved, or under another convention would move, the numbers."""
    other = next(name for name in CONVENTIONS if name != rules.name)
    lines = []
    if found.missing:
        now, then = ("counted as 0", "left out") if rules.counts_missing else ("left out", "counted as 0")
        lines.append(f"{_queries(found.missing, 'judged ')} without results: {now}; {then} by {other}")
    if found.self_hits:
        now, then = ("taken out", "kept in") if rules.drops_self else ("kept", "taken out by")
        lines.append(f"{_queries(found.self_hits)} found the document of the query's own id: {now}; {then} {other}")
    if found.ties:
        lines.append(f"{_queries(found.ties)} with documents of equal score: ordered by descending id, as in trec_eval")
    if found.fruitless:
        lines.append(f"{_queries(found.fruitless, 'judged ')} without a relevant document: counted as 0")
    if found.unjudged:
        lines.append(f"{_queries(found.unjudged)} of the run without judgements: left out")
    return lines


def _queries(count: int, kind: str = "") -> str:
    return f"{count:,} {kind}{'query' if count == 1 else 'queries'}"
