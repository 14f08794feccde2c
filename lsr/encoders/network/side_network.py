"""How are parts put together in torch? One module a side: body, head, gates, sparsifier, as declared."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lsr.encoders.network.backbone import Body
from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.registry import gates_of, head_of, sparsifier_of
from lsr.encoders.side import Side
from lsr.encoders.tokens.batch import Batch


class SideNetwork(nn.Module):
    """One side of a system: tokens to vectors float32[B, terms], differentiable.

    Args:
        side: which parts.
        terms: size of the vocabulary, or of the code.
        parts: the tensors of head and gates by name; see `lsr.encoders.parts.tensors.part_shapes`.
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
        self.kept: dict[str, Any] = {}

    def forward(self, batch: Batch) -> torch.Tensor:
        """Vectors after the sparsifier. float[B, V], of a batch of B texts over V terms."""
        return self.sparse(self.base(batch))

    def sparse(self, base: torch.Tensor, k: int = 0) -> torch.Tensor:
        """What the sparsifier leaves of ``base``; ``k`` above 0 takes the place of the declared one.

        float[B, V] in and out.
        """
        threshold = self.parts.get("thresholds", self.side.threshold)
        return sparsifier_of(self.side).tensor(base, k or self.side.k, threshold)

    def base(self, batch: Batch) -> torch.Tensor:
        """Vectors before the sparsifier; regularisers look at these. float[B, V]."""
        hidden = self.states(batch)
        return self.gated(self.ungated(hidden, batch), hidden, batch)

    def states(self, batch: Batch) -> torch.Tensor:
        """States before the head, float[B, L, H]; of a head without network there are none, float[0]."""
        if self.body is None:
            return torch.empty(0)
        states: torch.Tensor = self.body(batch.ids, batch.attention)
        return states

    def ungated(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] of states float[B, L, H] before the gates."""
        return head_of(self.side).tensor(self, hidden, batch)

    def gated(self, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The same after them. ``reps`` and the result are float[B, V], ``hidden`` is float[B, L, H]."""
        for gate in gates_of(self.side):
            reps = gate.tensor(self, reps, hidden, batch)
        return reps

    def factors(self, hidden: torch.Tensor) -> torch.Tensor | None:
        """Factors float[B, L] of the logits of states float[B, L, H], or None where no gate has some."""
        found: torch.Tensor | None = None
        for factors in (gate.factors(self, hidden) for gate in gates_of(self.side)):
            if factors is not None:
                found = factors if found is None else found * factors
        return found

    def positions(self, batch: Batch, terms: torch.Tensor) -> torch.Tensor:
        """For each term int64[T] of the only text the token that gave it, int64[T]; -1 where no single one did."""
        found = head_of(self.side).tensor_positions(self, self.states(batch), batch, terms)
        if not any(gate.gives_literal for gate in gates_of(self.side)):
            return found
        own = (batch.terms[0][:, None] == terms) & batch.literal[0][:, None]
        return torch.where(own.any(0), own.long().argmax(0), found)
