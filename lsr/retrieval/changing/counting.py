"""What does an encoder know of the documents that are there now? Kept exact, whatever is added and deleted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lsr.encoders import Encoder
from lsr.encoders.base import CorpusCounts, Counted, total
from lsr.errors import StorageError
from lsr.index import Corpus, Generation
from lsr.index.storage.catalogue import WAY_OUT
from lsr.sparse import SparseMatrix

NOTHING = CorpusCounts(0, 0, np.zeros(0, np.int64))


def difference(new: SparseMatrix | None, old: SparseMatrix | None) -> Corpus:
    """What counts change by when texts with the counts ``new`` come and those with ``old`` go."""
    dim = max(1 if matrix is None else matrix.dim for matrix in (new, old))
    change, documents = np.zeros(dim, np.int64), 0
    length: int | float = 0
    for matrix, sign in ((new, 1), (old, -1)):
        if matrix is not None:
            change += sign * np.bincount(matrix.terms, minlength=dim)
            documents += sign * len(matrix)
            length += sign * total(matrix)
    terms = np.flatnonzero(change)
    return Corpus(documents, length, terms.astype(np.uint32).tobytes(), change[terms].tobytes())


def with_change(counts: CorpusCounts, change: Corpus) -> CorpusCounts:
    """Counts after a change."""
    terms = np.frombuffer(change.terms, np.uint32)
    size = max(counts.frequency.size, int(terms.max(initial=0)) + 1)
    frequency: NDArray[np.int64] = np.zeros(size, np.int64)
    frequency[: counts.frequency.size] = counts.frequency
    frequency[terms] += np.frombuffer(change.counts, np.int64)
    return CorpusCounts(counts.documents + change.documents, counts.length + change.length, frequency)


class Counts:
    """The counts of the documents of a collection by generation; the last ones are remembered.

    Args:
        start: what the saved encoder has seen, as in indexes of format 2; None where it counts nothing.
    """

    def __init__(self, start: CorpusCounts | None) -> None:
        self._start, self._number, self._known = start, -1, NOTHING

    def at(self, generation: Generation) -> CorpusCounts | None:
        """The counts at a generation; None where the encoder counts nothing.

        Raises:
            StorageError: damage.
        """
        corpora, number = generation.summary.corpora, generation.number
        if not corpora:
            return self._start
        since, counts = self._number, self._known
        if not generation.summary.oldest <= since <= number:  # records before were folded, or it is older
            since, counts = -1, self._start or NOTHING
        for made, change in corpora.items():
            if since < made <= number:
                counts = with_change(counts, change)
        if counts.documents < 0 or counts.length < 0 or (counts.frequency < 0).any():
            raise StorageError(f"{generation.folder} is damaged (it counts fewer than no documents): {WAY_OUT}")
        self._number, self._known = number, counts
        return counts


def corpus_of(encoder: Encoder) -> tuple[Corpus | None, Sequence[str]]:
    """What an encoder has counted in the corpus that it has seen, and the terms that it found there.

    None where it learns nothing; terms are none where they are the encoder's own.
    """
    seen = encoder.seen()
    if seen is None:
        return None, ()
    terms = np.flatnonzero(seen.frequency)
    counts = Corpus(seen.documents, seen.length, terms.astype(np.uint32).tobytes(), seen.frequency[terms].tobytes())
    return counts, encoder.terms if encoder.vocabulary_grows else ()


def counted(encoder: Encoder, texts: Sequence[str]) -> Counted | None:
    """What ``encoder`` counts in ``texts``; None where it learns nothing, or there are none."""
    return encoder.counts(texts) if texts and encoder.learns else None
