"""Gate "literal-counts": a text's own words weigh as under BM25, by counts that are learned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lsr.encoders.parts.part import Gate, Parts, Shapes, Sizes, TorchSide, Vector
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lsr.encoders.tokens.batch import Batch


class LiteralCountsGate(Gate):
    """BM25 whose counts are learned.

    A term that occurs at positions i weighs ``s x / (x + a + b n)`` with ``x`` the sum of ``softplus(v.h_i + c)`` and
    ``n`` the number of literal positions; ``log s, log a, log b`` are ``counts_form``. With v = 0 and softplus(c) = 1
    this is BM25 (a = k1 (1 - b'), b = k1 b' / mean length).
    """

    name, about, heads, gives_literal = "literal-counts", "learned BM25 of stems", ("vocabulary",), True

    def fault(self, side: Side) -> str | None:
        """Terms are stems."""
        return None if side.stems else f"gate 'literal-counts' needs view 'stems', found {side.view!r}"

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``counts_weight`` [H], ``counts_bias`` [1], ``counts_form`` [3]."""
        return {"counts_weight": (sizes.width,), "counts_bias": (1,), "counts_form": (3,)}

    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] and those of literal terms; ``hidden`` is float[B, L, H]."""
        added = literal_counts(hidden, batch.terms, batch.literal, network.terms, network.parts)
        return reps.scatter_add(1, batch.terms, added)

    def array(self, parts: Parts, vector: Vector, states: Vector, tokens: Tokens) -> Vector:
        """The same of one text: float32[V], states float32[L, H]."""
        own, terms = states[np.flatnonzero(tokens.literal)], tokens.own_terms
        if not terms:
            return vector
        weights = np.logaddexp(0, own @ parts["counts_weight"] + parts["counts_bias"][0])
        scale, floor, slope = np.exp(parts["counts_form"])
        _, places = np.unique(terms, return_inverse=True)
        sums = np.bincount(places, weights)[places]
        added = np.asarray(scale * weights / (sums + floor + slope * len(terms)), np.float32)
        vector = vector.copy()
        np.add.at(vector, terms, added)
        return vector


def literal_counts(
    hidden: torch.Tensor, terms: torch.Tensor, literal: torch.Tensor, size: int, parts: nn.ParameterDict
) -> torch.Tensor:
    """What each position adds to the weight of its own term, float32[B, L].

    ``hidden`` is float[B, L, H], ``terms`` int64[B, L], ``literal`` bool[B, L]; ``size`` is V.
    """
    from torch.nn.functional import softplus

    weights = softplus((hidden @ parts["counts_weight"] + parts["counts_bias"]).float()) * literal
    sums = weights.new_zeros(terms.shape[0], size).scatter_add(1, terms, weights).gather(1, terms)
    scale, floor, slope = parts["counts_form"].float().exp()
    added: torch.Tensor = scale * weights / (sums + floor + slope * literal.sum(1, keepdim=True))
    return added
