"""How are parts put together without torch? Head, gates and sparsifier in numpy, a text at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.part import Parts, Sizes, Vector
from lsr.encoders.parts.registry import gates_of, head_of, sparsifier_of
from lsr.encoders.parts.tensors import check_exported
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens
from lsr.errors import EncoderError


class ArraySide:
    """Everything after the body, for one side.

    Args:
        side: which parts.
        parts: their tensors; head "vocabulary" has ``vocabulary_weight`` and ``vocabulary_bias`` here.
        sizes: numbers of a state and terms of the vocabulary.
        place: names them in messages.

    Raises:
        EncoderError: a part that only torch runs, or a tensor that does not fit.
    """

    def __init__(self, side: Side, parts: Parts, sizes: Sizes, place: str = "the encoder") -> None:
        self._side, self._parts = side, parts
        self._gates, self._sparsifier = gates_of(side), sparsifier_of(side)
        self._threshold: Vector = parts.get("thresholds", np.array(side.threshold, np.float32))
        if part := self._only_in_torch():
            raise EncoderError(f"{part} runs in torch only: load the model that this export was made of")
        check_exported(parts, side, sizes.width, sizes.vocabulary, place)
        self._head = head_of(side).arrays(side, parts, sizes)
        self.terms = self._sparsifier.columns(self._head.terms)

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        """The vector float32[terms] of states float32[L, H]."""
        vector = self._head(states, tokens)
        for gate in self._gates:
            vector = gate.array(self._parts, vector, states, tokens)
        return self._sparsifier.array(vector, self._side.k, self._threshold)

    def positions(self, states: Vector, tokens: Tokens, terms: NDArray[np.intp]) -> NDArray[np.int64]:
        """For each term intp[T] the token that gave it, int64[T]; -1 where no single one did.

        ``states`` is float32[L, H].
        """
        found = self._head.positions(states, tokens, terms)
        if any(gate.gives_literal for gate in self._gates):
            places = tokens.ids if tokens.terms is None else tokens.terms
            own = np.where(tokens.literal, places, -1)[:, None] == terms
            found = np.where(own.any(0), own.argmax(0), found)
        return found

    def _only_in_torch(self) -> str | None:
        for gate in self._gates:
            if not gate.in_arrays:
                return f"gate {gate.name!r}"
        if self._sparsifier.over_batch and not np.any(self._threshold > 0):
            return f"sparsifier {self._sparsifier.name!r} without a threshold"
        return None
