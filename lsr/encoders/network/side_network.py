"""How are parts put together? One module a side: body, head, gates, activation, pool, sparsifier, as declared."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from lsr.encoders.declaration import Side
from lsr.encoders.network.backbone import Body
from lsr.encoders.parts import gates, heads
from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.cpu_head import CpuHead
from lsr.encoders.parts.pools import pool_states
from lsr.encoders.parts.scorers import unit_tensor
from lsr.encoders.parts.sparsifiers import sparsify
from lsr.encoders.tokens.word_pieces import TokenArrays


class Batch(NamedTuple):
    """`TokenArrays` as tensors [B, L] on one device."""

    ids: torch.Tensor
    attention: torch.Tensor
    pooled: torch.Tensor
    literal: torch.Tensor
    terms: torch.Tensor

    @classmethod
    def of(cls, arrays: TokenArrays, device: str | torch.device = "cpu") -> Batch:
        """The same on ``device``."""
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))


class SideNetwork(nn.Module):
    """One side of a system: tokens to vectors float32[B, terms], differentiable.

    Args:
        side: which parts.
        terms: size of the vocabulary, or of the code.
        parts: the tensors of head and gates by name; see `lsr.encoders.parts.initial.part_shapes`.
        body: the network, None for a table.
        vocabulary: its last product, for head "vocabulary".
    """

    def __init__(
        self,
        side: Side,
        terms: int,
        parts: dict[str, torch.Tensor],
        body: Body | None = None,
        vocabulary: nn.Linear | None = None,
    ) -> None:
        super().__init__()
        self.side, self.terms, self.body, self.vocabulary = side, terms, body, vocabulary
        self.parts = nn.ParameterDict({name: nn.Parameter(part) for name, part in parts.items()})
        self.activation = ACTIVATIONS[side.activation]
        self._cpu_head: tuple[tuple[int, int], CpuHead] | None = None

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors after the sparsifier. float[B, V], of a batch of B texts over V terms."""
        return self.sparse(self.base(batch))

    def sparse(self, base: torch.Tensor, k: int = 0) -> torch.Tensor:
        """What the sparsifier leaves of ``base``; ``k`` above 0 takes the place of the declared one.

        float[B, V] in and out.
        """
        threshold = self.parts.get("thresholds", self.side.threshold)
        return sparsify(base, self.side.sparsifier, k or self.side.k, threshold)

    def base(self, batch: Batch) -> torch.Tensor:
        """Vectors before the sparsifier; regularisers look at these. float[B, V]."""
        if self.side.head == "table":
            return heads.table_weights(self.table(), batch.terms, batch.pooled, self.side.pool)
        hidden = self.states(batch)
        heads_by_name = {"vocabulary": self._vocabulary, "token-weight": self._tokens, "autoencoder": self._codes}
        return heads_by_name.get(self.side.head, self._dense)(hidden, batch)

    def states(self, batch: Batch) -> torch.Tensor:
        """States before the head, float[B, L, H]."""
        assert self.body is not None  # noqa: S101  a declaration without body has no such head
        states: torch.Tensor = self.body(batch.ids, batch.attention)
        return states

    def term_logits(self, hidden: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
        """Logits float32[B, L, T] of some terms int64[T], importance included, written out."""
        weight, bias = self.head()
        logits: torch.Tensor = nn.functional.linear(hidden, weight[terms], bias[terms]).float()
        if "importance" in self.side.gates:
            logits = logits * self._importance(hidden)[..., None]
        return logits

    def token_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """One number a token, float[B, L], before the activation."""
        logits: torch.Tensor = hidden @ self.parts["token_weight"] + self.parts["token_bias"]
        return logits

    def table(self) -> torch.Tensor:
        """One number a term, float32[V]; a learned one is activation(E w + c) (Li-LSR, arXiv 2505.01452, eq. 3)."""
        if self.side.table == "learned" and "embedding" in self.parts:
            logits = self.parts["embedding"] @ self.parts["table_weight"] + self.parts["table_bias"]
            return self.activation.tensor(logits)
        table: torch.Tensor = self.parts["table"]
        return table

    def head(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows float[V, H] and bias float[V] of the vocabulary; of stems only the first have one."""
        if self.side.stems:
            return self.parts["vocabulary_weight"], self.parts["vocabulary_bias"]
        assert self.vocabulary is not None  # noqa: S101
        return self.vocabulary.weight, self.vocabulary.bias

    def _vocabulary(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.gated(self.ungated(hidden, batch), hidden, batch)

    def ungated(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights of a vocabulary head float32[B, V] before the gates."""
        weight, bias = self.head()
        hidden, weight = _halved(hidden), _halved(weight)
        pool = self.side.pool
        if pool in ("cls", "last"):
            states = pool_states(hidden, batch.pooled, pool)
            reps = self.activation.tensor(nn.functional.linear(states, weight, bias))
            return reps * batch.pooled.any(1, keepdim=True)
        if pool == "mean":
            return self.widened(self.activation.tensor(self.stem_logits(hidden, batch)))
        if self.side.stems:
            states, mask = heads.compacted(hidden, batch.pooled)
            return self.widened(self._over_positions(states, weight, bias, mask))
        return self._over_positions(hidden, weight, bias, batch.pooled)

    def stem_logits(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Logits float32[B, R] of the stems that have a row, the largest or that of the mean, before the activation."""
        weight, bias = self.head()
        if self.side.pool == "mean":
            state = unit_tensor(pool_states(hidden.float(), batch.attention, "mean"))
            logits: torch.Tensor = nn.functional.linear(state, weight.float(), bias.float()).float()
            return logits.masked_fill(~batch.pooled.any(1, keepdim=True), -torch.inf)
        states, mask = heads.compacted(_halved(hidden), batch.pooled)
        return heads.max_logits(states, _halved(weight), bias, mask)[0]

    def widened(self, reps: torch.Tensor) -> torch.Tensor:
        """Weights of the first stems float32[B, R] with 0 for all others, float32[B, V]."""
        return nn.functional.pad(reps, (0, self.terms - reps.shape[1]))

    def _over_positions(
        self, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        if "importance" in self.side.gates:
            hidden, weight, bias = gates.scale_logits(hidden, self._importance(hidden), weight, bias)
        elif self.side.pool == "max" and not torch.is_grad_enabled() and hidden.device.type == "cpu":
            return self.activation.tensor(self._max_on_cpu(hidden, mask))
        if self.side.pool == "sum":
            return heads.sum_weights(hidden, weight, bias, mask, self.activation)
        if torch.is_grad_enabled():
            return self.activation.tensor(heads.max_logits(hidden, weight, bias, mask)[0])
        return self.activation.tensor(heads.max_values(hidden, weight, bias, mask))

    def _importance(self, hidden: torch.Tensor) -> torch.Tensor:
        return gates.importance(hidden, self.parts["importance_weight"], self.parts["importance_bias"])

    def _max_on_cpu(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        weight, bias = self.head()
        version = (weight._version, bias._version)
        if self._cpu_head is None or self._cpu_head[0] != version:
            self._cpu_head = version, CpuHead(weight.detach().float().numpy(), bias.detach().float().numpy())
        head, states, kept = self._cpu_head[1], hidden.float().numpy(), mask.numpy()
        rows = head.max_logits_of([states[i, kept[i]] for i in range(len(states))])
        return torch.from_numpy(rows)

    def gated(self, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The same after them. ``reps`` and the result are float[B, V], ``hidden`` is float[B, L, D]."""
        chosen, parts = self.side.gates, self.parts
        if "quality" in chosen:
            reps = reps * gates.quality(hidden[:, 0], parts["quality_weight"], parts["quality_bias"])
        if "literal-residual" in chosen:
            state = self.activation.tensor(pool_states(hidden, batch.pooled, self.side.pool))
            extra = nn.functional.linear(state, parts["residual_weight"], parts["residual_bias"])
            reps = gates.literal_residual(reps, extra, gates.literal_mask(batch.terms, batch.literal, self.terms))
        if "literal-counts" in chosen:
            counts = gates.literal_counts(hidden, batch.terms, batch.literal, self.terms, parts)
            reps = reps.scatter_add(1, batch.terms, counts)
        if "literal-only" in chosen:
            reps = reps * gates.literal_mask(batch.terms, batch.literal, self.terms)
        return reps

    def _tokens(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        weights = self.activation.tensor(self.token_logits(hidden))
        return heads.token_weights(weights, batch.terms, batch.pooled & batch.literal, self.terms, self.side.pool)

    def token_scores(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Logits of the tokens at their own terms, float[B, V], before the activation; 0 where a term is not there."""
        logits = self.token_logits(hidden)
        return heads.token_weights(logits, batch.ids, batch.pooled & batch.literal, self.terms, self.side.pool, True)

    def _codes(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        return self.codes(self.code_states(hidden, batch))

    def code_states(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """What an autoencoder encodes and shall give back, float32[B, H]."""
        states = pool_states(hidden, batch.pooled, self.side.pool).float()
        return heads.standardise(states) if self.side.centred else states

    def codes(self, states: torch.Tensor) -> torch.Tensor:
        """Codes float32[B, h] of states float32[B, H], before the sparsifier."""
        parts = self.parts
        return self.activation.tensor(heads.codes(states, parts["code_weight"], parts["code_bias"], parts["centre"]))

    def _dense(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        states = pool_states(hidden, batch.pooled, self.side.pool).float()
        if "modulation" not in self.side.gates:
            return states
        tokens = gates.literal_mask(batch.terms, batch.literal, self.parts["modulation_weight"].shape[1])
        return gates.modulate(states, tokens, self.parts["modulation_weight"], self.parts["modulation_bias"])


def _halved(values: torch.Tensor) -> torch.Tensor:
    """``values`` in the type of mixed precision where that is on: kernels of our own do not ask for it."""
    kind = values.device.type
    return values.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else values
