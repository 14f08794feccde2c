"""Head "vocabulary": a product with one row a term, reduced over the positions of a text (SPLADE)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.activations import ACTIVATIONS
from lsr.encoders.parts.part import ArrayHead, Head, Parts, Shapes, Sizes, TorchSide, Vector
from lsr.encoders.parts.pools import state_pool
from lsr.encoders.side import Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch

SHORTEST = 1e-12  # length that a state is divided by at least
SLICE = 2048  # terms of one product where every logit is needed


class VocabularyHead(Head):
    """Expansion: every term of the vocabulary, or of the stems, may get a weight."""

    name, about = "vocabulary", "one vector per term"

    def fault(self, side: Side) -> str | None:
        """A backbone that has no rows, or a pool of states where positions are pooled."""
        if (side.backbone == "encoder") != side.stems:
            return (
                f"head 'vocabulary' of stems needs backbone 'encoder', found {side.backbone!r}"
                if side.stems
                else "head 'vocabulary' needs a language model, found backbone 'encoder'; take masked-lm"
            )
        if side.pool == "mean" and not side.stems:
            return "head 'vocabulary' pools logits by max, sum, cls or last, found 'mean', which is for stems"
        return None

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """Of stems ``vocabulary_weight`` [R, H] and ``vocabulary_bias`` [R]; otherwise the backbone has them."""
        if not side.stems:
            return {}
        return {"vocabulary_weight": (sizes.rows, sizes.width), "vocabulary_bias": (sizes.rows,)}

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float32[B, V] of states float[B, L, H]."""
        from lsr.encoders.parts.products.torch_products import compacted

        side, pool = network.side, network.side.pool
        if pool in ("cls", "last"):
            return _of_one_state(network, hidden, batch)
        if pool == "mean":
            return widened(network, network.activation.tensor(stem_logits(network, hidden, batch)))
        if side.stems:
            return widened(network, _over_positions(network, *compacted(halved(hidden), batch.pooled)))
        return _over_positions(network, halved(hidden), batch.pooled)

    def tensor_positions(
        self, network: TorchSide, hidden: torch.Tensor, batch: Batch, terms: torch.Tensor
    ) -> torch.Tensor:
        """The position of each term int64[T] with the largest logit, int64[T], of states float[1, L, H]."""
        if network.side.pool in ("cls", "last"):
            return super().tensor_positions(network, hidden, batch, terms)
        terms = terms.clamp(max=rows_of(network)[1].shape[0] - 1)
        logits = term_logits(network, hidden, terms)[0]
        return logits.masked_fill(~batch.pooled[0][:, None], -float("inf")).argmax(0)

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> ArrayHead:
        """The head in numpy, float32[V]; ``vocabulary_weight`` and ``vocabulary_bias`` are among the parts."""
        return _Arrays(side, parts, sizes)


class _Arrays(ArrayHead):
    def __init__(self, side: Side, parts: Parts, sizes: Sizes) -> None:
        from lsr.encoders.parts.products.cpu_head import CpuHead  # compiles kernels

        self._side, self._activation = side, ACTIVATIONS[side.activation]
        self._head = CpuHead(parts["vocabulary_weight"], parts["vocabulary_bias"])
        self.terms = sizes.vocabulary if side.stems else self._head.terms
        self._rows: NDArray[np.int64] | None = np.arange(self._head.terms) if side.stems else None
        if "vocabulary_rows" in parts:  # the others were pruned
            self._rows = parts["vocabulary_rows"].astype(np.int64)
            self.terms = int(parts["vocabulary_size"][0])

    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        pooled = states[tokens.pooled_from : len(tokens.ids)]
        kept = pooled if tokens.terms is None else pooled[np.array(tokens.literal, bool)]
        if not len(kept):
            return np.zeros(self.terms, np.float32)
        weights = self._weights(kept, pooled)
        if self._rows is None:
            return weights
        vector = np.zeros(self.terms, np.float32)
        vector[self._rows] = weights
        return vector

    def _weights(self, kept: Vector, pooled: Vector) -> Vector:
        """Weights of the rows: of positions that count ``kept``, or of the mean of all, ``pooled``."""
        head, pool = self._head, self._side.pool
        if pool == "sum":
            slices = [np.arange(at, min(at + SLICE, head.terms)) for at in range(0, head.terms, SLICE)]
            return np.concatenate([self._activation.array(head.logits(kept, part)).sum(0) for part in slices])
        if pool != "max":
            state = state_pool(pool).array(pooled if pool == "mean" else kept)
            kept = (_unit(state) if pool == "mean" else state)[None]
        return self._activation.array(head.max_logits(kept))

    def positions(self, states: Vector, tokens: Tokens, terms: NDArray[np.intp]) -> NDArray[np.int64]:
        pooled = states[tokens.pooled_from : len(tokens.ids)]
        if self._side.pool in ("cls", "last") or not len(pooled):
            return super().positions(states, tokens, terms)
        rows = terms if self._rows is None else np.searchsorted(self._rows, terms).clip(max=self._head.terms - 1)
        logits = self._head.logits(pooled, rows)
        if tokens.terms is not None:
            logits[~np.array(tokens.literal, bool)] = -np.inf
        return np.asarray(logits.argmax(0) + tokens.pooled_from, np.int64)


