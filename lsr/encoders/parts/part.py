"""What does a part say of itself? Its name, its tensors, what it goes together with, and how it runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from lsr.encoders.parts.activations import Activation
from lsr.encoders.side import Backbone, Side
from lsr.encoders.tokens.word_pieces import Tokens

if TYPE_CHECKING:
    import torch
    from torch import nn

    from lsr.encoders.tokens.batch import Batch

Vector = NDArray[np.float32]
Shapes = dict[str, tuple[int, ...]]
Parts = dict[str, NDArray[Any]]  # tensors by name: float32, row numbers int32
NETWORKS: tuple[Backbone, ...] = ("masked-lm", "encoder", "causal-lm", "bidirectional-lm")


class Sizes(NamedTuple):
    """What the shapes of tensors depend on.

    Attributes:
        width: numbers of a state, H.
        vocabulary: terms of the tokenizer, or of its stems, V.
        codes: size of an autoencoder's code; 0 means 4 H (CSR, arXiv 2503.01776, section 4).
        rows: stems that a head "vocabulary" of stems can give, the first ones.
    """

    width: int
    vocabulary: int
    codes: int = 0
    rows: int = 0


class TorchSide(Protocol):
    """A side as torch holds it; `lsr.encoders.network.side_network.SideNetwork` is one."""

    side: Side
    terms: int
    activation: Activation
    parts: nn.ParameterDict
    vocabulary: nn.Linear | None
    kept: dict[str, Any]  # what a head keeps between calls

    def factors(self, hidden: torch.Tensor) -> torch.Tensor | None:
        """Factors float[B, L] of the logits of every position of float[B, L, H], by the gates that have some."""


class Part:
    """A unit.

    Attributes:
        name: as declarations call it.
        about: in a few words, for the documentation.
    """

    name: ClassVar[str]
    about: ClassVar[str] = ""

    def fault(self, side: Side) -> str | None:
        """Why ``side`` cannot have this part, or None."""
        del side
        return None

    def shapes(self, side: Side, sizes: Sizes) -> Shapes:
        """Names and shapes of the part's tensors."""
        del side, sizes
        return {}


class Pool(Part):
    """How positions become one; `lsr.encoders.parts.pools` has two kinds.

    Attributes:
        pooled: what becomes one, for messages.
    """

    pooled: ClassVar[str]


class ArrayHead(ABC):
    """A head in numpy, for one text at a time.

    Attributes:
        terms: columns of its vectors, before the sparsifier.
    """

    terms: int

    @abstractmethod
    def __call__(self, states: Vector, tokens: Tokens) -> Vector:
        """Weights float32[terms] of one text with states float32[L, H]."""

    def positions(self, states: Vector, tokens: Tokens, terms: NDArray[np.intp]) -> NDArray[np.int64]:
        """For each term the token that gave it, int64[T]; -1 where no single one did.

        ``states`` is float32[L, H], ``terms`` intp[T].
        """
        del states, tokens
        return np.full(len(terms), -1)


class Head(Part, ABC):
    """What turns states into weights.

    Attributes:
        backbones: networks that it may stand on; ``("none",)`` for a head that looks weights up.
        pools: the kind of pool that it takes; None: it says more in `fault`.
        columns_are: "tokens" (or stems) of the vocabulary, "latents" that are numbered, or "numbers" of a dense vector.
    """

    backbones: ClassVar[tuple[Backbone, ...]] = NETWORKS
    pools: ClassVar[type[Pool] | None] = None
    columns_are: ClassVar[str] = "tokens"

    @property
    def reads_states(self) -> bool:
        """Whether a network runs before it."""
        return self.backbones != ("none",)

    @property
    def dense(self) -> bool:
        """Whether vectors have no vocabulary: they go into no inverted index."""
        return self.columns_are == "numbers"

    def columns(self, side: Side, parts: Parts, sizes: Sizes) -> int:
        """Columns of its vectors."""
        del side, parts
        return sizes.vocabulary

    @abstractmethod
    def tensor(self, network: TorchSide, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] of states float[B, L, H] in torch, before gates and sparsifier."""

    @abstractmethod
    def arrays(self, side: Side, parts: Parts, sizes: Sizes) -> ArrayHead:
        """The head in numpy."""

    def tensor_positions(
        self, network: TorchSide, hidden: torch.Tensor, batch: Batch, terms: torch.Tensor
    ) -> torch.Tensor:
        """For each term int64[T] of the only text of a batch the token that gave it, int64[T]; -1 where none did.

        ``hidden`` is float[1, L, H].
        """
        import torch

        del network, hidden, batch
        return torch.full_like(terms, -1)


class Gate(Part, ABC):
    """A further factor.

    Attributes:
        heads: which ones it acts on.
        in_arrays: whether it runs without torch.
        gives_literal: whether the weight of a term that occurs in the text comes from there.
    """

    heads: ClassVar[tuple[str, ...]]
    in_arrays: ClassVar[bool] = True
    gives_literal: ClassVar[bool] = False

    def factors(self, network: TorchSide, hidden: torch.Tensor) -> torch.Tensor | None:
        """Factors float[B, L] of the logits of every position, or None: the gate acts on weights."""
        del network, hidden
        return None

    @abstractmethod
    def tensor(self, network: TorchSide, reps: torch.Tensor, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Weights float[B, V] after the gate. ``reps`` is float[B, V], ``hidden`` float[B, L, H]."""

    def array(self, parts: Parts, vector: Vector, states: Vector, tokens: Tokens) -> Vector:
        """The same of one text: ``vector`` float32[V], ``states`` float32[L, H]; float32[V]."""
        raise NotImplementedError(f"gate {self.name!r} runs in torch only")


class Sparsifier(Part, ABC):
    """Which entries of a vector stay; the others are 0, and gradients go through those that stay.

    Attributes:
        needs_k: whether ``k`` says how many.
        over_batch: whether texts of a batch compete; a fixed threshold, learned in training, stands for that then.
    """

    needs_k: ClassVar[bool] = True
    over_batch: ClassVar[bool] = False

    def fault(self, side: Side) -> str | None:
        """Why ``side`` cannot have this part, or None."""
        if self.needs_k and side.k < 1:
            return f"sparsifier {self.name!r} needs k of 1 or more, found {side.k}"
        return None

    def columns(self, columns: int) -> int:
        """Columns of what is left of vectors with ``columns``."""
        return columns

    @abstractmethod
    def choose(self, reps: torch.Tensor, k: int) -> torch.Tensor:
        """The entries that stay in training, signs and width as they are. float[B, V] in and out."""

    def tensor(self, reps: torch.Tensor, k: int, threshold: float | torch.Tensor) -> torch.Tensor:
        """What is stored: float[B, V], ``threshold`` one number or float[V]."""
        del threshold
        return self.choose(reps, k)

    @abstractmethod
    def array(self, vector: Vector, k: int, threshold: Vector | float) -> Vector:
        """The same of one text, float32[V] in and out; ``threshold`` is one number or float32[V]."""
