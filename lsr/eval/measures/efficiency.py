"""What does a search cost? Time, memory and work, beside how good it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.sparse import SparseMatrix

K = 10
AT_MOST = 1000  # queries measured one by one


class Vectors(Protocol):
    """What queries become: sparse or dense rows."""

    def __len__(self) -> int: ...

    def slice(self, start: int, stop: int, /) -> Any:
        """Some of the rows."""

    @property
    def nnz(self) -> int:
        """Stored numbers of all rows."""


@dataclass(frozen=True)
class Subject:
    """What is measured.

    Attributes:
        encode: query texts to vectors.
        search: (vectors, k, threads) to document rows int64[n, k], -1 where there is none.
        exact: (vectors, k) to the rows that score highest, or None where ``search`` is exact.
    """

    encode: Callable[[Sequence[str]], Vectors]
    search: Callable[[Any, int, int], NDArray[np.int64]]
    exact: Callable[[Any, int], NDArray[np.int64]] | None


@dataclass(frozen=True)
class Efficiency:
    """What a query costs; one query a call unless said otherwise, k = 10.

    Attributes:
        encode_ms: median milliseconds to encode a query.
        p50_us, p95_us, p99_us: microseconds to search with an encoded query.
        qps: encoded queries answered a second on ``threads`` threads.
        threads: of ``qps``.
        query_terms: mean number of terms of a query vector.
        recall: mean share of the exact best 10 that was found.
    """

    encode_ms: float
    p50_us: float
    p95_us: float
    p99_us: float
    qps: float
    threads: int
    query_terms: float
    recall: float


def measure_efficiency(subject: Subject, texts: Sequence[str], threads: int = 1) -> Efficiency:
    """Time the first 1,000 of ``texts``; one untimed round of ten comes first.

    Raises:
        InputError: no texts, or threads below 1.
    """
    if not texts or threads < 1:
        raise InputError(f"{len(texts)} queries on {threads} threads: wanted one or more of both")
    texts = texts[:AT_MOST]
    for text in texts[:10]:
        subject.search(subject.encode([text]), K, threads)
    encoding = seconds_each(lambda text: subject.encode([text]), texts)
    vectors = subject.encode(texts)
    singles = [vectors.slice(i, i + 1) for i in range(len(vectors))]
    searching = 1e6 * seconds_each(lambda vector: subject.search(vector, K, 1), singles)
    started = time.perf_counter()
    found = subject.search(vectors, K, threads)
    qps = len(texts) / (time.perf_counter() - started)
    p50, p95, p99 = np.percentile(searching, [50, 95, 99]).tolist()
    recall = 1.0 if subject.exact is None else shared_share(found, subject.exact(vectors, K))
    encode_ms = 1e3 * float(np.median(encoding))
    return Efficiency(encode_ms, p50, p95, p99, qps, threads, vectors.nnz / len(vectors), recall)


def seconds_each(call: Callable[[Any], object], items: Sequence[Any]) -> NDArray[np.float64]:
    """Seconds that ``call`` took for each item, float64[N]."""
    seconds = np.empty(len(items))
    for i, item in enumerate(items):
        started = time.perf_counter()
        call(item)
        seconds[i] = time.perf_counter() - started
    return seconds


def shared_share(found: NDArray[np.int64], wanted: NDArray[np.int64]) -> float:
    """Mean over queries of the share of ``wanted`` rows that are among ``found``; -1 is no row.

    Both are int64[Q, k].

    A query for which nothing is wanted does not count; 1 where none counts.
    """
    shares = [
        np.isin(best[best >= 0], rows).mean() for rows, best in zip(found, wanted, strict=True) if (best >= 0).any()
    ]
    return float(np.mean(shares)) if shares else 1.0


def flops(queries: SparseMatrix, documents: SparseMatrix) -> float:
    """Expected number of terms that a random query and a random document share: products of one score.

    Paria et al., Minimizing FLOPs to learn efficient sparse representations, ICLR 2020. Both matrices may be samples.

    Raises:
        InputError: another vocabulary, or no rows.
    """
    if queries.dim != documents.dim or not len(queries) or not len(documents):
        raise InputError(
            f"queries {queries.shape} and documents {documents.shape}: wanted rows over one vocabulary in both"
        )
    counts = [np.bincount(side.terms, minlength=side.dim) / len(side) for side in (queries, documents)]
    return float(counts[0] @ counts[1])
