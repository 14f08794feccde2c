"""How does a text become tokens? Plain, without special tokens, or twice (echo); cut to a length, cuts counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from lsr.encoders.side import Side
from lsr.errors import EncoderError

SEPARATORS = ("[SEP]", "</s>", "<|im_end|>", "<|end_of_text|>", "<|endoftext|>", "<eos>")


class Tokens(NamedTuple):
    """The tokens of one text.

    Attributes:
        ids: of every token.
        pooled_from: tokens before this position do not pool (the first copy of an echo).
        literal: whether a token is a word of the vocabulary; special ones and the one for unknown words are not.
        offsets: characters [start, end) of the text that each token stands for.
        truncated: whether the text was longer.
        terms: what each literal token stands for in the vocabulary of vectors, and only literal ones pool; None where
            that is the token itself.
    """

    ids: list[int]
    pooled_from: int
    literal: list[bool]
    offsets: list[tuple[int, int]]
    truncated: bool
    terms: list[int] | None = None

    @property
    def own_terms(self) -> list[int]:
        """Terms that stand in the text, in order."""
        terms = self.ids if self.terms is None else self.terms
        return [term for term, literal in zip(terms, self.literal, strict=True) if literal]


class TokenArrays(NamedTuple):
    """A batch of texts, each array [B, L]; ``pooled`` and ``literal`` are subsets of ``attention``.

    ``terms`` counts where ``literal`` does; it is ``ids`` itself where terms are tokens.
    """

    ids: NDArray[np.int64]
    attention: NDArray[np.bool_]
    pooled: NDArray[np.bool_]
    literal: NDArray[np.bool_]
    terms: NDArray[np.int64]


class View:
    """Turns texts into `Tokens` as a declaration says.

    Args:
        tokenizer: without padding; its truncation is set here.
        side: view, prompt and length.

    Raises:
        EncoderError: an echo with a tokenizer that has no separator.
    """

    def __init__(self, tokenizer: Tokenizer, side: Side) -> None:
        self._side, self._tokenizer = side, tokenizer
        self._echo, self._special = side.view == "echo", side.view == "plain"
        self._specials = special_ids(tokenizer)
        self._separator = _known_separator(tokenizer) if self._echo else -1
        self.length = (side.max_length - 1) // 2 if self._echo else side.max_length
        tokenizer.no_padding()
        tokenizer.enable_truncation(max(1, self.length))

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokens of every text, in order."""
        encodings = self._tokenizer.encode_batch(self._prompted(texts), add_special_tokens=self._special)
        return [self._echoed(e) if self._echo else self._tokens(e) for e in encodings]

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Only the ids of every text."""
        encodings = self._tokenizer.encode_batch_fast(self._prompted(texts), add_special_tokens=self._special)
        return [[*e.ids, self._separator, *e.ids] if self._echo else e.ids for e in encodings]

    def _prompted(self, texts: Sequence[str]) -> list[str]:
        return [self._side.prompt + text for text in texts] if self._side.prompt else list(texts)

    def _tokens(self, encoding: Encoding) -> Tokens:
        literal = [token not in self._specials for token in encoding.ids]
        return Tokens(encoding.ids, 0, literal, self._offsets(encoding), bool(encoding.overflowing))

    def _echoed(self, encoding: Encoding) -> Tokens:
        ids, offsets = encoding.ids, self._offsets(encoding)
        twice = [*ids, self._separator, *ids]
        literal = [False] * (len(ids) + 1) + [token not in self._specials for token in ids]
        return Tokens(twice, len(ids) + 1, literal, [*offsets, (0, 0), *offsets], bool(encoding.overflowing))

    def _offsets(self, encoding: Encoding) -> list[tuple[int, int]]:
        """Places in the text as it was given, without the prompt."""
        if not (skip := len(self._side.prompt)):
            return encoding.offsets
        return [(max(0, start - skip), max(0, end - skip)) for start, end in encoding.offsets]


def collate(batch: Sequence[Tokens]) -> TokenArrays:
    """Arrays padded to the longest text; a text without tokens gets one that does not pool."""
    length = max(1, *(len(tokens.ids) for tokens in batch))
    ids = np.zeros((len(batch), length), np.int64)
    attention, pooled, literal = (np.zeros(ids.shape, bool) for _ in range(3))
    for i, tokens in enumerate(batch):
        size = len(tokens.ids)
        ids[i, :size] = tokens.ids
        attention[i, : max(1, size)] = True
        literal[i, :size] = tokens.literal
        pooled[i, tokens.pooled_from : size] = True if tokens.terms is None else tokens.literal
    return TokenArrays(ids, attention, pooled, literal, _terms(batch, ids))


def _terms(batch: Sequence[Tokens], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    if all(tokens.terms is None for tokens in batch):
        return ids
    terms = np.zeros_like(ids)
    for i, tokens in enumerate(batch):
        own = tokens.ids if tokens.terms is None else tokens.terms
        terms[i, : len(own)] = own
    return terms


def buckets(lengths: Sequence[int], tokens: int, texts: int) -> list[list[int]]:
    """Positions grouped by falling length, each group of at most ``texts`` texts and about ``tokens`` padded tokens."""
    groups: list[list[int]] = []
    room = 0
    for at in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if room <= 0:
            groups.append([])
            room = min(texts, max(1, tokens // max(1, lengths[at])))
        groups[-1].append(at)
        room -= 1
    return groups


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a ``tokenizer.json``.

    Raises:
        EncoderError: missing, or not a tokenizer.
    """
    if not path.is_file():
        raise EncoderError(
            f"{path.parent} holds no complete model: tokenizer.json is missing; "
            "write it with transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)"
        )
    try:
        return Tokenizer.from_buffer(path.read_bytes())
    except Exception as error:  # noqa: BLE001  the library raises nothing narrower
        raise EncoderError(f"{path}: not a tokenizer ({error})") from None


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """Tokens that stand for no characters, such as [CLS], and the one for unknown words."""
    return {int(token) for token, added in tokenizer.get_added_tokens_decoder().items() if added.special}


def separator(tokenizer: Tokenizer) -> int | None:
    """The token between texts, or None where ``tokenizer`` has none."""
    found = (tokenizer.token_to_id(name) for name in SEPARATORS)
    return next((int(token) for token in found if token is not None), None)


def _known_separator(tokenizer: Tokenizer) -> int:
    if (token := separator(tokenizer)) is None:
        raise EncoderError(f"view 'echo' needs a separator, but the tokenizer has none of {', '.join(SEPARATORS)}")
    return token
