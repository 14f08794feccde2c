"""Which way is a search answered, and with which settings? A cost model, so that users say what they want of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from lsr.errors import InputError

# Microseconds, fitted to benchmarks/scale.py and benchmarks/kernels.py on 160 terms a document and 22 a query. Only the
# order of the ways matters: it holds on any machine where all of them slow down alike.
SCORING = 0.2  # of one document
APPROXIMATE = 30.0, 0.0002  # of a search, and for each document of the index
EXACT = 40.0, 0.001
SCAN = 0.002  # for each weight of the index, without a kernel
COMPILER = 700_000.0  # to load it, with its kernels compiled before; ten times as much without


class Point(msgspec.Struct, frozen=True):
    """What settings gave on held-out queries.

    Attributes:
        k: documents asked for.
        settings: of the engine.
        recall: mean recall@k against exact search; ``low`` and ``high`` bound it with 95 % confidence.
        p50_us: median latency of a query in microseconds on the machine that measured; ``p99_us`` its 99th percentile.
    """

    k: int
    settings: dict[str, Any]
    recall: float
    low: float
    high: float
    p50_us: float
    p99_us: float


class Tuning(msgspec.Struct, frozen=True):
    """The measured frontier of an index: no point is both slower and less complete than another.

    Attributes:
        queries: how many were held out for measuring.
        source: where they came from.
        points: by k and rising recall.
    """

    queries: int
    source: str
    points: list[Point]


def scores_directly(n: int, allowed: int, exact: bool) -> bool:
    """Whether scoring each of the ``allowed`` documents of ``n`` costs less than reading postings."""
    fixed, each = EXACT if exact else APPROXIMATE
    return SCORING * allowed < fixed + each * n


def scan_cost(nonzeros: int, queries: int) -> float:
    """Microseconds of exact search without kernels."""
    return SCAN * nonzeros * queries


def check_recall(recall: float) -> None:
    """Refuse a share that is none.

    Raises:
        InputError: outside (0, 1].
    """
    if not 0 < recall <= 1:
        raise InputError(f"recall is {recall}: wanted a share above 0 and at most 1, such as 0.95")


def settings_for(
    recall: float, k: int, tuning: Tuning | None, untuned: Sequence[tuple[float, dict[str, Any]]]
) -> dict[str, Any] | None:
    """The fastest settings known to reach ``recall`` at ``k``; None where only exact search does.

    The tuned points of the nearest k at or above the one wanted count, or those of the largest; without any, the
    ``untuned`` pairs of (recall, settings), by rising recall.
    """
    if tuning is None or not tuning.points:
        return next((settings for reached, settings in untuned if reached >= recall), None)
    tuned = sorted({point.k for point in tuning.points})
    nearest = next((at for at in tuned if at >= k), tuned[-1])
    fit = [point for point in tuning.points if point.k == nearest and point.recall >= recall]
    return min(fit, key=lambda point: point.p50_us).settings if fit else None
