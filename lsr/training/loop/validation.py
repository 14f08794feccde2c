"""How good is the student now? nDCG@10 on judged collections, or on pairs held out, searched by our own index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lsr.corpus import DocumentReader
from lsr.errors import TrainingError
from lsr.eval import evaluate, load_collection, parse_measures
from lsr.eval.collections.collection import Qrels
from lsr.index import WindowedIndex
from lsr.sparse import SparseMatrix
from lsr.training.data.token_store import TokenStore
from lsr.training.student.student import Student

DEPTH = 10


@dataclass(frozen=True)
class DevSet:
    """Queries and documents by id, and which answer which."""

    queries: dict[str, str]
    documents: dict[str, str]
    qrels: Qrels


class Measured(NamedTuple):
    """Mean nDCG@10, terms a document and a query, and the mean number of terms that both have."""

    ndcg: float
    document_terms: float
    query_terms: float
    flops: float


def read_dev(path: Path, split: str | None = None) -> DevSet:
    """A BEIR folder or zip.

    Raises:
        InputError: it cannot be read.
        TrainingError: it holds no documents.
    """
    collection = load_collection(path, split)
    documents = {document.id: document.full_text for document in DocumentReader([path])}
    if not documents:
        raise TrainingError(f"{path} holds no documents to measure on")
    return DevSet(collection.queries, documents, collection.qrels)


def read_devs(places: Sequence[str | Path]) -> dict[str, DevSet]:
    """Judged collections by name, each given as PATH or PATH:SPLIT.

    Raises:
        InputError: one cannot be read.
        TrainingError: one holds no documents, or two have one name.
    """
    found: dict[str, DevSet] = {}
    for place in map(str, places):
        path, _, split = (place, "", "") if Path(place).exists() else place.rpartition(":")
        name = Path(path or place).stem + (f":{split}" if split else "")
        if name in found:
            raise TrainingError(f"two dev sets are called {name!r}: wanted different files or splits")
        found[name] = read_dev(Path(path or place), split if path and split else None)
    return found


class DevMeter:
    """Tokenises dev sets once and measures students on them.

    Args:
        dev: what to measure on, one or several by name.
        student: gives tokenizer and sides.
    """

    def __init__(self, dev: DevSet | Mapping[str, DevSet], student: Student) -> None:
        sets = {"dev": dev} if isinstance(dev, DevSet) else dev
        self.sets = {name: Tokenised(one, student) for name, one in sets.items()}

    def measure(self, student: Student, k: int = 0) -> dict[str, Measured]:
        """What each set says; ``k`` as in `Student.vectors`."""
        return {name: one.measure(student, k) for name, one in self.sets.items()}


def mean(found: Mapping[str, Measured]) -> Measured:
    """The mean over sets, each counting as one."""
    return Measured(*(sum(values) / len(found) for values in zip(*found.values(), strict=True)))


class Tokenised:
    """One dev set.

    Attributes:
        documents: tokens of its documents.
        queries: tokens of its queries.
    """

    def __init__(self, dev: DevSet, student: Student) -> None:
        self._dev = dev
        document, query_side = student.source.document, student.source.query_side
        self.documents = TokenStore(list(dev.documents.values()), document.tokenizer, student.document.side)
        self.queries = TokenStore(list(dev.queries.values()), query_side.tokenizer, student.query.side)

    def measure(self, student: Student, k: int = 0) -> Measured:
        """Encode, index and search exactly."""
        training = student.training
        student.eval()
        documents, queries = student.vectors(self.documents, False, k), student.vectors(self.queries, True, k)
        student.train(training)
        return self.judge(documents, student.in_corpus(queries, self.documents))

    def judge(self, documents: SparseMatrix, queries: SparseMatrix) -> Measured:
        """Index and search vectors of its documents and queries, however they were made."""
        found = WindowedIndex.build(documents).search(queries, DEPTH, exact=True)
        names, run = list(self._dev.documents), {}
        for i, query in enumerate(self._dev.queries):
            hits = zip(found.rows[i].tolist(), found.scores[i].tolist(), strict=True)
            run[query] = [(names[row], score) for row, score in hits if row >= 0]
        ndcg = evaluate(self._dev.qrels, run, parse_measures(["nDCG@10"])).mean["nDCG@10"]
        return Measured(ndcg, documents.nnz / len(documents), queries.nnz / len(queries), _flops(documents, queries))


def _flops(documents: SparseMatrix, queries: SparseMatrix) -> float:
    shares = [np.bincount(m.terms.astype(np.int64), minlength=m.dim) / len(m) for m in (documents, queries)]
    return float(shares[0] @ shares[1])
