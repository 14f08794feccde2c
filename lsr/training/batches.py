"""What is in a batch? Queries, their documents, what is known of each pair, and what the teacher says."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.errors import TrainingError
from lsr.training.data import TrainingData
from lsr.training.examples import Answers, Example
from lsr.training.objective import Labels
from lsr.training.order import Order
from lsr.training.recipe import Recipe
from lsr.training.student import Student
from lsr.training.teachers import Teacher
from lsr.training.token_store import TokenStore


class Drawn(NamedTuple):
    """Rows of queries and documents, and arrays over their pairs; see `lsr.training.objective.Labels`."""

    queries: list[int]
    documents: list[int]
    positive: NDArray[np.bool_]
    own: NDArray[np.bool_]
    teacher: NDArray[np.float32] | None
    first: list[int]

    def labels_on(self, device: torch.device) -> Labels:
        """The same as tensors."""
        return Labels(
            torch.from_numpy(self.positive).to(device),
            torch.from_numpy(self.own).to(device),
            None if self.teacher is None else torch.from_numpy(self.teacher).to(device),
            torch.tensor(self.first, device=device),
            torch.tensor([self.documents[at] for at in self.first], device=device),
        )


class Drawer:
    """Draws batches from data, always the same for one seed.

    Args:
        data: examples.
        student: gives tokenizer and sides.
        recipe: batch, negatives.
        teacher: scores pairs, or None.
        seed: of order and choice.
        mixing: weight of each source; None goes by size.
        cache: folder for tokens.
    """

    def __init__(
        self,
        data: TrainingData,
        student: Student,
        recipe: Recipe,
        teacher: Teacher | None = None,
        seed: int = 0,
        mixing: Sequence[float] | None = None,
        cache: Path | None = None,
    ) -> None:
        self.order = Order([len(source) for source in data.examples], mixing, seed)
        self._data, self._recipe, self._teacher, self._seed = data, recipe, teacher, seed
        source = student.source
        self._stores = {
            True: TokenStore(data.queries, source.asking.tokenizer, student.query.side, cache),
            False: TokenStore(data.documents, source.document.tokenizer, student.document.side, cache),
        }
        self._answers = Answers(data.examples, len(data.queries))

    def store(self, query: bool) -> TokenStore:
        """Tokens of queries or of documents."""
        return self._stores[query]

    def draw(self, step: int) -> Drawn:
        """The batch of ``step``.

        Raises:
            TrainingError: a teacher's score is not finite.
        """
        examples = [self._data.examples[pick.source][pick.place] for pick in self.order.next(self._recipe.batch)]
        rng = np.random.default_rng([self._seed, step, 2])
        lists = [self._list(example, rng) for example in examples]
        queries, documents = [e.query for e in examples], [row for rows in lists for row in rows]
        first = np.cumsum([0, *(len(rows) for rows in lists)])[:-1].tolist()
        owner = np.repeat(np.arange(len(lists)), [len(rows) for rows in lists])
        own = owner == np.arange(len(lists))[:, None]
        return Drawn(
            queries, documents, self._positive(queries, documents), own, self._taught(queries, documents), first
        )

    def _positive(self, queries: list[int], documents: list[int]) -> NDArray[np.bool_]:
        """Which documents are known answers, whichever query brought them: bool[Q, N]."""
        columns: dict[int, list[int]] = {}
        for at, row in enumerate(documents):
            columns.setdefault(row, []).append(at)
        positive = np.zeros((len(queries), len(documents)), bool)
        for i, query in enumerate(queries):
            positive[i, [at for answer in self._answers.of(query).tolist() for at in columns.get(answer, ())]] = True
        return positive

    def _list(self, example: Example, rng: np.random.Generator) -> list[int]:
        """The positive, then as many of the others as the recipe wants."""
        others = np.array(example.documents[1:], np.int64)
        size = min(self._recipe.negatives, others.size)
        return [example.documents[0], *rng.choice(others, size, replace=False).tolist()]

    def _taught(self, queries: list[int], documents: list[int]) -> NDArray[np.float32] | None:
        if self._teacher is None:
            return None
        scores = self._teacher.scores(queries, documents)
        if np.isinf(scores).any():
            raise TrainingError("a teacher gave an infinite score; wanted numbers, or NaN for no opinion")
        return scores
