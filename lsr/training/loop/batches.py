"""What is in a batch? Queries, their documents, and what is known of each pair; drawn ahead in a thread of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lsr.sparse import SparseMatrix, indptr_of
from lsr.training.data.examples import Answers
from lsr.training.data.ragged import Rows, moved
from lsr.training.data.sampling_order import Order, Position
from lsr.training.data.sources import TrainingData
from lsr.training.data.token_store import TokenStore
from lsr.training.objective.objective import Labels
from lsr.training.recipe import Recipe
from lsr.training.student.student import Student

AHEAD = 2  # batches drawn while the network works on another


class Drawn(NamedTuple):
    """One batch of Q queries and N documents.

    Attributes:
        queries: int64[Q], rows of queries.
        documents: int64[N], rows of documents, list after list.
        owner: int64[N], the query whose list a document is in.
        first: int64[Q], column of each query's positive.
        answers: places in the flat [Q, N] of documents that are known answers, whichever query brought them.
        position: where the order is after this batch.
    """

    queries: Rows
    documents: Rows
    owner: Rows
    first: Rows
    answers: Rows
    position: Position

    def labels_on(self, device: torch.device, teacher: torch.Tensor | None = None) -> Labels:
        """What is known, as tensors. ``teacher`` is float[Q, N]."""
        queries, documents = self.queries.size, self.documents.size
        positive = torch.zeros(queries * documents, dtype=torch.bool, device=device)
        positive.index_fill_(0, moved(self.answers, device), True)
        own = moved(self.owner, device) == torch.arange(queries, device=device)[:, None]
        first, answer = moved(self.first, device), moved(self.documents[self.first], device)
        return Labels(positive.view(queries, documents), own, teacher, first, answer)


class Lists(NamedTuple):
    """All examples, source after source: queries int64[E], borders int64[E + 1] of their lists, documents of those."""

    queries: Rows
    borders: Rows
    documents: Rows

    @classmethod
    def of(cls, data: TrainingData) -> Lists:
        """The examples of every source."""
        sources = data.examples
        sizes = np.concatenate([np.diff(source.borders) for source in sources])
        documents = np.concatenate([source.documents for source in sources]).astype(np.int64)
        return cls(np.concatenate([source.queries for source in sources]).astype(np.int64), indptr_of(sizes), documents)


class Drawer:
    """Draws batches from data, always the same for one seed.

    Args:
        data: examples.
        student: gives tokenizer and sides.
        recipe: batch, negatives.
        seed: of order and choice.
        mixing: weight of each source; None goes by size.
        cache: folder for tokens.
    """

    def __init__(
        self,
        data: TrainingData,
        student: Student,
        recipe: Recipe,
        seed: int = 0,
        mixing: Sequence[float] | None = None,
        cache: Path | None = None,
    ) -> None:
        sizes = [len(source) for source in data.examples]
        self.order = Order(sizes, mixing, seed)
        self._recipe, self._seed, self._lists = recipe, seed, Lists.of(data)
        self._bases = np.cumsum([0, *sizes])
        source = student.source
        self._stores = {
            True: TokenStore(data.queries, source.query_side.tokenizer, student.query.side, cache),
            False: TokenStore(data.documents, source.document.tokenizer, student.document.side, cache),
        }
        self._answers = Answers(data.examples, len(data.queries))
        self.student = student
        self._pool, self._waiting = ThreadPoolExecutor(1, "drawer"), deque[Future[Drawn]]()

    def store(self, query: bool) -> TokenStore:
        """Tokens of queries or of documents."""
        return self._stores[query]

    def query_vectors(self) -> SparseMatrix:
        """Queries of a student that asks stems, weighted by the IDF of the texts its vocabulary was counted in."""
        prior = self.student.query.parts["prior"].detach().cpu().numpy()
        counts = self._stores[True].counts(prior.size)
        weights = counts.values * -np.log(prior)[counts.terms]
        return SparseMatrix(counts.indptr, counts.terms, weights.astype(np.float32), counts.dim)

    def ahead(self, step: int) -> Drawn:
        """The batch of ``step``, which a thread has drawn; steps follow one another."""
        while len(self._waiting) <= AHEAD:
            self._waiting.append(self._pool.submit(self.draw, step + len(self._waiting)))
        return self._waiting.popleft().result()

    def draw(self, step: int) -> Drawn:
        """The batch of ``step``."""
        picks = self.order.next(self._recipe.batch)
        examples = self._bases[picks.sources] + picks.places
        documents, owner = self._choose(examples, np.random.default_rng([self._seed, step, 2]))
        queries, first = self._lists.queries[examples], np.searchsorted(owner, np.arange(examples.size))
        return Drawn(queries, documents, owner, first, _among(self._answers, queries, documents), self.order.position)

    def _choose(self, examples: Rows, rng: np.random.Generator) -> tuple[Rows, Rows]:
        """Of every list the positive, then as many of the others as the recipe wants, by the lot; and their owners."""
        places, owner = _spread(self._lists.borders[examples], self._lists.borders[examples + 1])
        lots = rng.random(places.size)
        lots[np.searchsorted(owner, np.arange(examples.size))] = -1.0
        order = np.lexsort((lots, owner))
        rank = np.arange(owner.size) - np.searchsorted(owner, owner)
        kept = rank <= self._recipe.negatives
        return self._lists.documents[places[order][kept]], owner[kept]


def _among(answers: Answers, queries: Rows, documents: Rows) -> Rows:
    """Places in the flat [Q, N] where a document answers a query."""
    places, row = _spread(answers.borders[queries], answers.borders[queries + 1])
    order = np.argsort(documents, kind="stable")
    ranked, wanted = documents[order], answers.documents[places]
    columns, pair = _spread(np.searchsorted(ranked, wanted), np.searchsorted(ranked, wanted, "right"))
    return np.asarray(row[pair] * documents.size + order[columns], np.int64)


def _spread(starts: Rows, ends: Rows) -> tuple[Rows, Rows]:
    """All numbers of several ranges, one range after the other, and the range that each is of."""
    sizes = ends - starts
    owner = np.repeat(np.arange(sizes.size), sizes)
    return np.arange(owner.size) + (starts - (np.cumsum(sizes) - sizes))[owner], owner