def rows_of(network: TorchSide) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows float[V, H] and bias float[V] of the vocabulary; of stems only the first have one."""
    if network.side.stems:
        return network.parts["vocabulary_weight"], network.parts["vocabulary_bias"]
    assert network.vocabulary is not None  # noqa: S101
    return network.vocabulary.weight, network.vocabulary.bias


def term_logits(network: TorchSide, hidden: torch.Tensor, terms: torch.Tensor) -> torch.Tensor:
    """Logits float32[B, L, T] of some terms int64[T], factors of gates included, written out.

    ``hidden`` is float[B, L, H].
    """
    from torch.nn.functional import linear

    weight, bias = rows_of(network)
    logits, factors = linear(hidden, weight[terms], bias[terms]).float(), network.factors(hidden)
    return logits if factors is None else logits * factors[..., None]


def stem_logits(network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Logits float32[B, R] of the stems that have a row, the largest or that of the mean, before the activation.

    ``hidden`` is float[B, L, H].
    """
    import torch

    from lsr.encoders.parts.products.torch_products import compacted, max_logits
    from lsr.encoders.parts.scorers import unit_tensor

    weight, bias = rows_of(network)
    if network.side.pool == "mean":
        state = unit_tensor(state_pool("mean").tensor(hidden.float(), batch.attention))
        logits = torch.nn.functional.linear(state, weight.float(), bias.float()).float()
        return logits.masked_fill(~batch.pooled.any(1, keepdim=True), -torch.inf)
    states, mask = compacted(halved(hidden), batch.pooled)
    return max_logits(states, halved(weight), bias, mask)[0]


def widened(network: TorchSide, reps: torch.Tensor) -> torch.Tensor:
    """Weights of the first stems float32[B, R] with 0 for all others, float32[B, V]."""
    from torch.nn.functional import pad

    return pad(reps, (0, network.terms - reps.shape[1]))


def halved(values: torch.Tensor) -> torch.Tensor:
    """``values``, float[...], in the type of mixed precision where that is on: own kernels do not ask for it."""
    import torch

    kind = values.device.type
    return values.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else values


def _of_one_state(network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
    from torch.nn.functional import linear

    weight, bias = rows_of(network)
    states = state_pool(network.side.pool).tensor(halved(hidden), batch.pooled)
    return network.activation.tensor(linear(states, halved(weight), bias)) * batch.pooled.any(1, keepdim=True)


def _over_positions(network: TorchSide, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    import torch

    from lsr.encoders.parts.products import torch_products as products

    weight, bias = rows_of(network)
    weight, activation, factors = halved(weight), network.activation, network.factors(hidden)
    if factors is not None:
        hidden, weight, bias = products.scale_logits(hidden, factors, weight, bias)
    elif network.side.pool == "max" and not torch.is_grad_enabled() and hidden.device.type == "cpu":
        return activation.tensor(_max_on_cpu(network, hidden, mask))
    if network.side.pool == "sum":
        return products.sum_weights(hidden, weight, bias, mask, activation)
    if torch.is_grad_enabled():
        return activation.tensor(products.max_logits(hidden, weight, bias, mask)[0])
    return activation.tensor(products.max_values(hidden, weight, bias, mask))


def _max_on_cpu(network: TorchSide, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    import torch

    from lsr.encoders.parts.products.cpu_head import CpuHead

    weight, bias = rows_of(network)
    version = weight._version, bias._version
    if network.kept.get("version") != version:
        head = CpuHead(weight.detach().float().numpy(), bias.detach().float().numpy())
        network.kept.update(version=version, head=head)
    states, counted = hidden.float().numpy(), mask.numpy()
    rows = network.kept["head"].max_logits_of([states[i, counted[i]] for i in range(len(states))])
    return torch.from_numpy(rows)


def _unit(state: Vector) -> Vector:
    return np.asarray(state / max(float(np.linalg.norm(state)), SHORTEST), np.float32)
