"""What does one side of an encoder consist of? The name of a part of each kind, and their settings."""

from __future__ import annotations

import sys
from typing import Literal

import msgspec

View = Literal["plain", "bare", "echo", "stems", "content-stems"]
Backbone = Literal["masked-lm", "encoder", "causal-lm", "bidirectional-lm", "none"]
Table = Literal["ones", "idf", "learned", "corpus"]
LongTexts = Literal["windows", "truncate"]


class Side(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How one side, documents or queries, becomes a vector: a part of each kind.

    `lsr.encoders.parts.registry` has the parts by name; `lsr.encoders.declaration.fault_of` says which go together.

    Attributes:
        head: what turns states into weights.
        backbone: the network before it; ``none`` where there is none.
        view: ``plain`` tokens, ``bare`` (no special tokens), ``echo`` (text, separator, text; the second copy pools),
            ``stems`` (terms are stems of words, whose first tokens pool), ``content-stems`` (the same, and the network
            reads no function words).
        activation: applied to logits.
        pool: how positions become one vector; for ``token-weight`` how repeated tokens add up; for ``table`` whether a
            repeated token counts once (``max``) or each time (``sum``). ``mean`` of a ``vocabulary`` of stems is the
            mean state of all tokens, brought to length 1, as dense retrieval has it.
        gates: further factors, in this order.
        sparsifier: which entries stay; ``k`` and ``threshold`` are its settings.
        table: where the numbers of a ``table`` head come from; ``corpus`` is one that follows the document
            frequencies of the corpus that is indexed.
        centred: whether the input of an ``autoencoder`` is standardised per text.
        prompt: text put before every text.
        max_length: tokens that are read at once, special ones included.
        long_texts: a network reads all of a longer text in ``windows``, and the largest weight of each term stays; a
            table looks up all of it. Or only its first tokens are read (``truncate``), as in training and by dense
            systems always.
    """

    head: str
    backbone: Backbone = "none"
    view: View = "plain"
    activation: str = "identity"
    pool: str = "max"
    gates: tuple[str, ...] = ()
    sparsifier: str = "none"
    k: int = 0
    threshold: float = 0.0
    table: Table = "ones"
    centred: bool = False
    prompt: str = ""
    max_length: int = 512
    long_texts: LongTexts = "windows"

    def __post_init__(self) -> None:
        # What equals a default is left out of TOML and of fingerprints; msgspec asks whether it is the same object.
        for name in ("head", "activation", "pool", "sparsifier"):
            msgspec.structs.force_setattr(self, name, sys.intern(getattr(self, name)))

    @property
    def stems(self) -> bool:
        """Whether terms are stems of words; otherwise they are tokens."""
        return self.view in ("stems", "content-stems")
