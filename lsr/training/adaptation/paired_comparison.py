"""Is one encoder better than another? Both on the same queries, query by query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from lsr.encoders import Encoder
from lsr.errors import TrainingError
from lsr.eval import Difference, Scores, compare, evaluate, parse_measures
from lsr.index import WindowedIndex
from lsr.sparse import SparseMatrix
from lsr.training.loop.validation import DevSet
from lsr.training.teachers.vector_cache import Count, document_vectors, ignore

MEASURES = ("nDCG@10", "R@100")
DEPTH = 100
Conclusion = Literal["better", "no clear difference", "worse"]


class Outcome(msgspec.Struct, frozen=True):
    """What one encoder gave.

    Attributes:
        means: of each measure.
        document_terms: a document.
        query_terms: a query.
        values: of each measure, by query.
    """

    means: dict[str, float]
    document_terms: float
    query_terms: float
    values: dict[str, dict[str, float]]


def measure(encoder: Encoder, task: DevSet, count: Count = ignore) -> Outcome:
    """Encode, index and search exactly.

    Raises:
        TrainingError: the encoder makes dense vectors.
    """
    documents = document_vectors(encoder, list(task.documents.values()), count)
    if not isinstance(documents, SparseMatrix):
        raise TrainingError(f"{encoder.name} makes dense vectors: wanted an encoder of sparse ones")
    queries = encoder.encode_queries(list(task.queries.values()))
    found = WindowedIndex.build(documents).search(queries, DEPTH, exact=True)
    names = list(task.documents)
    run = {
        query: [(names[row], score) for row, score in zip(*hits, strict=True) if row >= 0]
        for query, *hits in zip(task.queries, found.rows.tolist(), found.scores.tolist(), strict=True)
    }
    scores: Scores = evaluate(task.qrels, run, parse_measures(MEASURES))
    return Outcome(scores.mean, documents.nnz / len(documents), queries.nnz / len(queries), scores.per_query)


def differences(before: Outcome, after: Outcome) -> dict[str, Difference]:
    """Paired by query, for each measure."""
    return {name: compare(before.values[name], after.values[name]) for name in MEASURES}


def conclusion(difference: Difference) -> Conclusion:
    """Whether the interval of the mean difference, 95 %, lies above 0, below 0 or around it."""
    if difference.delta.low > 0:
        return "better"
    return "worse" if difference.delta.high < 0 else "no clear difference"


def by_kind(values: Mapping[str, float], kind_of: Mapping[str, str]) -> dict[str, float]:
    """Mean of a measure for each kind of query."""
    kinds: dict[str, list[float]] = {}
    for query, value in values.items():
        kinds.setdefault(kind_of[query], []).append(value)
    return {kind: sum(found) / len(found) for kind, found in sorted(kinds.items())}
