"""How do the states of one text become its vector without torch? The parts again, in numpy, a text at a time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.declaration import Side
from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.cpu_head import CpuHead
from lsr.encoders.parts.initial import Parts
from lsr.encoders.tokens.word_pieces import Tokens
from lsr.errors import EncoderError

Vector = NDArray[np.float32]
SHORTEST = 1e-12  # length that a state is divided by at least
SLICE = 2048  # terms of one product where every logit is needed
GATES = ("quality", "literal-only", "literal-counts")
SPARSIFIERS = ("none", "topk", "abs-topk", "relative")


class ArrayHead:
    """Everything after the body, for one side.

    Args:
        side: which parts.
        parts: their tensors; head "vocabulary" has ``vocabulary_weight`` and ``vocabulary_bias`` here.
        tokens: size of the vocabulary.

    Raises:
        EncoderError: a part that only torch runs.
    """

    def __init__(self, side: Side, parts: Parts, tokens: int) -> None:
        gates = [gate for gate in side.gates if gate not in GATES]
        self._threshold = parts.get("thresholds", np.float32(side.threshold))
        chosen = side.sparsifier in SPARSIFIERS or (np.any(self._threshold > 0) and side.sparsifier != "none")
        if gates or not chosen:
            part = f"gate {gates[0]!r}" if gates else f"sparsifier {side.sparsifier!r} without a threshold"
            raise EncoderError(f"{part} runs in torch only: load the model that this export was made of")
        self._side, self._parts, self._activation = side, parts, ACTIVATIONS[side.activation]
        self._head: CpuHead | None = None
        self._rows: NDArray[np.int64] | None = None
        self.terms = tokens
        if side.head == "vocabulary":
            self._head = CpuHead(parts["vocabulary_weight"], parts["vocabulary_bias"])
            self.terms = tokens if side.stems else self._head.terms
            if side.stems:
                self._rows = np.arange(self._head.terms)
            if "vocabulary_rows" in parts:  # the others were pruned
                self._rows = parts["vocabulary_rows"].astype(np.int64)
                self.terms = int(parts["vocabulary_size"][0])
        elif side.head == "autoencoder":
            self.terms = parts["code_bias"].size * (2 if side.sparsifier == "abs-topk" else 1)
        elif side.head == "dense":
            self.terms = 0

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        """The vector float32[terms] of states float32[L, H]."""
        pooled = states[tokens.pooled_from : len(tokens.ids)]
        head = {"vocabulary": self._vocabulary, "token-weight": self._tokens, "autoencoder": self._codes}
        vector = head.get(self._side.head, self._dense)(pooled, tokens)
        return self._sparsify(vector)

    def positions(self, states: Vector, tokens: Tokens, terms: NDArray[np.intp]) -> NDArray[np.int64]:
        """For each term the token with the largest weight, int64[T]; -1 where no single one gave it."""
        side, start = self._side, tokens.pooled_from
        pooled = states[start : len(tokens.ids)]
        if side.head == "token-weight":
            logits = np.where(
                np.array(tokens.ids)[:, None] == terms, self._token_logits(states, tokens)[:, None], -np.inf
            )
            return np.asarray(logits.argmax(0), np.int64)
        if self._head is None or side.pool not in ("max", "sum", "mean") or not len(pooled):
            return np.full(len(terms), -1)
        rows = terms if self._rows is None else np.searchsorted(self._rows, terms).clip(max=self._head.terms - 1)
        logits = self._head.logits(pooled, rows)
        if tokens.terms is not None:
            logits[~np.array(tokens.literal, bool)] = -np.inf
            if "literal-counts" in side.gates:  # a term that stands in the text comes from there
                logits[np.where(tokens.literal, tokens.terms, -1)[:, None] == terms] = np.inf
        return np.asarray(logits.argmax(0) + start, np.int64)

    def _vocabulary(self, pooled: Vector, tokens: Tokens) -> Vector:
        head, side = self._head, self._side
        everywhere = pooled
        if tokens.terms is not None:
            pooled = pooled[np.array(tokens.literal, bool)]
        if head is None or not len(pooled):
            return np.zeros(self.terms, np.float32)
        if side.pool == "mean":
            vector = self._activation.array(head.max_logits(_unit(_pooled(everywhere, "mean"))[None]))
        elif side.pool == "max":
            vector = self._activation.array(head.max_logits(pooled))
        elif side.pool == "sum":
            slices = [np.arange(at, min(at + SLICE, head.terms)) for at in range(0, head.terms, SLICE)]
            vector = np.concatenate([self._activation.array(head.logits(pooled, part)).sum(0) for part in slices])
        else:
            vector = self._activation.array(head.max_logits(_pooled(pooled, side.pool)[None]))
        if self._rows is not None:
            pruned, vector = vector, np.zeros(self.terms, np.float32)
            vector[self._rows] = pruned
        if "quality" in side.gates:
            logit = pooled[0] @ self._parts["quality_weight"] + self._parts["quality_bias"][0]
            vector = vector / np.float32(1 + np.exp(-logit))
        if "literal-counts" in side.gates:
            np.add.at(vector, tokens.own_terms, self._counts(pooled, tokens.own_terms))
        if "literal-only" in side.gates:
            own = [i for i, literal in zip(tokens.ids, tokens.literal, strict=True) if literal]
            vector = np.where(np.isin(np.arange(self.terms), own), vector, np.float32(0))
        return vector

    def _counts(self, states: Vector, terms: list[int]) -> Vector:
        """`lsr.encoders.parts.gates.literal_counts` of one text whose literal states are float32[n, H]."""
        weights = np.logaddexp(0, states @ self._parts["counts_weight"] + self._parts["counts_bias"][0])
        scale, floor, slope = np.exp(self._parts["counts_form"])
        _, places = np.unique(terms, return_inverse=True)
        sums = np.bincount(places, weights)[places]
        return np.asarray(scale * weights / (sums + floor + slope * len(terms)), np.float32)

    def _token_logits(self, states: Vector, tokens: Tokens) -> Vector:
        logits = states[: len(tokens.ids)] @ self._parts["token_weight"] + self._parts["token_bias"][0]
        return np.where(np.array(tokens.literal, bool), logits, -np.inf).astype(np.float32)

    def _tokens(self, pooled: Vector, tokens: Tokens) -> Vector:
        vector = np.zeros(self.terms, np.float32)
        own = np.array(tokens.literal, bool)
        weights = self._activation.array(pooled[own] @ self._parts["token_weight"] + self._parts["token_bias"][0])
        add = np.maximum if self._side.pool == "max" else np.add
        add.at(vector, np.array(tokens.ids, np.int64)[own], weights)
        return vector

    def _codes(self, pooled: Vector, tokens: Tokens) -> Vector:
        state = _pooled(pooled, self._side.pool)
        if self._side.centred:
            state = state - state.mean()
            state = state / (state.std(ddof=1) + np.float32(1e-5))
        parts = self._parts
        return self._activation.array(parts["code_weight"] @ (state - parts["centre"]) + parts["code_bias"])

    def _dense(self, pooled: Vector, tokens: Tokens) -> Vector:
        return _pooled(pooled, self._side.pool)

    def _sparsify(self, vector: Vector) -> Vector:
        side = self._side
        if side.sparsifier == "topk":
            return _largest(vector, vector, side.k)
        if side.sparsifier == "abs-topk":
            kept = _largest(vector, np.abs(vector), side.k)
            return np.asarray(np.maximum(np.concatenate([kept, -kept]), 0), np.float32)
        if side.sparsifier == "relative":
            return np.asarray(np.where(vector > side.threshold * vector.max(initial=0), vector, 0), np.float32)
        return (
            vector
            if side.sparsifier == "none"
            else np.asarray(np.where(vector >= self._threshold, vector, 0), np.float32)
        )


def _unit(state: Vector) -> Vector:
    return np.asarray(state / max(float(np.linalg.norm(state)), SHORTEST), np.float32)


def _pooled(states: Vector, pool: str) -> Vector:
    """One state float32[H] of float32[L, H]; zeros where L is 0."""
    if not len(states):
        return np.zeros(states.shape[1], np.float32)
    return np.asarray(states.mean(0) if pool == "mean" else states[0 if pool == "cls" else -1], np.float32)


def _largest(vector: Vector, by: Vector, k: int) -> Vector:
    """The k entries that are largest in ``by``, zeros elsewhere."""
    if k >= vector.size:
        return vector
    kept = np.argpartition(by, -k)[-k:]
    out = np.zeros_like(vector)
    out[kept] = vector[kept]
    return out
