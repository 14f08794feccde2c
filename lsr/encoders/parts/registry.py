"""Which parts are there, by name? A new one is its own file and one line here; each is imported at its first use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TypeVar, cast

from lsr.encoders.parts.activations import ACTIVATIONS, Activation
from lsr.encoders.parts.part import Gate, Head, Part, Sparsifier
from lsr.encoders.parts.pools import POOLS, names_of
from lsr.encoders.parts.scorers import SCORERS
from lsr.encoders.side import Side

P = TypeVar("P", bound=Part)


class Registry(Mapping[str, P]):
    """Parts of one kind by name.

    Args:
        kind: in words, for messages.
        places: module below this package and class of every part.
    """

    def __init__(self, kind: str, places: dict[str, str]) -> None:
        self.kind, self._places, self._found = kind, places, dict[str, P]()

    def __getitem__(self, name: str) -> P:
        if name not in self._found:
            module, part = self._places[name].rsplit(".", 1)
            self._found[name] = cast(P, getattr(import_module(f"lsr.encoders.parts.{module}"), part)())
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


HEADS: Registry[Head] = Registry(
    "head",
    {
        "vocabulary": "heads.vocabulary.VocabularyHead",
        "token-weight": "heads.token_weight.TokenWeightHead",
        "table": "heads.table.TableHead",
        "autoencoder": "heads.autoencoder.AutoencoderHead",
        "dense": "heads.dense.DenseHead",
        "bm25": "heads.bm25.Bm25Head",
    },
)
GATES: Registry[Gate] = Registry(
    "gate",
    {
        "importance": "gates.importance.ImportanceGate",
        "quality": "gates.quality.QualityGate",
        "literal-residual": "gates.literal_residual.LiteralResidualGate",
        "literal-only": "gates.literal_only.LiteralOnlyGate",
        "literal-counts": "gates.literal_counts.LiteralCountsGate",
        "modulation": "gates.modulation.ModulationGate",
    },
)
SPARSIFIERS: Registry[Sparsifier] = Registry(
    "sparsifier",
    {
        "topk": "sparsifiers.topk.TopK",
        "abs-topk": "sparsifiers.abs_topk.AbsTopK",
        "batch-topk": "sparsifiers.over_batch.BatchTopK",
        "feature-choice": "sparsifiers.over_batch.FeatureChoice",
        "relative": "sparsifiers.relative.Relative",
        "none": "sparsifiers.none.NoSparsifier",
    },
)


def head_of(side: Side) -> Head:
    """The head of one side."""
    return HEADS[side.head]


def gates_of(side: Side) -> list[Gate]:
    """The gates of one side, in order."""
    return [GATES[name] for name in side.gates]


def sparsifier_of(side: Side) -> Sparsifier:
    """The sparsifier of one side."""
    return SPARSIFIERS[side.sparsifier]


def fault_of_parts(side: Side) -> str | None:
    """Why these parts do not go together, or None."""
    return _fault_of_names(side) or _fault_of_head(side) or sparsifier_of(side).fault(side) or _fault_of_gates(side)


def choices() -> dict[str, dict[str, str]]:
    """Every kind of part that a registry lists, its names, and what each is about."""
    found = {kind: {name: part.about for name, part in parts.items()} for kind, parts in _registries().items()}
    return found | {"scorer": dict(SCORERS)}


def _registries() -> dict[str, Mapping[str, Part | Activation]]:
    return {"head": HEADS, "activation": ACTIVATIONS, "pool": POOLS, "gate": GATES, "sparsifier": SPARSIFIERS}


def _fault_of_names(side: Side) -> str | None:
    named = {"head": (side.head,), "activation": (side.activation,), "pool": (side.pool,), "gate": side.gates}
    for kind, names in {**named, "sparsifier": (side.sparsifier,)}.items():
        known = _registries()[kind]
        if unknown := [name for name in names if name not in known]:
            return f"unknown {kind} {unknown[0]!r}: wanted one of {', '.join(known)}"
    return None


def _fault_of_head(side: Side) -> str | None:
    head = head_of(side)
    if side.backbone not in head.backbones:
        if not head.reads_states:
            return f"head {side.head!r} takes no backbone, found {side.backbone!r}"
        return f"head {side.head!r} needs a backbone: {', '.join(head.backbones)}; found {side.backbone!r}"
    if head.pools is not None and not isinstance(POOLS[side.pool], head.pools):
        *most, last = names_of(head.pools)
        return f"head {side.head!r} pools {head.pools.pooled} by {', '.join(most)} or {last}, found {side.pool!r}"
    return head.fault(side)


def _fault_of_gates(side: Side) -> str | None:
    for gate in gates_of(side):
        if side.head not in gate.heads:
            return f"gate {gate.name!r} needs head {' or '.join(map(repr, gate.heads))}, found {side.head!r}"
        if fault := gate.fault(side):
            return fault
    return None
