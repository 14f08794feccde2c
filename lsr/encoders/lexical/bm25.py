"""How does BM25 become sparse vectors? Saturated counts in documents, IDF in queries."""

from __future__ import annotations

import hashlib
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property, lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import Stemmer
from numpy.typing import NDArray

from lsr.arrays import load_array, save_array
from lsr.corpus.text_parts import Parts
from lsr.corpus.values import NOT_JSON
from lsr.encoders.base import CorpusCounts, Counted, Encoder, Observation, Span, as_texts, total
from lsr.encoders.lexical.words import Word, Words, is_unspaced, plain
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

LEAST = 2  # characters of a word
ANALYSIS = 2  # 1, of older folders: runs of \w, no folding of accents, English only
OLD_WORD = re.compile(r"\w\w+")
BM25, ENGLISH, NONE = "bm25", "english", "none"

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
    (the variant of Lucene 8 and later; Kamphuis et al., ECIR 2020). Words of two characters or more lose case and
    accents, stop words are dropped, the rest is stemmed (Snowball); scripts without spaces give pairs of characters.
    Where parts of a text have weights, ``tf`` and ``length`` count each word as often as its part weighs, before ``tf``
    saturates: BM25F (Robertson, Zaragoza and Taylor, CIKM 2004).

    Args:
        k1: how slowly repeated terms saturate.
        b: how much long documents are held back, 0 to 1.
        language: of stemmer and stop words, one of `languages`; "none" has neither.

    Raises:
        EncoderError: an unknown language.
    """

    name = BM25
    learns = reweighs = vocabulary_grows = True

    def __init__(self, k1: float = 0.9, b: float = 0.4, language: str = ENGLISH) -> None:
        self._start(k1, b, Analysis(language), [])

    def _start(self, k1: float, b: float, analysis: Analysis, stems: list[str]) -> None:
        self.k1, self.b, self.analysis = k1, b, analysis
        self.name = BM25 if analysis.language == ENGLISH else f"{BM25}:{analysis.language}"
        self._documents, self._follows = 0, False
        self._length: int | float = 0  # of all documents together, in terms
        self._df = np.zeros(0, np.int64)
        self._ids = _StemIds(stems, analysis)
        self._writing: list[_StemIds] = []  # stems of documents that are added, which queries do not know yet

    @property
    def learned(self) -> bool:
        """Whether it has seen documents."""
        return self._documents > 0

    def fresh(self) -> BM25Encoder:
        """One with the same settings that has seen no documents, and whose words nobody shares."""
        other = BM25Encoder.__new__(BM25Encoder)
        other._start(self.k1, self.b, self.analysis, [])
        return other

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
        self._documents += len(counts)
        self.__dict__.pop("_idf", None)
        self._length += total(counts)
        return Observation(counts, 0)

    def weigh(self, observed: SparseMatrix) -> SparseMatrix:
        """Document vectors from rows of term counts."""
        tf, sizes = observed.values, np.diff(observed.indptr)
        lengths = _row_sums(tf, observed.indptr)
        norm = self.k1 * (1 - self.b + self.b * lengths / max(self._length / max(self._documents, 1), 1e-9))
        weights = tf / (tf + np.repeat(norm.astype(np.float32), sizes))
        dim = max(self.dim, observed.dim)
        return SparseMatrix(observed.indptr, observed.terms.astype(term_dtype(dim)), weights, dim)

    def seen(self) -> CorpusCounts:
        """Documents, their terms, and document frequencies."""
        return CorpusCounts(self._documents, self._length, self._df)

    def counts(self, texts: Sequence[str]) -> Counted:
        """Term counts, of new stems too."""
        if not self._writing or not self._writing[0].begin_with(self.terms):  # another process has added others
            self._writing[:] = [_StemIds(self.terms, self.analysis)]
        matrix = self._count(texts, learn=True, ids=self._writing[0])
        return Counted(matrix, self._writing[0].stems[len(self.terms) :])

    def encoded_with(self, texts: Sequence[str], counts: SparseMatrix | None) -> Observation:
        """Document vectors from term counts."""
        return Observation(self.weigh(self._count(texts, learn=False) if counts is None else counts), 0)

    def following(self, corpus: CorpusCounts, terms: Sequence[str] = ()) -> BM25Encoder:
        """The same settings over stems, to which ``terms`` are added, with other counts; the words are shared."""
        self._ids.extend(terms)
        other = copy(self)
        other.__dict__.pop("_idf", None)
        other._documents, other._length, other._follows = corpus.documents, corpus.length, True
        other._df = np.zeros(len(self.terms), np.int64)
        known = corpus.frequency[: other._df.size]
        other._df[: known.size] = known
        return other

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors by the statistics learned so far; unknown words are left out."""
        self._require_corpus()
        return self.weigh(self._count(texts, learn=False))

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors: count times IDF."""
        self._require_corpus()
        texts = as_texts(texts)
        if len(texts) == 1:
            return self._query(texts[0])
        counts = self._count(texts, learn=False, document=False)
        return SparseMatrix(counts.indptr, counts.terms, counts.weights * self._idf[counts.terms], self.dim)

    def _query(self, text: str) -> SparseMatrix:
        """The path of a served query: tens of microseconds."""
        self._ids.learn = False
        ids = Counter(map(self._ids.__getitem__, self.analysis.words(text.lower(), document=False)))
        known = self._idf.size  # stems that came later have no documents here
        terms = np.array(sorted(term for term in ids if 0 <= term < known), np.uint32)
        counts = np.array([ids[term] for term in terms.tolist()], np.float32)
        return SparseMatrix.unchecked(np.array([0, terms.size], np.int64), terms, counts * self._idf[terms], self.dim)

    def spans(self, text: str) -> list[Span]:
        """Every word of ``text`` whose stem is in the vocabulary."""
        self._ids.learn = False
        found = ((word, self._ids[word.text.lower()]) for word in self.analysis.placed(text))
        return [Span(word.start, word.end, term) for word, term in found if term >= 0]

    def save(self, folder: Path) -> None:
        """Write bm25.json, vocabulary.txt (a stem a line) and document_frequency.npy."""
        (folder / "bm25.json").write_bytes(msgspec.json.format(msgspec.json.encode(self._settings())))
        (folder / "vocabulary.txt").write_text("\n".join(self.terms), encoding="utf-8")
        save_array(folder / "document_frequency.npy", self._df)

    @classmethod
    def load(cls, folder: Path) -> BM25Encoder:
        """The encoder that `save` wrote into ``folder``.

        Raises:
            EncoderError: a file is missing or damaged.
        """
        try:
            settings = msgspec.json.decode((folder / "bm25.json").read_bytes(), type=_Settings)
            words = (folder / "vocabulary.txt").read_text(encoding="utf-8")
            df = load_array(folder / "document_frequency.npy", "int64")
        except (OSError, ValueError, *NOT_JSON) as error:
            raise EncoderError(f"{folder}: no readable BM25 encoder ({error}); index the corpus again") from None
        stems = words.split("\n") if words else []
        if df.shape != (len(stems),):
            raise EncoderError(f"{folder}: {len(stems):,} stems but {df.size:,} frequencies; index the corpus again")
        if ((df < 0) | (df > settings.documents)).any():
            raise EncoderError(f"{folder}: a stem in fewer than 0 or more than all documents; index the corpus again")
        encoder = cls()
        encoder._start(settings.k1, settings.b, Analysis(settings.language, settings.analysis), stems)
        encoder._documents, encoder._length, encoder._df = int(settings.documents), settings.length, df
        return encoder

    def _settings(self) -> _Settings:
        analysis, length = self.analysis, self._length
        length = int(length) if length == int(length) else length  # equal lengths are written alike
        return _Settings(self.k1, self.b, self._documents, length, analysis.language, analysis.version)

    @cached_property
    def _idf(self) -> NDArray[np.float32]:
        return np.log1p((self._documents - self._df + 0.5) / (self._df + 0.5)).astype(np.float32)

    def _count(
        self, texts: Sequence[str], learn: bool, document: bool = True, ids: _StemIds | None = None
    ) -> SparseMatrix:
        """Rows of term counts; ``learn`` gives new stems an id, otherwise they are left out."""
        stems, parts = self._ids if ids is None else ids, Parts.of(as_texts(texts))
        stems.learn = learn
        words = [self.analysis.words(text.lower(), document) for text in parts.texts]
        sizes = np.fromiter(map(len, words), np.int64, len(words))
        numbers = np.fromiter(map(stems.__getitem__, chain.from_iterable(words)), np.int64, int(sizes.sum()))
        rows = np.repeat(parts.rows, sizes)
        known = (numbers >= 0) & (numbers < (2**32 if learn else self._df.size))
        weights = None if parts.weights is None else np.repeat(parts.weights, sizes)[known]
        keys, counts = _counted(rows[known] << 32 | numbers[known], weights)
        indptr = indptr_of(np.bincount(keys >> 32, minlength=len(parts.counts)))
        return SparseMatrix(
            indptr, (keys & 0xFFFFFFFF).astype(np.uint32), counts.astype(np.float32), max(1, len(stems.stems))
        )

    def _require_corpus(self) -> None:
        if not (self._documents or self._follows):  # a collection may have lost its last document
            raise EncoderError("this BM25 encoder has seen no documents: observe a corpus first, or load a saved one")


class _Settings(msgspec.Struct, frozen=True, omit_defaults=True):
    """What bm25.json holds; the last two are missing in folders of the first analysis."""

    k1: float
    b: float
    documents: float
    length: float
    language: str = ENGLISH
    analysis: int = 1


class Analysis:
    """From text to words, and from a word to its stem.

    Args:
        language: one of `languages`, or its code of ISO 639-1.
        version: `ANALYSIS`, or 1 as older folders want it.

    Raises:
        EncoderError: an unknown language or version.
    """

    def __init__(self, language: str = ENGLISH, version: int = ANALYSIS) -> None:
        language = sys.intern(CODES.get(language.lower(), language.lower()))  # fingerprints leave out the very default
        if language not in languages():
            wanted = f"{', '.join(languages())}, or a code such as de"
            raise EncoderError(f"unknown language {language!r}: wanted one of {wanted}")
        if version not in (1, ANALYSIS):
            raise EncoderError(
                f"analysis {version} of words: this lsr knows 1 to {ANALYSIS}; use the one that wrote it"
            )
        self.language, self.version = language, version
        self.stop_words = _stop_words(language)
        self._stem = None if language == NONE else Stemmer.Stemmer(language).stemWord
        self._words = Words(underscores=True, least=LEAST)

    def words(self, text: str, document: bool) -> list[str]:
        """The words of a text in lower case."""
        return OLD_WORD.findall(text) if self.version == 1 else self._words.of(text, document)

    def placed(self, text: str) -> Iterator[Word]:
        """The words of a document with their places."""
        if self.version == 1:
            return (Word(*match.span(), match[0]) for match in OLD_WORD.finditer(text))
        return self._words.placed(text)

    def stem(self, word: str) -> str | None:
        """The stem of a word in lower case; None for stop words and lone characters."""
        if self.version > 1:
            word = plain(word)
            if len(word) < LEAST and not is_unspaced(word):
                return None
        if word in self.stop_words:
            return None
        return self._stem(word) if self._stem else word


CODES = {
    **{
        "ar": "arabic",
        "ca": "catalan",
        "cs": "czech",
        "da": "danish",
        "de": "german",
        "el": "greek",
        "en": ENGLISH,
        "eo": "esperanto",
    },
    **{
        "es": "spanish",
        "et": "estonian",
        "eu": "basque",
        "fa": "persian",
        "fi": "finnish",
        "fr": "french",
        "ga": "irish",
        "hi": "hindi",
    },
    **{"hu": "hungarian", "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "ne": "nepali"},
    **{
        "nl": "dutch",
        "no": "norwegian",
        "pl": "polish",
        "pt": "portuguese",
        "ro": "romanian",
        "ru": "russian",
        "sr": "serbian",
    },
    **{"st": "sesotho", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish"},
}


def languages() -> list[str]:
    """Those with a stemmer, in order, and "none"."""
    return [*sorted(Stemmer.algorithms()), NONE]


@lru_cache(maxsize=8)
def _stop_words(language: str) -> frozenset[str]:
    """Stop words without accents; none where nobody keeps a list."""
    from stop_words import StopWordError, get_stop_words

    if language == ENGLISH:
        return STOP_WORDS
    try:
        return frozenset(map(plain, get_stop_words(language)))
    except StopWordError:
        return frozenset()


class _StemIds(dict[str, int]):
    """Word to the id of its stem, remembered; -1 for stop words and, unless ``learn``, for unknown stems."""

    def __init__(self, stems: list[str], analysis: Analysis) -> None:
        super().__init__()
        self.stems, self.learn = list[str](), False
        self._of_stem: dict[str, int] = {}
        self._equal = 0
        self.extend(stems)
        self._stem = analysis.stem

    def extend(self, stems: Sequence[str]) -> None:
        """Add stems that are new, in order."""
        for stem in stems:
            if self._of_stem.setdefault(stem, len(self.stems)) == len(self.stems):
                self.stems.append(stem)

    def begin_with(self, stems: Sequence[str]) -> bool:
        """Whether ``stems`` are the first ones; what was found equal once is not compared again."""
        same = self.stems[self._equal : len(stems)] == list(stems[self._equal :])
        self._equal = len(stems) if same else 0
        return same

    def __missing__(self, word: str) -> int:
        stem = self._stem(word)
        if stem is None:
            self[word] = -1
            return -1
        term = self._of_stem.get(stem, -1)
        if term < 0 and self.learn:
            term = self._of_stem[stem] = len(self.stems)
            self.stems.append(stem)
        if term >= 0:
            self[word] = term
        return term


def _counted(keys: NDArray[np.int64], weights: NDArray[np.float64] | None) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Distinct keys, and how often each occurs, or the sum of its weights."""
    if weights is None:
        return np.unique(keys, return_counts=True)
    distinct, places = np.unique(keys, return_inverse=True)
    return distinct, np.bincount(places, weights, distinct.size)


def _row_sums(values: NDArray[np.float32], indptr: NDArray[np.int64]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return np.asarray(sums[indptr[1:]] - sums[indptr[:-1]])
