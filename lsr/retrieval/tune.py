"""Which settings of an index give the recall that is wanted, soonest? Measured on queries, against exact search."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from lsr.errors import InputError, StorageError
from lsr.index import Generation, Point, Store, Tuning
from lsr.index.plan import check_recall, settings_for
from lsr.retrieval.searcher import Searcher
from lsr.sparse import SparseMatrix

KS = (10, 100)
REPEATS, CHUNK = 3, 50
FEWEST_QUERIES = 20
WORDS = 8  # of a query made from a text
VERB = "tune"


@dataclass
class _Trial:
    """One setting and what it gave: shares of the true documents found and seconds, by query."""

    k: int
    settings: dict[str, Any]
    shares: NDArray[np.float64]
    seconds: list[list[float]] = field(default_factory=list)

    def point(self, chosen: NDArray[np.int64]) -> Point:
        """The measured figures over the queries ``chosen``."""
        shares = self.shares[chosen]
        seconds = np.array(self.seconds)[:, chosen]
        mean = float(shares.mean())
        error = 1.96 * float(shares.std()) / shares.size**0.5
        error = error or 3 / shares.size  # the rule of three, where all were perfect
        low, high = max(0.0, mean - error), min(1.0, mean + error)
        median = float(np.median(np.median(seconds, axis=0)))
        return Point(self.k, self.settings, mean, low, high, 1e6 * median, 1e6 * float(np.percentile(seconds, 99)))


def tune(
    searcher: Searcher,
    recall: float,
    queries: Sequence[str] | None = None,
    at_most: int = 1000,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Tuning, dict[str, Any] | None]:
    """Measure the engine's settings, keep the frontier in the index, and let its searches give ``recall``.

    Settings are chosen on half of the queries and measured on the others. Recall is the share of the documents of
    exact search that were found among the best k, for k of 10 and 100.

    Args:
        searcher: over the index.
        recall: that searches shall give from now on at k = 10, on average.
        queries: real ones serve best; None makes some from titles, or first words, of the documents.
        at_most: so many queries are used.
        progress: called with (measurements done, in all).

    Returns:
        The frontier, and the settings that were stored; None where only exact search gives ``recall``: settings stay
        as they were then, and searches that ask for this recall are exact.

    Raises:
        InputError: recall outside (0, 1], or fewer than 20 queries with a known term.
        StorageError: the index cannot be written.
    """
    check_recall(recall)
    source = "given queries" if queries is not None else "titles and first words of documents"
    texts = list(queries) if queries is not None else _made_from_documents(searcher, at_most)
    vectors = _known(searcher.encoder.encode_queries(texts[:at_most]))
    if len(vectors) < FEWEST_QUERIES:
        raise InputError(f"{len(vectors)} queries with a known term: wanted {FEWEST_QUERIES} or more to measure with")
    trials = _measure(searcher, vectors, progress)
    numbers = np.arange(len(vectors))
    points: list[Point] = []
    for k in KS:
        chosen = [trial for trial in trials if trial.k == k]
        points += [trial.point(numbers[1::2]) for trial in _frontier(chosen, numbers[::2])]
    tuning = Tuning(len(vectors) // 2, source, points)
    settings = settings_for(recall, KS[0], tuning, ())
    _keep(searcher.generation, tuning, settings or {})
    return tuning, settings


def _keep(measured: Generation, tuning: Tuning, settings: dict[str, Any]) -> None:
    """Keep a measured frontier, and the settings that searches take from now on.

    Raises:
        StorageError: another collection than was measured lies there, or another process writes.
    """
    with Store(measured.folder) as store, store.changing():
        if not _is_still(store, measured):
            raise StorageError(f"{measured.folder} was changed while it was measured: tune it again")
        about = store.about
        store.change_about(replace(about, tuning=tuning, settings={**about.settings, **settings}), VERB)


def _is_still(store: Store, measured: Generation) -> bool:
    """Whether the documents of ``measured`` are those that are there now: it was tuned at most."""
    history = store.history()
    same = history.get(measured.number) == measured.summary.info
    return same and all(info.verb == VERB for number, info in history.items() if number > measured.number)


def _made_from_documents(searcher: Searcher, n: int) -> list[str]:
    """Titles of random documents, or the first words of those without; the same for the same index."""
    alive = searcher.generation.alive.rows
    rows = np.random.default_rng(0).choice(alive, min(n, alive.size), replace=False)
    documents = (searcher.generation.document(row) for row in rows.tolist())
    return [document.title or " ".join(document.text.split()[:WORDS]) for document in documents]


def _known(vectors: SparseMatrix) -> SparseMatrix:
    """The queries that have a term."""
    return SparseMatrix.from_dicts([row for row in vectors.to_dicts() if row], vectors.dim)


def _measure(searcher: Searcher, vectors: SparseMatrix, progress: Callable[[int, int], None]) -> list[_Trial]:
    """Every setting on every query, one call each, interleaved in chunks so that all meet the same machine."""
    collection = searcher.generation
    truth = {k: collection.search(vectors, k, exact=True).rows for k in KS}
    single = [vectors.slice(i, i + 1) for i in range(len(vectors))]
    trials = [_Trial(k, settings, np.zeros(len(single))) for k in KS for settings in collection.grid]
    for trial in trials:
        found = collection.search(vectors, trial.k, settings=trial.settings).rows
        trial.shares = np.array([_share(a, b) for a, b in zip(found, truth[trial.k], strict=True)])
    total = REPEATS * len(single)
    for repeat in range(REPEATS):
        for trial in trials:
            trial.seconds.append([])
        for start in range(0, len(single), CHUNK):
            for trial in trials:
                trial.seconds[-1] += [_time(searcher, trial, query) for query in single[start : start + CHUNK]]
            progress(min(len(single), start + CHUNK) + repeat * len(single), total)
    return trials


def _share(found: NDArray[np.int64], true: NDArray[np.int64]) -> float:
    true = true[true >= 0]
    return float(np.isin(true, found).mean()) if true.size else 1.0


def _time(searcher: Searcher, trial: _Trial, query: SparseMatrix) -> float:
    started = time.perf_counter()
    searcher.generation.search(query, trial.k, settings=trial.settings)
    return time.perf_counter() - started


def _frontier(trials: list[_Trial], chosen: NDArray[np.int64]) -> list[_Trial]:
    """Trials than which none is both faster and more complete on the queries ``chosen``, by rising recall."""
    measured = sorted(((trial.point(chosen), trial) for trial in trials), key=lambda pair: pair[0].p50_us)
    kept: list[tuple[Point, _Trial]] = []
    for point, trial in measured:
        if not kept or point.recall > kept[-1][0].recall:
            kept.append((point, trial))
    return [trial for _, trial in kept]
