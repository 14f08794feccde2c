"""Head "table": one number a term, looked up; no network (inference-free queries)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from lsr.encoders.parts.part import Head, Parts, Shapes, Sizes, TorchSide
from lsr.encoders.parts.pools import WeightPool, weight_pool
from lsr.encoders.side import Side
from lsr.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from lsr.encoders.tokens.batch import Batch


class TableHead(Head):
    """Every token weighs what the table says, once or each time (arXiv 2411.04403, eq. 2)."""

    name, about, backbones = "table", "one number per term, without a network", ("none",)
    pools = WeightPool

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """``table`` [V], and ``prior`` [V] where it follows a corpus."""
        prior: Shapes = {"prior": (sizes.vocabulary,)} if side.table == "corpus" else {}
        return {"table": (sizes.vocabulary,)} | prior

    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V]; ``hidden``, float[B, L, H], is not looked at."""
        return table_weights(table_of(network), batch.terms, batch.pooled, network.side.pool)

    def tensor_positions(
        self, network: TorchSide, hidden: torch.Tensor, batch: Batch, terms: torch.Tensor
    ) -> torch.Tensor:
        """The first token of each term int64[T], int64[T]."""
        return (batch.terms[0][:, None] == terms).long().argmax(0)

    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> NoReturn:
        """No weights float32[V].

        Raises:
            EncoderError: always; `lsr.encoders.runners.table_runner` looks up without states.
        """
        raise EncoderError("head 'table' reads no states: it is looked up")


def table_of(network: TorchSide) -> torch.Tensor:
    """One number a term, float32[V]; a learned one is activation(E w + c) (Li-LSR, arXiv 2505.01452, eq. 3)."""
    parts = network.parts
    if network.side.table == "learned" and "embedding" in parts:
        return network.activation.tensor(parts["embedding"] @ parts["table_weight"] + parts["table_bias"])
    table: torch.Tensor = parts["table"]
    return table


def table_weights(table: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, pool: str = "max") -> torch.Tensor:
    """``table[t]`` for every token t that counts, float[B, V]: once or each time.

    ``table`` is float[V], ``ids`` int64[B, L], ``mask`` bool[B, L].
    """
    present = table.new_zeros(ids.shape[0], table.shape[0])
    present = present.scatter_reduce(1, ids, mask.to(table.dtype), reduce=weight_pool(pool).reduce)
    return present * table
