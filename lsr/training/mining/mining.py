"""Which documents look like answers and are none? Hard negatives, found by encoders over all documents of the data.

False negatives are kept out as in NV-Retriever (arXiv 2407.15831, section 3.2, "TopK-PercPos"): a candidate whose score
is above a share of the positive's is probably an answer that nobody wrote down.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import load
from lsr.errors import InputError
from lsr.sparse import indptr_of
from lsr.training.data.examples import Answers, Examples
from lsr.training.data.sources import TrainingData
from lsr.training.mining.miners import Miner, miner

BATCH = 4096  # queries searched for together
NOBODY = 2**31 - 1  # number of no text
Progress = Callable[[str, int, int], None]  # called with (what is done, how far, of how much)
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class MiningSettings:
    """What to look for.

    Attributes:
        encoders: "bm25" or folders; negatives alternate between them.
        negatives: wanted for each pair.
        depth: candidates of each search.
        skip: candidates left out at the top of each search.
        share: a candidate that scores above this share of the positive is dropped; inf keeps all.
        judge: encoder whose scores decide that; None means the one that searches.
        scored: whether the scores of the judge, or of the one encoder, are kept as a teacher's.
        seed: of the choice among candidates.

    Raises:
        InputError: a number out of range, or scores of several encoders without a judge.
    """

    encoders: tuple[str, ...] = ("bm25",)
    negatives: int = 4
    depth: int = 100
    skip: int = 0
    share: float = 0.95
    judge: str | None = None
    scored: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.negatives < 1 or not 0 <= self.skip < self.depth or not self.share > 0:
            raise InputError(
                f"negatives {self.negatives}, depth {self.depth}, skip {self.skip}, filter {self.share:g}: "
                "wanted 1 or more negatives, a depth above skip, and a filter above 0 (inf for none)"
            )
        if self.scored and self.judge is None and len(self.encoders) != 1:
            raise InputError("scores of several encoders are of several scales: name one of them with --judge")


@dataclass
class MiningReport:
    """What came of it.

    Attributes:
        pairs: distinct pairs of a query and a positive.
        negatives: found.
        candidates: looked at.
        known: dropped as answers of the query, or for the text of one or of a better candidate.
        filtered: dropped for their score.
        short: pairs with fewer negatives than wanted.
        without: pairs without any.
    """

    pairs: int = 0
    negatives: int = 0
    candidates: int = 0
    known: int = 0
    filtered: int = 0
    short: int = 0
    without: int = 0

    def rows(self) -> list[tuple[str, int]]:
        """Names and values."""
        return [(field.name, getattr(self, field.name)) for field in fields(self)]


class Mined(NamedTuple):
    """Every distinct pair with its negatives, by rising query, and how it went."""

    examples: Examples
    report: MiningReport


def mine(
    data: TrainingData,
    settings: MiningSettings,
    progress: Progress = lambda stage, done, total: None,
    origins: Rows | None = None,
) -> Mined:
    """Negatives for every distinct pair of ``data``; negatives that it had are left out.

    The same for the same seed. ``origins`` int64[documents] says which texts are versions of one, none of which is a
    negative for another; None means texts that differ in case or space only. Memory holds the texts, and vectors and
    index of one encoder (and of the judge).

    Raises:
        EncoderError: an encoder that cannot be read.
        MissingExtraError: a dense one without torch.
    """
    run = _Run(data, settings, progress, origins)
    judge = run.miner(settings.judge) if settings.judge else None
    picks: list[Rows] = []
    for name in settings.encoders:
        finder = judge if judge and name == settings.judge else run.miner(name)
        picks.append(run.search(finder, judge or finder, picks))
    rows = _alternated(picks)[:, : settings.negatives]
    scores = run.scores(judge or finder, rows) if settings.scored else None
    return Mined(run.examples(rows, scores), run.finished(rows))


class _Batch(NamedTuple):
    """Rows of the queries of a batch, the pairs that they have, and whose and which of whose each pair is."""

    queries: slice
    pairs: slice
    owner: Rows
    nth: Rows


class _Run:
    """One call of `mine`; documents of one text, or of one origin, have one number in ``_texts``."""

    def __init__(self, data: TrainingData, settings: MiningSettings, progress: Progress, origins: Rows | None) -> None:
        self._settings, self._progress = settings, progress
        self._queries, self._documents = data.queries, data.documents
        self._answers = Answers(data.examples, len(self._queries))
        self._report = MiningReport(self._answers.documents.size)
        known: dict[int, int] = {}
        self._texts = _numbers(self._documents, known) if origins is None else origins
        self._origins = _numbers(self._queries, known) if origins is None else np.full(len(self._queries), NOBODY)

    def miner(self, name: str) -> Miner:
        """Encodes all documents."""
        return miner(load(name, truncate=True), self._documents, partial(self._progress, f"encode ({_short(name)})"))

    def search(self, finder: Miner, judge: Miner, taken: Sequence[Rows]) -> Rows:
        """Negatives int64[pairs, wanted] by the next encoder, none of those taken before; -1 where there are fewer."""
        settings, number = self._settings, len(taken)
        picked = np.full((self._report.pairs, settings.negatives), -1, np.int64)
        for batch in self._batches(f"search ({_short(settings.encoders[number])})"):
            texts = self._queries[batch.queries]
            vectors = finder.encode(texts)
            hits = finder.find(vectors, settings.depth)
            rows, scores = hits.rows[:, settings.skip :], hits.scores[:, settings.skip :]
            query_vectors = vectors if judge is finder else judge.encode(texts)
            scores = scores if judge is finder else judge.score(query_vectors, rows)
            left = self._unknown(batch, rows)[batch.owner]
            for before in (column for picks in taken for column in picks[batch.pairs].T):
                left &= self._texts[rows[batch.owner]] != self._texts[before][:, None]
            left &= self._unlike(scores[batch.owner], self._positive_scores(judge, query_vectors, batch), left)
            rng = np.random.default_rng([settings.seed, number, batch.pairs.start])
            picked[batch.pairs] = _drawn(rows[batch.owner], left, settings.negatives, rng)
        return picked

    def scores(self, judge: Miner, rows: Rows) -> NDArray[np.float32]:
        """The judge's scores of each pair and its negatives, float32[pairs, 1 + wanted]."""
        found = np.empty((len(rows), 1 + rows.shape[1]), np.float32)
        for batch in self._batches("score"):
            query_vectors = judge.encode(self._queries[batch.queries])
            found[batch.pairs, 0] = self._positive_scores(judge, query_vectors, batch)
            for at in range(rows.shape[1]):
                found[batch.pairs, 1 + at] = _scattered(judge, query_vectors, batch, rows[batch.pairs, at])
        return found

    def examples(self, rows: Rows, scores: NDArray[np.float32] | None) -> Examples:
        """Pairs and negatives as flat arrays."""
        documents = np.column_stack([self._answers.documents, rows.astype(np.int32)])
        kept = documents >= 0
        queries = np.repeat(np.arange(len(self._queries), dtype=np.int32), np.diff(self._answers.borders))
        return Examples(queries, indptr_of(kept.sum(1)), documents[kept], None if scores is None else scores[kept])

    def finished(self, rows: Rows) -> MiningReport:
        """The report, counted."""
        counts = (rows >= 0).sum(1)
        self._report.negatives = int(counts.sum())
        self._report.short = int((counts < self._settings.negatives).sum())
        self._report.without = int((counts == 0).sum())
        return self._report

    def _batches(self, stage: str) -> Iterator[_Batch]:
        n, borders = len(self._queries), self._answers.borders
        for start in range(0, n, BATCH):
            stop = min(start + BATCH, n)
            sizes = np.diff(borders[start : stop + 1])
            owner = np.repeat(np.arange(stop - start), sizes)
            nth = np.arange(owner.size) - (borders[start:stop] - borders[start])[owner]
            yield _Batch(slice(start, stop), slice(int(borders[start]), int(borders[stop])), owner, nth)
            self._progress(stage, stop, n)

    def _unknown(self, batch: _Batch, rows: Rows) -> NDArray[np.bool_]:
        """Candidates bool[n, k] that are there, with a text of their own: no answer's, not the query's."""
        answers = self._texts[self._answers.documents[batch.pairs]]
        own = np.concatenate([batch.owner << 32 | answers, _keys(self._origins[batch.queries])])
        there = rows >= 0
        found = self._texts[rows]
        known = there & (np.isin(_keys(found), own) | _repeated(np.where(there, found, -1)))
        self._report.candidates += int(there.sum())
        self._report.known += int(known.sum())
        return there & ~known

    def _unlike(
        self, scores: NDArray[np.float32], positive: NDArray[np.float32], left: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Candidates bool[pairs, k] that score no more than their share of the positive."""
        if np.isinf(self._settings.share):
            return np.ones_like(left)
        most = positive - (1 - self._settings.share) * np.abs(positive)
        low = scores <= most[:, None]
        self._report.filtered += int((left & ~low).sum())
        return low

    def _positive_scores(self, judge: Miner, query_vectors: Any, batch: _Batch) -> NDArray[np.float32]:
        return _scattered(judge, query_vectors, batch, self._answers.documents[batch.pairs].astype(np.int64))


def _scattered(judge: Miner, query_vectors: Any, batch: _Batch, rows: Rows) -> NDArray[np.float32]:
    """Scores of one document a pair, float32[pairs]."""
    table = np.full((batch.queries.stop - batch.queries.start, int(batch.nth.max(initial=0)) + 1), -1, np.int64)
    table[batch.owner, batch.nth] = rows
    return judge.score(query_vectors, table)[batch.owner, batch.nth]


def _drawn(rows: Rows, left: NDArray[np.bool_], wanted: int, rng: np.random.Generator) -> Rows:
    """``wanted`` of the candidates that are left, at random, -1 where there are fewer."""
    order = np.argsort(np.where(left, rng.random(rows.shape), 2.0), axis=1)[:, :wanted]
    found = np.full((len(rows), wanted), -1, np.int64)
    found[:, : order.shape[1]] = np.where(np.take_along_axis(left, order, 1), np.take_along_axis(rows, order, 1), -1)
    return found


def _alternated(picks: Sequence[Rows]) -> Rows:
    """The first of each encoder, the second of each, ...; -1 at the end."""
    rows = np.stack(picks, 2).reshape(len(picks[0]), -1)
    return np.take_along_axis(rows, np.argsort(rows < 0, axis=1, kind="stable"), 1)


def _repeated(numbers: Rows) -> NDArray[np.bool_]:
    """Where a number stood before in its row, bool[n, k]."""
    order = np.argsort(numbers, axis=1, kind="stable")
    ranked = np.take_along_axis(numbers, order, 1)
    again = np.zeros(numbers.shape, bool)
    np.put_along_axis(again, order[:, 1:], ranked[:, 1:] == ranked[:, :-1], 1)
    return again


def _keys(texts: Rows) -> Rows:
    """Numbers of texts, int64[n] or [n, k], each with its row, so that no two rows share one."""
    at = np.arange(len(texts)) << 32
    return texts | (at if texts.ndim == 1 else at[:, None])


def _numbers(texts: Sequence[str], known: dict[int, int]) -> Rows:
    """One number a text, int64[n]; texts that differ in case or white space only share it."""
    plain = (hash(" ".join(text.lower().split())) for text in texts)
    return np.fromiter((known.setdefault(key, len(known)) for key in plain), np.int64, len(texts))


def _short(name: str) -> str:
    return Path(name).name
