"""How is work spread over cores? Ranges of terms with equal numbers of postings, ranges of queries."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError

MOST_THREADS = 1024
RANGES = 8  # of queries for each thread
Result = TypeVar("Result")
Span = tuple[int, int]


def equal_spans(borders: NDArray[np.int64], parts: int) -> list[Span]:
    """At most ``parts`` ranges that cover the lists with these ``borders`` int64[lists + 1], about equal in size."""
    lists = borders.size - 1
    inner = np.searchsorted(borders, np.linspace(0, borders[-1], parts + 1)[1:-1])
    return list(pairwise(sorted({0, lists, *np.minimum(inner, lists).tolist()})))


def on_all_cores(work: Callable[[Span], Result], spans: list[Span]) -> Iterator[tuple[Span, Result]]:
    """Each range with its result, in order; results not asked for yet are the only ones held."""
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from zip(spans, pool.map(work, spans), strict=True)


def check_threads(threads: object) -> None:
    """Refuse numbers of threads that are none.

    Raises:
        InputError: no whole number from 1 to 1,024.
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads is {threads!r:.40}: wanted a whole number, at least 1, at most {MOST_THREADS:,}")


def spread(run: Callable[[Span], None], n: int, threads: int) -> None:
    """Call ``run`` for ranges of 0 to n on ``threads`` threads, small ones, which even out slow queries.

    Raises:
        InputError: a number of threads that is none.
    """
    if threads != 1:
        check_threads(threads)
    if n == 1 or (n and threads == 1):
        run((0, n))
    if n < 2 or threads == 1:
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(run, equal_spans(np.arange(n + 1), threads * RANGES)))
