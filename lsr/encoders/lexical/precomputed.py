"""What takes the encoder's place where vectors come from elsewhere? A vocabulary; text is tokens of it, counted."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import msgspec

from lsr.corpus.values import MOST_DIGITS, NOT_JSON
from lsr.encoders.base import CorpusCounts, Encoder, Span, as_texts
from lsr.errors import EncoderError
from lsr.formats import Vocabulary
from lsr.sparse import SparseMatrix

FILE = "vectors.json"


class PrecomputedVectors(Encoder):
    """Stands for the unknown maker of vectors, as Pyserini's ``--pretokenized`` does.

    A text is read as tokens between white space; a token that occurs n times weighs n, an unknown one nothing.

    Args:
        vocabulary: names of the terms, or numbers only.
    """

    name = "given vectors"

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    @property
    def named(self) -> bool:
        """Whether terms have names."""
        return self._vocabulary.named

    @property
    def terms(self) -> Sequence[str]:
        """Names, or numbers as text."""
        return self._vocabulary

    @property
    def dim(self) -> int:
        """Number of terms, at least 1."""
        return self._vocabulary.dim

    @cached_property
    def fingerprint(self) -> str:
        """Hash of the vocabulary: all that is known."""
        return hashlib.sha256(self._content()).hexdigest()

    def following(self, corpus: CorpusCounts, terms: Sequence[str] = ()) -> PrecomputedVectors:
        """The same with more terms: names, or numbers where terms have none."""
        del corpus
        if not self.named:
            self._vocabulary.widen(self.dim + len(terms))
        elif terms:
            self._numbers.update(zip(terms, self._vocabulary.learn(terms), strict=True))
        return self

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Counted tokens, as for queries."""
        return self.encode_queries(texts)

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Counted tokens."""
        rows = [Counter(self._number(token) for token in text.split()) for text in as_texts(texts)]
        return SparseMatrix.from_dicts([{t: n for t, n in row.items() if t >= 0} for row in rows], self.dim)

    def spans(self, text: str) -> list[Span]:
        """Where tokens of the vocabulary stand."""
        found = ((match, self._number(match[0])) for match in re.finditer(r"\S+", text))
        return [Span(match.start(), match.end(), term) for match, term in found if term >= 0]

    def save(self, folder: Path) -> None:
        """Write the vocabulary."""
        (folder / FILE).write_bytes(self._content())

    @classmethod
    def load(cls, folder: Path) -> PrecomputedVectors:
        """What `save` wrote.

        Raises:
            EncoderError: the file is damaged.
        """
        vocabulary = Vocabulary()
        try:
            saved = msgspec.json.decode((folder / FILE).read_bytes(), type=_Saved)
        except (OSError, *NOT_JSON) as error:
            raise EncoderError(f"{folder / FILE} cannot be read ({error}): index the vectors again") from None
        if saved.terms is None:
            vocabulary.widen(saved.dim)
        else:
            vocabulary.learn(saved.terms)
        return cls(vocabulary)

    def _content(self) -> bytes:
        return msgspec.json.encode(_Saved(self.dim, list(self._vocabulary) if self._vocabulary.named else None))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self._vocabulary)}

    def _number(self, token: str) -> int:
        """The term, or -1."""
        if self._vocabulary.named:
            return self._numbers.get(token, -1)
        number = int(token) if len(token) <= MOST_DIGITS and token.isascii() and token.isdigit() else -1
        return number if number < self.dim else -1


class _Saved(msgspec.Struct, frozen=True):
    dim: int
    terms: list[str] | None
