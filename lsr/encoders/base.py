"""What can every encoder do?"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus.values import is_unicode
from lsr.errors import InputError
from lsr.sparse import SparseMatrix


class Observation(NamedTuple):
    """What one pass over a batch of documents gave."""

    matrix: SparseMatrix
    truncated: int


class Span(NamedTuple):
    """Characters ``start`` to ``end`` of a text stand for ``term``."""

    start: int
    end: int
    term: int


class Origin(NamedTuple):
    """One term of a vector, and the characters [start, end) of the token that gave it; -1 where no single one did."""

    term: int
    weight: float
    start: int
    end: int


def as_texts(texts: str | Sequence[str]) -> Sequence[str]:
    """``texts`` as a sequence: a single text is one; half a surrogate pair becomes the character U+FFFD.

    Raises:
        InputError: something that is no text.
    """
    if isinstance(texts, str):
        texts = [texts]
    for at, text in enumerate(texts):
        if not isinstance(text, str):
            raise InputError(f"text {at} is {text!r:.60}: wanted a str")
    if all(text.isascii() or is_unicode(text) for text in texts):
        return texts
    return [
        text if is_unicode(text) else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for text in texts
    ]


def total(counts: SparseMatrix) -> int | float:
    """The sum of counts; a whole number where no part of a text has a weight."""
    found = float(counts.values.sum(dtype=np.float64))
    return int(found) if found.is_integer() else found


class CorpusCounts(NamedTuple):
    """What an encoder that learns knows of the documents that are there now.

    Attributes:
        documents: how many.
        length: terms of all of them together, repeated ones each time, times the weights of their parts.
        frequency: int64[V], documents that hold each term; later terms are in none.
    """

    documents: int
    length: int | float
    frequency: NDArray[np.int64]


class Counted(NamedTuple):
    """What an encoder that learns counts in some texts.

    Attributes:
        matrix: a row of counts for each text, times the weights of its parts.
        terms: names that are new to the vocabulary; they follow those that are in it.
    """

    matrix: SparseMatrix
    terms: list[str]


class Encoder(ABC):
    """Text to sparse vectors, for documents and for queries.

    Indexing a corpus takes two steps, so that an encoder may learn from all documents before it weighs the first:
    ``observe`` each batch, then ``weigh`` the stored results. For an encoder that learns nothing, ``observe`` is
    ``encode_documents`` and ``weigh`` changes nothing.

    Texts of documents may have parts that weigh differently (`lsr.corpus.text_parts.WeightedText`). An encoder that
    counts words counts each as often as its part weighs; any other takes of each term the largest weight of all parts.

    Attributes:
        name: what a person calls it.
        batch_documents: documents that are worth encoding together; progress moves at this pace.
        learns: whether ``observe`` changes the encoder.
        learned: whether it has done so.
        vocabulary_grows: whether new words of a corpus become terms.
        reweighs: whether vectors of documents depend on what was counted in others.
    """

    name: str
    batch_documents: int = 1024
    learns: bool = False
    vocabulary_grows: bool = False
    reweighs: bool = False

    @property
    def learned(self) -> bool:
        """Whether a corpus has changed the encoder."""
        return False

    @property
    def longest(self) -> int | None:
        """Word-pieces of a document that are read at once, special ones included; None where that has no end."""
        return None

    def hashed(self, term: int) -> bool:
        """Whether words without a name of their own share ``term``."""
        return False

    def fresh(self) -> Encoder:
        """The same encoder without what it learned from a corpus; itself where it never learns."""
        return self

    def __repr__(self) -> str:
        """Name, and whether it has learned."""
        return f"<{type(self).__name__} {self.name!r}{', learned from a corpus' if self.learned else ''}>"

    @property
    @abstractmethod
    def terms(self) -> Sequence[str]:
        """The vocabulary: the name of every term id."""

    @property
    def dim(self) -> int:
        """Number of terms in the vocabulary."""
        return len(self.terms)

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of everything that decides the vectors; two encoders with one fingerprint give equal vectors."""

    @abstractmethod
    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors, one row a text."""

    @abstractmethod
    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors, one row a text; a text without known terms is an empty row."""

    @abstractmethod
    def spans(self, text: str) -> list[Span]:
        """Where terms of the vocabulary stand literally in ``text``, in order."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write everything that ``load`` needs into the empty folder ``folder``."""

    def explain(self, text: str, query: bool = False) -> list[Origin]:
        """Every term of the vector of ``text``, heaviest first, with the place of the token that gave it."""
        matrix = self.encode_queries([text]) if query else self.encode_documents([text])
        places = {span.term: (span.start, span.end) for span in reversed(self.spans(text))}
        return by_weight(matrix, [places.get(term, (-1, -1)) for term in matrix.terms.tolist()])

    def observe(self, texts: Sequence[str]) -> Observation:
        """First step over a batch of a corpus."""
        return self.encoded(texts)

    def encoded(self, texts: Sequence[str]) -> Observation:
        """Document vectors as `encode_documents` gives them, and how many texts were truncated."""
        return Observation(self.encode_documents(texts), 0)

    def seen(self) -> CorpusCounts | None:
        """What was counted in the corpus that `observe` has seen; None for an encoder that learns nothing."""
        return None

    def counts(self, texts: Sequence[str]) -> Counted | None:
        """What an encoder that learns counts in texts; None for others. Give ``terms`` to `following` to keep them."""
        del texts
        return None

    def encoded_with(self, texts: Sequence[str], counts: SparseMatrix | None) -> Observation:
        """Document vectors by the counts known so far, of texts whose ``counts`` are these; and texts truncated."""
        del counts
        return self.encoded(texts)

    def following(self, corpus: CorpusCounts, terms: Sequence[str] = ()) -> Encoder:
        """The same encoder, whose queries follow these counts; ``terms`` join its vocabulary."""
        del corpus, terms
        return self

    def weigh(self, observed: SparseMatrix) -> SparseMatrix:
        """Second step: document vectors from observed rows, after the whole corpus was observed."""
        return observed


def by_weight(row: SparseMatrix, places: Sequence[tuple[int, int]]) -> list[Origin]:
    """The terms of a matrix of one row with their places, heaviest first."""
    found = zip(row.terms.tolist(), row.values.tolist(), places, strict=True)
    return sorted((Origin(term, weight, *place) for term, weight, place in found), key=lambda o: (-o.weight, o.term))
