"""How are texts kept as tokens? One flat array on disk for a set of texts, made once and then mapped."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from lsr.encoders.declaration import Side
from lsr.encoders.network import Batch
from lsr.encoders.view import Tokens, View, collate, read_tokenizer, special_ids

TEXTS = 4096  # tokenised together


class TokenStore:
    """Tokens of texts by row.

    Args:
        texts: what to keep.
        tokenizer: a ``tokenizer.json``.
        side: view, prompt and length.
        cache: folder for the arrays, named by a hash of all that decides them; None keeps them in memory.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Path, side: Side, cache: Path | None = None) -> None:
        reader = read_tokenizer(tokenizer)
        self._special, self._echo = special_ids(reader), side.view == "echo"
        path = None if cache is None else cache / f"tokens-{_key(texts, tokenizer, side)}.npy"
        if path is None or not path.is_file():
            flat = _tokenise(texts, View(reader, side))
            if path is not None:
                _write(flat, path)
        packed = flat if path is None else np.load(path, mmap_mode="r")
        count = int(packed[0])
        self._borders, self._ids = np.cumsum(packed[: count + 1]) - packed[0], packed[count + 1 :]

    def __len__(self) -> int:
        return len(self._borders) - 1

    def tokens(self, row: int) -> Tokens:
        """Tokens of one text, without their places in it."""
        ids = self._ids[self._borders[row] : self._borders[row + 1]].tolist()
        literal = [token not in self._special for token in ids]
        if not self._echo:
            return Tokens(ids, 0, literal, [], False)
        start = len(ids) // 2 + 1
        return Tokens(ids, start, [at >= start and known for at, known in enumerate(literal)], [], False)

    def batch(self, rows: Sequence[int], device: str = "cpu") -> Batch:
        """Tensors of several texts."""
        return Batch.of(collate([self.tokens(row) for row in rows]), device)


def _tokenise(texts: Sequence[str], view: View) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Number of texts, their lengths, their tokens, in one int32 array."""
    rows = [t.ids for start in range(0, len(texts), TEXTS) for t in view(texts[start : start + TEXTS])]
    lengths = [len(ids) for ids in rows]
    return np.fromiter((x for part in ([len(rows)], lengths, *rows) for x in part), np.int32)


def _key(texts: Sequence[str], tokenizer: Path, side: Side) -> str:
    digest = hashlib.sha256(tokenizer.read_bytes())
    digest.update(msgspec.json.encode([side.view, side.prompt, side.max_length]))
    for text in texts:
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()[:32]


def _write(flat: np.ndarray[tuple[int], np.dtype[np.int32]], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
        np.save(file, flat)
    os.replace(file.name, path)  # noqa: PTH105  one rename: a reader sees all or nothing
