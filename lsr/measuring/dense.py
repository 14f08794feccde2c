"""How are dense vectors kept and searched, to compare with? In parts that survive a kill, every one scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import StorageError
from lsr.index import TopK
from lsr.replacing import save_array

PART = 256  # documents; lost at most when killed
BLOCK = 64  # queries scored at a time


@dataclass(frozen=True)
class DenseVectors:
    """Query vectors float32[N, H] as `lsr.eval.measure_efficiency` wants them."""

    values: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.values)

    def slice(self, start: int, stop: int) -> DenseVectors:
        """Some of the rows."""
        return DenseVectors(self.values[start:stop])

    @property
    def nnz(self) -> int:
        """Numbers of all rows."""
        return int(self.values.size)


def encode_documents(
    encoder: Any, texts: Sequence[str], folder: Path, progress: Callable[[int], None]
) -> NDArray[np.float32]:
    """float32[N, H]: what ``encoder.encode_dense`` gives, a part at a time; parts that are there are read.

    Args:
        encoder: dense.
        texts: the same at every start; ``folder`` is for them and this encoder alone.
        folder: of the parts.
        progress: called with the number of documents done.

    Raises:
        StorageError: a part is damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for start in range(0, len(texts), PART):
        parts.append(_part(encoder, texts[start : start + PART], folder / f"part-{start:09d}.npy"))
        progress(min(len(texts), start + PART))
    return np.concatenate(parts)


def _part(encoder: Any, texts: Sequence[str], path: Path) -> NDArray[np.float32]:
    if not path.is_file():
        save_array(path, encoder.encode_dense(texts))
    try:
        found: NDArray[np.float32] = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise StorageError(f"{path} is damaged ({error}); delete it to encode its documents again") from None
    if len(found) != len(texts):
        raise StorageError(f"{path} holds {len(found)} vectors, wanted {len(texts)}; delete it to encode them again")
    return found


def search_dense(documents: NDArray[np.float32], queries: NDArray[np.float32], k: int) -> TopK:
    """The best k documents of each query by inner product, ties to the lower row; k is cut to their number.

    ``documents`` is float32[N, D], ``queries`` float32[Q, D].
    """
    k = min(k, len(documents))
    found = TopK(np.zeros((len(queries), k), np.int64), np.zeros((len(queries), k), np.float32))
    for start in range(0, len(queries), BLOCK):
        for i, scores in enumerate(queries[start : start + BLOCK] @ documents.T, start):
            floor = np.partition(scores, -k)[-k]
            rows = np.flatnonzero(scores >= floor)
            found.rows[i] = rows[np.argsort(-scores[rows], kind="stable")[:k]]
            found.scores[i] = scores[found.rows[i]]
    return found
