"""Head "bm25": counts of words, weighed as `lsr.encoders.lexical.bm25` does; no tensors and no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from lsr.encoders.parts.part import Head, Parts, Sizes, TorchSide
from lsr.encoders.side import Side
from lsr.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class Bm25Head(Head):
    """Declared so that BM25 is in the list of systems; `lsr.encoders.lexical.bm25.Bm25Encoder` encodes."""

    name, about, backbones = "bm25", "counts of words, without a network", ("none",)

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> NoReturn:
        """No weights float[B, V].

        Raises:
            EncoderError: always.
        """
        raise EncoderError("head 'bm25' has no network: load the encoder 'bm25'")

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> NoReturn:
        """No weights float32[V].

        Raises:
            EncoderError: always.
        """
        raise EncoderError("head 'bm25' has no network: load the encoder 'bm25'")
