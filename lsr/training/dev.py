"""How good is the student now? nDCG@10 on a judged collection, or on pairs held out, searched by our own index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lsr.corpus import DocumentReader
from lsr.errors import TrainingError
from lsr.eval import evaluate, load_collection, parse_measures
from lsr.eval.collection import Qrels
from lsr.index import WindowedIndex
from lsr.sparse import SparseMatrix
from lsr.training.student import Student
from lsr.training.token_store import TokenStore

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


class DevMeter:
    """Tokenises a dev set once and measures students on it.

    Args:
        dev: what to measure on.
        student: gives tokenizer and sides.
    """

    def __init__(self, dev: DevSet, student: Student) -> None:
        self._dev = dev
        document, asking = student.source.document, student.source.asking
        self._documents = TokenStore(list(dev.documents.values()), document.tokenizer, student.document.side)
        self._queries = TokenStore(list(dev.queries.values()), asking.tokenizer, student.query.side)

    def measure(self, student: Student, k: int = 0) -> Measured:
        """Encode, index and search exactly; ``k`` as in `Student.vectors`."""
        training = student.training
        student.eval()
        documents, queries = student.vectors(self._documents, False, k), student.vectors(self._queries, True, k)
        student.train(training)
        queries = student.in_corpus(queries, self._documents)
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
