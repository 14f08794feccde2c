"""How does a network of torch encode texts? In buckets of like length, rows back in the order given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders.network.side_network import SideNetwork
from lsr.encoders.runners.rows import Rows
from lsr.encoders.runners.windowed import WindowedRunner
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.word_pieces import Tokens, buckets, collate, read_tokenizer
from lsr.sparse import SparseMatrix

CPU_TOKENS, CPU_TEXTS = 4096, 32  # larger batches leave the cache and gain nothing on a CPU
GPU_TOKENS, GPU_TEXTS = 1 << 17, 512
FIRING = 0.0  # weights above it are stored


class TorchRunner(WindowedRunner):
    """One side, run by torch.

    Args:
        network: moved to ``device``.
        tokenizer: path of a ``tokenizer.json``.
        device: "cpu", "cuda", "cuda:1".
        half: bfloat16 products on a GPU; activations stay in float32.
    """

    def __init__(self, network: SideNetwork, tokenizer: Path, device: str, half: bool = False) -> None:
        super().__init__(tokenizer, network.side)
        self.network = network.to(device).eval()
        self.network.requires_grad_(False)
        self.tokenizer, self.terms, self.device = read_tokenizer(tokenizer), network.terms, device
        if half and device != "cpu":
            self.network = self.network.bfloat16()
        self._limits = (CPU_TOKENS, CPU_TEXTS) if device == "cpu" else (GPU_TOKENS, GPU_TEXTS)

    def dense(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors as they are, float32[N, terms]."""
        found = np.zeros((len(texts), self.terms), np.float32)
        for bucket, vectors in self._vectors(self._windows(texts).tokens):
            found[bucket] = vectors.cpu().numpy()
        return found

    def _encoded(self, tokens: list[Tokens]) -> SparseMatrix:
        rows = Rows(len(tokens), self.terms)
        for bucket, vectors in self._vectors(tokens):
            at, terms = (vectors > FIRING).nonzero(as_tuple=True)
            counts = torch.bincount(at, minlength=len(bucket)).cpu().numpy()
            rows.put(bucket, counts, terms.cpu().numpy(), vectors[at, terms].cpu().numpy())
        return rows.matrix()

    def _positions(self, tokens: Tokens, terms: NDArray[np.int64]) -> NDArray[np.int64]:
        with torch.inference_mode():
            batch = Batch.of(collate([tokens]), self.device)
            positions = self.network.positions(batch, torch.from_numpy(terms).to(self.device))
        return np.asarray(positions.cpu().numpy(), np.int64)

    def _vectors(self, tokens: list[Tokens]) -> Iterator[tuple[list[int], torch.Tensor]]:
        for bucket in buckets([len(t.ids) for t in tokens], *self._limits):
            with torch.inference_mode():
                batch = Batch.of(collate([tokens[i] for i in bucket]), self.device)
                yield bucket, self.network(batch).float()
