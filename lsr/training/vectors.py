"""What does an encoder give many texts? All their vectors, sparse or dense, a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder
from lsr.encoders.neural import NeuralEncoder
from lsr.sparse import SparseMatrix, concatenate

Vectors = SparseMatrix | NDArray[np.float32]
Count = Callable[[int, int], None]  # hears (done, of how many)


def ignore(done: int, total: int) -> None:
    """A `Count` that hears nothing."""


def is_dense(encoder: Encoder) -> bool:
    """Whether its vectors are dense."""
    return isinstance(encoder, NeuralEncoder) and encoder.declaration.document.dense


def document_vectors(encoder: Encoder, texts: Sequence[str], count: Count = ignore) -> Vectors:
    """Vectors of documents, one row each, float32[N, H] or sparse; "bm25" learns its statistics from them."""
    if isinstance(encoder, NeuralEncoder) and is_dense(encoder):
        return np.concatenate([encoder.encode_dense(part) for part in _parts(encoder, texts, count)])
    return encoder.weigh(concatenate([encoder.observe(part).matrix for part in _parts(encoder, texts, count)]))


def query_vectors(encoder: Encoder, texts: Sequence[str]) -> Vectors:
    """Vectors of queries, one row each."""
    if isinstance(encoder, NeuralEncoder) and is_dense(encoder):
        return encoder.encode_dense(texts, query=True)
    return encoder.encode_queries(texts)


def _parts(encoder: Encoder, texts: Sequence[str], count: Count) -> Iterator[Sequence[str]]:
    for at in range(0, len(texts), encoder.batch_documents):
        yield texts[at : at + encoder.batch_documents]
        count(min(at + encoder.batch_documents, len(texts)), len(texts))
