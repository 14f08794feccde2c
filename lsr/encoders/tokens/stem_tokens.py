"""How does a text become tokens for a network and stems for a vector at once? Word by word, both remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lsr.encoders.lexical.stems import NO_TERM, WORDS, Stems, read_stems
from lsr.encoders.lexical.words import plain
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens, View, read_tokenizer

STEMS = "stems.txt"  # beside tokenizer.json
LIMIT = 1 << 20  # words whose tokens are remembered


class StemView:
    """Tokens of the words of a text, punctuation left out; the first token of a content word carries its stem.

    Args:
        tokenizer: of the network; its special tokens go around a text.
        side: length, and whether function words reach the network.
        stems: the vocabulary of vectors.
    """

    def __init__(self, tokenizer: Tokenizer, side: Side, stems: Stems) -> None:
        self.stems, self._length, self._prompt = stems, side.max_length, side.prompt
        self._pieces = _Pieces(tokenizer, stems, side.view == "content-stems")
        tokenizer.no_padding()
        tokenizer.no_truncation()
        special = tokenizer.encode("").ids
        self._first, self._last = special[:1], special[1:]

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of every text, in order."""
        return [self._tokens(self._prompt + text) for text in texts]

    def _tokens(self, text: str) -> Tokens:
        room = self._length - len(self._first) - len(self._last)
        ids, terms, offsets, cut = list(self._first), [NO_TERM] * len(self._first), [(0, 0)] * len(self._first), False
        for word, place in self._words(text):
            if len(word.ids) > room:
                cut = True
                break
            room -= len(word.ids)
            ids += word.ids
            terms += word.terms
            offsets += [place] * len(word.ids)
        ids += self._last
        terms += [NO_TERM] * len(self._last)
        offsets += [(0, 0)] * len(self._last)
        literal = [term >= 0 for term in terms]
        return Tokens(ids, 0, literal, offsets, cut, [max(0, term) for term in terms])

    def _words(self, text: str) -> Iterator[tuple[_Word, tuple[int, int]]]:
        """Words with their places in the text as it was given, without the prompt."""
        skip, pieces = len(self._prompt), self._pieces
        for start, end, word in WORDS.placed(text, document=False):
            yield pieces[word], (max(0, start - skip), max(0, end - skip))


class _Word(NamedTuple):
    ids: list[int]
    terms: list[int]  # of the first token, then none


class _Pieces(dict[str, _Word]):
    """Tokens and term of words seen so far."""

    def __init__(self, tokenizer: Tokenizer, stems: Stems, content: bool) -> None:
        super().__init__()
        self._tokenizer, self._stems, self._content = tokenizer, stems, content

    def __missing__(self, word: str) -> _Word:
        if len(self) >= LIMIT:
            self.clear()
        term = self._stems.term(word)
        ids = [] if term < 0 and self._content else self._tokenizer.encode(plain(word), add_special_tokens=False).ids
        found = self[word] = _Word(ids, [term] + [NO_TERM] * (len(ids) - 1) if ids else [])
        return found


def view_of(tokenizer: Path, side: Side) -> View | StemView:
    """What turns texts into tokens as ``side`` says.

    Args:
        tokenizer: a ``tokenizer.json``; a list of stems lies beside it where ``side`` wants stems.
        side: view, prompt and length.
    """
    if side.stems:
        return StemView(read_tokenizer(tokenizer), side, read_stems(tokenizer.parent / STEMS))
    return View(read_tokenizer(tokenizer), side)


def terms_of(tokenizer: Path, side: Side) -> int:
    """Size of the vocabulary of vectors: stems, or tokens."""
    return len(read_stems(tokenizer.parent / STEMS)) if side.stems else int(read_tokenizer(tokenizer).get_vocab_size())


_view: View | StemView | None = None


def begin(tokenizer: Path, side: Side) -> None:
    """Let this process, one of several, answer `arrays_of`."""
    global _view
    _view = view_of(tokenizer, side)


def arrays_of(texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Lengths of texts, their tokens, and the terms of these; -1 where a token has none.

    int32[N] for N texts, then int32[T] and int32[T] for T tokens in all.
    """
    assert _view is not None  # noqa: S101
    found = _view(texts)
    lengths = np.array([len(t.ids) for t in found], np.int32)
    ids = np.fromiter(chain.from_iterable(t.ids for t in found), np.int32)
    terms = np.fromiter(chain.from_iterable(t.terms or t.ids for t in found), np.int32)
    literal = np.fromiter(chain.from_iterable(t.literal for t in found), bool)
    return lengths, ids, np.where(literal, terms, -1).astype(np.int32)
