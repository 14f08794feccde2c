"""What do several runs say together? One ranking for each query."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lsr.errors import InputError
from lsr.eval.runs.conventions import trec_order
from lsr.eval.runs.run import Ranking, Run

RRF_K = 60
Shares = dict[str, float]


def fuse(runs: Sequence[Run], method: str = "rrf", weights: Sequence[float] | None = None, depth: int = 1000) -> Run:
    """Merge ``runs``: the weighted sum of what each gives a document; one that does not find it gives 0.

    Args:
        runs: two or more.
        method: "rrf" gives 1 / (60 + rank) (Cormack et al., SIGIR 2009); "min-max" the score scaled to 0..1 within
            the query; "linear" the score itself.
        weights: one for each run; None means 1.
        depth: results kept for a query.

    Raises:
        InputError: an unknown method, fewer than two runs, another number of weights than of runs, a weight that is
            no finite number, or scores whose sum is none.
    """
    if method not in METHODS:
        raise InputError(f"unknown method {method!r}: wanted {', '.join(METHODS)}")
    factors = [1.0] * len(runs) if weights is None else list(weights)
    if len(runs) < 2 or len(factors) != len(runs):
        raise InputError(f"{len(runs)} runs and {len(factors)} weights: wanted two or more runs, one weight for each")
    if not all(map(math.isfinite, factors)):
        raise InputError(f"found the weights {factors}, wanted finite numbers")
    queries = dict.fromkeys(query for run in runs for query in run)
    return {query: _merge(query, [run.get(query, []) for run in runs], method, factors, depth) for query in queries}


def _merge(query: str, rankings: Sequence[Ranking], method: str, factors: Sequence[float], depth: int) -> Ranking:
    total: Shares = {}
    for ranking, factor in zip(rankings, factors, strict=True):
        for name, share in METHODS[method](ranking).items():
            total[name] = total.get(name, 0.0) + factor * share
    wrong = next((name for name, score in total.items() if not math.isfinite(score)), None)
    if wrong is not None:
        raise InputError(
            f"query {query!r}, document {wrong!r}: the {method} score is {total[wrong]}, wanted a finite number; take "
            "smaller weights, or --method rrf, which sees ranks only"
        )
    return [(name, total[name]) for name in trec_order(list(total.items()))[:depth]]


def _by_rank(ranking: Ranking) -> Shares:
    return {name: 1 / (RRF_K + rank) for rank, name in enumerate(trec_order(ranking), 1)}


def _scaled(ranking: Ranking) -> Shares:
    scores = [score for _, score in ranking]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    if math.isinf(high - low):  # halves do not overflow
        low, high, ranking = low / 2, high / 2, [(name, score / 2) for name, score in ranking]
    return {name: (score - low) / (high - low) if high > low else 1.0 for name, score in ranking}


METHODS: dict[str, Callable[[Ranking], Shares]] = {"rrf": _by_rank, "min-max": _scaled, "linear": dict}
