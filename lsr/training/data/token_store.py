"""How are texts kept as tokens? One flat array on disk for a set of texts, made once, then mapped and gathered from."""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.side import Side
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.stem_tokens import STEMS, arrays_of, begin
from lsr.encoders.tokens.word_pieces import View, read_tokenizer, special_ids
from lsr.replacing import save_array
from lsr.sparse import SparseMatrix, concatenate, indptr_of, term_dtype
from lsr.training.data.ragged import Ragged, Rows, as_rows, home

TEXTS = 4096  # tokenised together, on all cores
STEP = 8  # lengths on a GPU are multiples of it, which its matrix units like


class TokenStore:
    """Tokens of texts by row.

    Args:
        texts: what to keep.
        tokenizer: a ``tokenizer.json``.
        side: view, prompt and length.
        cache: folder for the arrays, named by a hash of all that decides them; None keeps them in memory.
    """

    def __init__(self, texts: Sequence[str], tokenizer: Path, side: Side, cache: Path | None = None) -> None:
        self._special, self._echo = special_ids(read_tokenizer(tokenizer)), side.view == "echo"
        path = None if cache is None else cache / f"tokens-{_key(texts, tokenizer, side)}.npy"
        if path is None or not path.is_file():
            flat = _tokenise(texts, tokenizer, side)
            if path is not None:
                _write(flat, path)
        packed = flat if path is None else np.load(path, mmap_mode="c")
        count = int(packed[0])
        self._borders = np.cumsum(packed[: count + 1], dtype=np.int64) - count
        self._ids, self._terms = _halves(packed[count + 1 :], int(self._borders[-1]))
        self.lengths = np.diff(self._borders)
        self._there: _There | None = None

    def __len__(self) -> int:
        return self.lengths.size

    @functools.cached_property
    def digest(self) -> bytes:
        """Hash of all tokens and of which of them pool."""
        digest = hashlib.sha256(b"echo" if self._echo else b"plain")
        for array in (self._borders, self._ids):
            digest.update(array.tobytes())
        return digest.digest()

    def ids(self, row: int) -> NDArray[np.int32]:
        """Tokens of one text. int32[L]."""
        return self._ids[self._borders[row] : self._borders[row + 1]]

    def document_frequency(self, terms: int) -> NDArray[np.int64]:
        """Number of texts that hold each of ``terms`` terms, int64[terms]."""
        found = np.zeros(terms, np.int64)
        for start in range(0, len(self), TEXTS):
            found += np.bincount(self._counted(start, terms)[0] % terms, minlength=terms)
        return found

    def counts(self, terms: int) -> SparseMatrix:
        """How often each of ``terms`` terms occurs in each text, float32[texts, terms]."""
        parts = []
        for start in range(0, len(self), TEXTS):
            keys, counts = self._counted(start, terms)
            sizes = np.bincount(keys // terms, minlength=min(TEXTS, len(self) - start))
            own = (keys % terms).astype(term_dtype(terms))
            parts.append(SparseMatrix(indptr_of(sizes), own, counts.astype(np.float32), terms))
        return concatenate(parts)

    def _counted(self, start: int, terms: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Keys ``text * terms + term`` of `TEXTS` texts from ``start``, ascending, and how often each occurs there."""
        borders = self._borders[start : start + TEXTS + 1]
        texts = np.repeat(np.arange(borders.size - 1), np.diff(borders))
        own = self._terms[borders[0] : borders[-1]]
        return np.unique((texts * terms + own)[own >= 0], return_counts=True)

    @property
    def own_lengths(self) -> NDArray[np.int64]:
        """Number of terms that stand in each text. int64[N], of N texts."""
        known = np.concatenate([[0], np.cumsum(self._terms >= 0)])
        lengths: NDArray[np.int64] = known[self._borders[1:]] - known[self._borders[:-1]]
        return lengths

    def batch(self, rows: Sequence[int] | Rows, device: str | torch.device = "cpu") -> Batch:
        """Tensors of several texts, padded to the longest; a text without tokens gets one that does not pool."""
        device = torch.device(device)
        if self._there is None or self._there.wanted != device:
            terms = None if self._terms is self._ids else self._terms
            self._there = _There(self._ids, terms, self._borders, self._special, device)
        return self._there.batch(as_rows(rows), self._echo)


class _There:
    """The arrays on a device, or beside it where they do not fit."""

    def __init__(
        self,
        ids: NDArray[np.int32],
        terms: NDArray[np.int32] | None,
        borders: Rows,
        special: set[int],
        device: torch.device,
    ) -> None:
        self.wanted, self._home = device, home(device, ids.nbytes)
        self._lists = Ragged(borders, self._home)
        flat = torch.from_numpy(ids if ids.size else np.zeros(1, np.int32))
        self._ids = flat.to(self._home)
        self._terms = None if terms is None else torch.from_numpy(np.append(terms, -1)).to(self._home)
        self._special = torch.zeros(max(int(flat.max()), *special, 0) + 1, dtype=torch.bool)
        self._special[sorted(special)] = True
        self._special = self._special.to(self._home)
        self._longest = int(self._lists.lengths.max(initial=1))

    def batch(self, rows: Rows, echo: bool) -> Batch:
        length = max(1, int(self._lists.lengths[rows].max(initial=1)))
        if self.wanted.type == "cuda":
            length = min(-(-length // STEP) * STEP, max(1, self._longest))
        places, inside = self._lists.padded(rows, length)
        ids = self._ids[places].long().masked_fill_(~inside, 0)
        pooled = inside
        if echo:
            size = inside.sum(1, keepdim=True)
            pooled = inside & (torch.arange(length, device=self._home) >= size // 2 + 1)
        attention = inside.clone()
        attention[:, 0] = True
        if self._terms is None:
            parts = ids, attention, pooled, pooled & ~self._special[ids], ids
        else:
            own = self._terms[places].long().masked_fill_(~inside, -1)
            parts = ids, attention, own >= 0, own >= 0, own.clamp_(min=0)
        return Batch(*(part.to(self.wanted, non_blocking=True) for part in parts))


def _tokenise(texts: Sequence[str], tokenizer: Path, side: Side) -> NDArray[np.int32]:
    """Number of texts, their lengths, their tokens, and of stems their terms, in one int32 array."""
    if side.stems:
        return _stems(texts, tokenizer, side)
    view = View(read_tokenizer(tokenizer), side)
    rows = [np.array(t, np.int32) for at in range(0, len(texts), TEXTS) for t in view.ids(texts[at : at + TEXTS])]
    head = np.array([len(rows), *(row.size for row in rows)], np.int32)
    return np.concatenate([head, *rows])


def _stems(texts: Sequence[str], tokenizer: Path, side: Side) -> NDArray[np.int32]:
    """The same for stems, which are found in Python: by several processes where there are many texts."""
    parts = [list(texts[at : at + TEXTS]) for at in range(0, len(texts), TEXTS)]
    workers = min(len(os.sched_getaffinity(0)), len(parts) // 4)
    if workers < 2:
        begin(tokenizer, side)
        found = [arrays_of(part) for part in parts]
    else:
        context = multiprocessing.get_context("spawn")  # forks of a process with threads may hang
        with ProcessPoolExecutor(workers, context, begin, (tokenizer, side)) as pool:
            found = list(pool.map(arrays_of, parts))
    lengths, ids, terms = zip(*found, strict=True) if found else ((), (), ())
    return np.concatenate([np.array([len(texts)], np.int32), *lengths, *ids, *terms])


def _halves(flat: NDArray[np.int32], size: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Tokens and terms; one array where terms are tokens."""
    ids = flat[:size]
    return ids, ids if flat.size == size else flat[size:]


def _key(texts: Sequence[str], tokenizer: Path, side: Side) -> str:
    digest = hashlib.sha256(tokenizer.read_bytes())
    if side.stems:
        digest.update((tokenizer.parent / STEMS).read_bytes())
    digest.update(msgspec.json.encode([side.view, side.prompt, side.max_length]))
    for text in texts:
        digest.update(f"{len(text)} ".encode() + text.encode())
    return digest.hexdigest()[:32]


def _write(flat: NDArray[np.int32], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_array(path, flat)
