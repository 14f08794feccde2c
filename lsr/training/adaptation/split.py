"""Which questions are learned from, and which are kept back to judge by? No document is on both sides."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from lsr.corpus import Document
from lsr.errors import TrainingError
from lsr.training.adaptation.pseudo_queries import KINDS, Question, Questioner
from lsr.training.loop.validation import DevSet

SHARE, FEW, MANY = 0.2, 100, 600  # of the documents are asked to judge; at least few (of half of them), at most many
DEV = 1 / 3  # of the questions kept back choose among checkpoints, the others decide
OTHERS = 200, 600  # documents beside those that answer, in the dev set and in the held-out one


class Split(NamedTuple):
    """Questions to learn from, those that choose a checkpoint, and those that decide."""

    train: list[Question]
    dev: DevSet
    held_out: DevSet


def split(documents: Sequence[Document], seed: int = 0) -> Split:
    """Divide ``documents`` and ask them; a question kept back has the id "KIND-ROW".

    Raises:
        TrainingError: too few documents can be asked.
    """
    rows = list(range(len(documents)))
    random.Random(seed).shuffle(rows)
    questioner = Questioner(documents, seed)
    size = min(MANY, max(int(SHARE * len(rows)), min(len(rows) // 2, FEW)))
    kept = [one for at, row in enumerate(rows[:size]) if (one := _one(questioner.ask(row), at))]
    train = [question for row in rows[size:] for question in questioner.ask(row)]
    border = int(DEV * len(kept))
    if not train or border == 0 or border == len(kept):
        raise TrainingError(
            f"{len(documents):,} documents give {len(train):,} questions to learn from and {len(kept):,} to judge by: "
            "wanted more documents, of ten words or more"
        )
    random.Random(seed).shuffle(train)
    dev, held_out = kept[:border], kept[border:]
    rest = rows[size:]
    return Split(train, _dev_set(documents, dev, rest[: OTHERS[0]]), _dev_set(documents, held_out, rest[: OTHERS[1]]))


def kind_of(query: str) -> str:
    """The kind of a question kept back, by its id."""
    return query.partition("-")[0]


def _one(questions: Sequence[Question], turn: int) -> Question | None:
    """One of several questions, kinds in turn."""
    by_kind = {question.kind: question for question in questions}
    wanted = KINDS[turn % len(KINDS) :] + KINDS[: turn % len(KINDS)]
    return next((by_kind[kind] for kind in wanted if kind in by_kind), None)


def _dev_set(documents: Sequence[Document], questions: Sequence[Question], others: Sequence[int]) -> DevSet:
    texts = {str(question.document): question.left for question in questions}
    texts |= {str(row): documents[row].full_text for row in others}
    queries = {f"{question.kind}-{question.document}": question.text for question in questions}
    qrels = {f"{question.kind}-{question.document}": {str(question.document): 1} for question in questions}
    return DevSet(queries, texts, qrels)
