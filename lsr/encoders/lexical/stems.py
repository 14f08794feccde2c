"""Which terms does a text hold when terms are stems of words? Frequent stems by name, all others in numbered buckets.

A vocabulary of stems matches "computers" with "computing" without any network, keeps a rare word whole where
word-pieces break it up, and has a place for every word there is: hashed ones share a bucket with few others.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import Stemmer
from numpy.typing import NDArray

from lsr.encoders.lexical.bm25 import STOP_WORDS
from lsr.encoders.lexical.words import Words, plain
from lsr.errors import EncoderError

WORDS = Words()
NO_TERM = -1
K1, B = 0.9, 0.4  # of the BM25 that encoders of stems start from

# Function words of English: pronouns, auxiliary verbs, question words, particles.
FUNCTION_WORDS = STOP_WORDS.union(
    """
    about above after again against all also am any been before being below between both can cannot could d did do
    does doing down during each every few from further had has have having he her here hers herself him himself
    his how i its itself just ll m many may me might more most much must my myself nor now off once one only other
    our ours ourselves out over own re s same shall she should so some t than theirs them themselves those through
    too under until up upon us ve very we were what when where which while who whom why would you your yours
    yourself yourselves
    """.split()  # noqa: SIM905
)

stem = Stemmer.Stemmer("english").stemWord  # of a folded word


def counted_once(stems: int | NDArray[np.int64], mean: float) -> NDArray[np.float64]:
    """What BM25 gives a word that occurs once in texts of so many ``stems``, float64[N] or []; 1 at ``mean``."""
    return np.asarray((K1 + 1) / (1 + K1 * (1 - B + B * stems / mean)))


class Stems:
    """Word to term.

    Args:
        stems: those with a name, by term.
        buckets: terms after them, for all other stems.
    """

    def __init__(self, stems: Sequence[str], buckets: int) -> None:
        self.stems, self.buckets = list(stems), buckets
        self._of_word = _Terms(self.stems, buckets)

    def __len__(self) -> int:
        return len(self.stems) + self.buckets

    def term(self, word: str) -> int:
        """The term of a word; -1 for function words."""
        return self._of_word[word]

    def term_of_stem(self, stem: str) -> int:
        """The term of a stem."""
        return self._of_word.of_stem(stem)

    def names(self) -> list[str]:
        """A name for every term; a bucket is ``#`` and its number."""
        return [*self.stems, *(f"#{i}" for i in range(self.buckets))]

    def terms_of(self, text: str) -> list[int]:
        """The terms of ``text`` in order, function words left out."""
        of_word = self._of_word
        return [term for word in WORDS.of(text, document=False) if (term := of_word[word]) >= 0]

    def save(self, path: Path) -> None:
        """Write a text file: the number of buckets, then a stem a line."""
        path.write_text("\n".join([str(self.buckets), *self.stems]), encoding="utf-8")


def read_stems(path: Path) -> Stems:
    """What `Stems.save` wrote; one object for all who read the same file.

    Raises:
        EncoderError: missing or not such a file.
    """
    try:
        state = path.stat()
        return _stems_in(path, state.st_mtime_ns, state.st_size)
    except (OSError, ValueError) as error:
        raise EncoderError(
            f"{path}: not a list of stems ({error}); wanted the number of buckets, then a stem a line"
        ) from None


@lru_cache(maxsize=4)
def _stems_in(path: Path, _changed: int, _size: int) -> Stems:
    buckets, *stems = path.read_text(encoding="utf-8").split("\n")
    return Stems(stems, int(buckets))


class _Terms(dict[str, int]):
    """Terms of words seen so far; bounded, because texts hold numbers without end."""

    LIMIT = 1 << 20

    def __init__(self, stems: Sequence[str], buckets: int) -> None:
        super().__init__()
        self._known = {stem: i for i, stem in enumerate(stems)}
        self._named, self._buckets = len(stems), buckets

    def __missing__(self, word: str) -> int:
        if len(self) >= self.LIMIT:
            self.clear()
        bare = plain(word)
        term = self[word] = NO_TERM if bare in FUNCTION_WORDS else self.of_stem(stem(bare))
        return term

    def of_stem(self, stem: str) -> int:
        """The term of a stem, named or hashed."""
        known = self._known.get(stem)
        if known is not None or not self._buckets:
            return NO_TERM if known is None else known
        return self._named + zlib.crc32(stem.encode()) % self._buckets
