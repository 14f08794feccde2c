"""What does an encoder give many texts? All their vectors, sparse or dense, a batch at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder
from lsr.encoders.neural import NeuralEncoder
from lsr.replacing import replace_file
from lsr.sparse import SparseMatrix, concatenate, indptr_of

Vectors = SparseMatrix | NDArray[np.float32]
Count = Callable[[int, int], None]  # called with (done, of how many)


def ignore(done: int, total: int) -> None:
    """A `Count` that does nothing."""


def is_dense(encoder: Encoder) -> bool:
    """Whether its vectors are dense."""
    return isinstance(encoder, NeuralEncoder) and encoder.declaration.dense


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


def both_vectors(
    encoder: Encoder, documents: Sequence[str], queries: Sequence[str], cache: Path | None = None
) -> tuple[Vectors, Vectors]:
    """Vectors of documents and of queries; ``cache`` keeps them for other runs, in half precision.

    A weight too small for that (below 3e-8) is 0 there, and leaves the vector.
    """
    if cache is None:
        return document_vectors(encoder, documents), query_vectors(encoder, queries)
    path = cache / f"vectors-{_key(encoder, documents, queries)}.npz"
    if not path.is_file():
        _write(path, document_vectors(encoder, documents), query_vectors(encoder, queries))
    with np.load(path) as arrays:
        return _read(arrays, "documents"), _read(arrays, "queries")


def _key(encoder: Encoder, *texts: Sequence[str]) -> str:
    digest = hashlib.sha256(encoder.fingerprint.encode())
    for text in chain(*texts):
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()[:32]


def _read(arrays: Any, side: str) -> Vectors:
    if f"{side}.terms" not in arrays:
        return np.asarray(arrays[side], np.float32)
    indptr, terms, dim = (arrays[f"{side}.{name}"] for name in ("indptr", "terms", "dim"))
    weights = arrays[side].astype(np.float32)
    if not (kept := weights != 0).all():
        indptr = indptr_of(np.diff(np.concatenate([[0], np.cumsum(kept)])[indptr]))
        terms, weights = terms[kept], weights[kept]
    return SparseMatrix(indptr, terms, weights, int(dim))


def _write(path: Path, *sides: Vectors) -> None:
    arrays: dict[str, Any] = {}
    for side, vectors in zip(("documents", "queries"), sides, strict=True):
        if isinstance(vectors, SparseMatrix):
            arrays |= {f"{side}.{name}": getattr(vectors, name) for name in ("indptr", "terms", "dim")}
        values = vectors.values if isinstance(vectors, SparseMatrix) else vectors
        arrays[side] = values.astype(np.float16)
    path.parent.mkdir(parents=True, exist_ok=True)

    def save(new: Path) -> None:
        with new.open("wb") as file:
            np.savez(file, **arrays)

    replace_file(path, save)


def _parts(encoder: Encoder, texts: Sequence[str], count: Count) -> Iterator[Sequence[str]]:
    for at in range(0, len(texts), encoder.batch_documents):
        yield texts[at : at + encoder.batch_documents]
        count(min(at + encoder.batch_documents, len(texts)), len(texts))
