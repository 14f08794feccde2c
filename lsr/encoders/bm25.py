"""How does BM25 become sparse vectors? Saturated counts in documents, IDF in queries."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np
import Stemmer
from numpy.typing import NDArray

from lsr.encoders.base import Encoder, Observation, Span
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

WORD = re.compile(r"\w\w+")

# Function words of English: the classic short list of Lucene's English analysis.
STOP_WORDS = frozenset(
    [
        "a",
        "an",
        "and",
        "are",
        "as",
        "at",
        "be",
        "but",
        "by",
        "for",
        "if",
        "in",
        "into",
        "is",
        "it",
        "no",
        "not",
        "of",
        "on",
        "or",
        "such",
        "that",
        "the",
        "their",
        "then",
        "there",
        "these",
        "they",
        "this",
        "to",
        "was",
        "will",
        "with",
    ]
)


class BM25Encoder(Encoder):
    """BM25 over word stems: needs no model, learns vocabulary and statistics from the corpus it indexes.

    The weight of a term in a document is ``tf / (tf + k1 * (1 - b + b * length / mean length))`` and in a query
    ``count * ln(1 + (N - df + 0.5) / (df + 0.5))``; their product is the BM25 score without the constant ``k1 + 1``
    (the variant of Lucene 8 and later; Kamphuis et al., ECIR 2020). Words of two characters or more are lower-cased,
    English stop words dropped, the rest stemmed (Snowball, English).

    Args:
        k1: how slowly repeated terms saturate.
        b: how much long documents are held back, 0 to 1.
    """

    name = "bm25"
    learns = True

    def __init__(self, k1: float = 0.9, b: float = 0.4) -> None:
        self.k1, self.b = k1, b
        self._documents = 0
        self._length = 0  # of all documents together, in terms
        self._df = np.zeros(0, np.int64)
        self._ids = _StemIds([])

    @property
    def terms(self) -> list[str]:
        """Stems in order of first appearance."""
        return self._ids.stems

    @property
    def dim(self) -> int:
        """Number of stems seen, at least 1."""
        return max(1, len(self.terms))

    @property
    def fingerprint(self) -> str:
        """Hash of parameters, vocabulary and statistics."""
        digest = hashlib.sha256(msgspec.json.encode([self._settings(), self.terms]))
        digest.update(self._df.tobytes())
        return f"bm25-{digest.hexdigest()[:32]}"

    def observe(self, texts: Sequence[str]) -> Observation:
        """Learn from a batch: new stems, document frequencies, lengths. The rows hold term counts."""
        counts = self._count(texts, learn=True)
        self._df = np.concatenate([self._df, np.zeros(len(self.terms) - self._df.size, np.int64)])
        self._df += np.bincount(counts.terms, minlength=self._df.size)
        self._documents += len(texts)
        self._length += int(counts.weights.sum(dtype=np.float64))
        return Observation(counts, 0)

    def weigh(self, observed: SparseMatrix) -> SparseMatrix:
        """Document vectors from rows of term counts."""
        tf, sizes = observed.values, np.diff(observed.indptr)
        lengths = _row_sums(tf, observed.indptr)
        norm = self.k1 * (1 - self.b + self.b * lengths / max(self._length / max(self._documents, 1), 1e-9))
        weights = tf / (tf + np.repeat(norm.astype(np.float32), sizes))
        return SparseMatrix(observed.indptr, observed.terms.astype(term_dtype(self.dim)), weights, self.dim)

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors by the statistics learned so far; unknown words are left out."""
        self._require_corpus()
        return self.weigh(self._count(texts, learn=False))

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors: count times IDF."""
        self._require_corpus()
        counts = self._count(texts, learn=False)
        return SparseMatrix(counts.indptr, counts.terms, counts.weights * self._idf()[counts.terms], self.dim)

    def spans(self, text: str) -> list[Span]:
        """Every word of ``text`` whose stem is in the vocabulary."""
        found = ((match, self._ids[match.group().lower()]) for match in WORD.finditer(text))
        return [Span(match.start(), match.end(), term) for match, term in found if term >= 0]

    def save(self, folder: Path) -> None:
        """Write bm25.json, vocabulary.txt (a stem a line) and document_frequency.npy."""
        (folder / "bm25.json").write_bytes(msgspec.json.format(msgspec.json.encode(self._settings())))
        (folder / "vocabulary.txt").write_text("\n".join(self.terms), encoding="utf-8")
        np.save(folder / "document_frequency.npy", self._df)

    @classmethod
    def load(cls, folder: Path) -> BM25Encoder:
        """The encoder that `save` wrote into ``folder``.

        Raises:
            EncoderError: a file is missing or damaged.
        """
        try:
            settings = msgspec.json.decode((folder / "bm25.json").read_bytes(), type=dict[str, float])
            words = (folder / "vocabulary.txt").read_text(encoding="utf-8")
            df = np.load(folder / "document_frequency.npy", allow_pickle=False)
            encoder = cls(settings["k1"], settings["b"])
            encoder._documents, encoder._length = int(settings["documents"]), int(settings["length"])
        except (OSError, ValueError, KeyError, msgspec.MsgspecError) as error:
            raise EncoderError(f"{folder}: no readable BM25 encoder ({error}); index the corpus again") from None
        stems = words.split("\n") if words else []
        if df.shape != (len(stems),):
            raise EncoderError(f"{folder}: {len(stems):,} stems but {df.size:,} frequencies; index the corpus again")
        encoder._df = df
        encoder._ids = _StemIds(stems)
        return encoder

    def _settings(self) -> dict[str, float]:
        return {"k1": self.k1, "b": self.b, "documents": self._documents, "length": self._length}

    def _idf(self) -> NDArray[np.float32]:
        return np.log1p((self._documents - self._df + 0.5) / (self._df + 0.5)).astype(np.float32)

    def _count(self, texts: Sequence[str], learn: bool) -> SparseMatrix:
        """Rows of term counts; ``learn`` gives new stems an id, otherwise they are left out."""
        self._ids.learn = learn
        words = [WORD.findall(text.lower()) for text in texts]
        sizes = np.fromiter(map(len, words), np.int64, len(words))
        ids = np.fromiter(map(self._ids.__getitem__, chain.from_iterable(words)), np.int64, int(sizes.sum()))
        rows = np.repeat(np.arange(len(words)), sizes)
        known = ids >= 0
        keys, counts = np.unique(rows[known] << 32 | ids[known], return_counts=True)
        indptr = indptr_of(np.bincount(keys >> 32, minlength=len(words)))
        return SparseMatrix(indptr, (keys & 0xFFFFFFFF).astype(np.uint32), counts.astype(np.float32), self.dim)

    def _require_corpus(self) -> None:
        if not self._documents:
            raise EncoderError("this BM25 encoder has seen no documents: observe a corpus first, or load a saved one")


class _StemIds(dict[str, int]):
    """Word to the id of its stem, remembered; -1 for stop words and, unless ``learn``, for unknown stems."""

    def __init__(self, stems: list[str]) -> None:
        super().__init__(dict.fromkeys(STOP_WORDS, -1))
        self.stems = stems
        self.learn = False
        self._of_stem = {stem: i for i, stem in enumerate(stems)}
        self._stem = Stemmer.Stemmer("english").stemWord

    def __missing__(self, word: str) -> int:
        stem = self._stem(word)
        term = self._of_stem.get(stem, -1)
        if term < 0 and self.learn:
            term = self._of_stem[stem] = len(self.stems)
            self.stems.append(stem)
        if term >= 0:
            self[word] = term
        return term


def _row_sums(values: NDArray[np.float32], indptr: NDArray[np.int64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(sums[indptr[1:]] - sums[indptr[:-1]])
