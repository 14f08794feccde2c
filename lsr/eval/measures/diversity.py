"""Do the first results differ from each other? Measures that need more than one grade a document."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lsr.errors import InputError
from lsr.sparse import SparseMatrix

Topics = Mapping[str, Iterable[str]]  # the topics that a document answers, by document id


def alpha_ndcg(ranking: Sequence[str], topics: Topics, k: int = 10, alpha: float = 0.5) -> float:
    """Gain for new topics, less by ``1 - alpha`` for each time a topic was met before, against a greedy ideal.

    Clarke et al., Novelty and diversity in information retrieval evaluation, SIGIR 2008.

    Args:
        ranking: document ids, best first.
        topics: of each relevant document; others gain nothing.
        k: results that count.
        alpha: how much a repeated topic loses, 0 to 1.

    Raises:
        InputError: k below 1 or alpha outside [0, 1].
    """
    if k < 1 or not 0 <= alpha <= 1:
        raise InputError(f"k is {k} and alpha {alpha:g}: wanted k of at least 1 and alpha from 0 to 1")
    held = {name: frozenset(found) for name, found in topics.items()}
    ideal = _discounted(_greedy(held, k, alpha), held, alpha)
    return _discounted(ranking[:k], held, alpha) / ideal if ideal else 0.0


def _discounted(ranking: Sequence[str], topics: Mapping[str, frozenset[str]], alpha: float) -> float:
    seen: dict[str, int] = {}
    total = 0.0
    for place, name in enumerate(ranking):
        total += _gain(topics.get(name, frozenset()), seen, alpha) / math.log2(place + 2)
        for topic in topics.get(name, ()):
            seen[topic] = seen.get(topic, 0) + 1
    return total


def _gain(topics: frozenset[str], seen: Mapping[str, int], alpha: float) -> float:
    return float(sum((1 - alpha) ** seen.get(topic, 0) for topic in topics))


def _greedy(topics: Mapping[str, frozenset[str]], k: int, alpha: float) -> list[str]:
    """The document that gains most, then the one that gains most after it, and so on."""
    seen: dict[str, int] = {}
    left = dict.fromkeys(topics)
    chosen: list[str] = []
    while left and len(chosen) < k:
        best = max(left, key=lambda name: _gain(topics[name], seen, alpha))
        del left[best]
        chosen.append(best)
        for topic in topics[best]:
            seen[topic] = seen.get(topic, 0) + 1
    return chosen


def intra_list_distance(results: SparseMatrix) -> float:
    """Mean of 1 - cosine over all pairs of results: 0 where all are alike, 1 where no two share a term.

    Zhang and Hurley, Avoiding monotony, RecSys 2008. An empty vector is at distance 1 of everything.

    Args:
        results: vectors of the first k documents of one query, one row a document.
    """
    n = len(results)
    if n < 2:
        return 0.0
    rows = np.repeat(np.arange(n), np.diff(results.indptr))
    values = results.values.astype(np.float64)
    norms = np.sqrt(np.bincount(rows, values**2, n))
    total = np.zeros(results.dim)
    np.add.at(total, results.terms, values / norms[rows])
    alike = float(total @ total) - np.count_nonzero(norms)  # the square of the sum holds each pair twice
    return float(1 - alike / (n * (n - 1)))
