"""What do another encoder's terms mean to stems? One vector a stem, fitted to queries as both encoders ask them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from lsr.encoders import load
from lsr.encoders.base import Encoder
from lsr.encoders.convert.export import export_onnx
from lsr.encoders.convert.prune import Pruning
from lsr.encoders.expanded import BASE, EXPANDER, MOST_FACTOR, ExpandedEncoder, Settings, StemVectors
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.registry import folder_of
from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError
from lsr.training.data.sources import TrainingData
from lsr.training.teachers.stem_regression import word_table
from lsr.training.teachers.vector_cache import query_vectors

QUERIES = 65_536  # that vectors are fitted to, or up to twice as many
TERMS, KEPT = 6_000, 16  # of the other encoder in all, and of these a stem
ABOVE = 0.1  # taken off what a stem adds, before the factor


def expand(
    base: Path | str, expander: Path, data: TrainingData, target: Path, factor: float, int8: bool = False, most: int = 0
) -> None:
    """Write an encoder of stems whose documents hold what those of another say, into the new folder ``target``.

    Args:
        base: of stems; of one that was folded before, its own base.
        expander: a sparse encoder with queries of its own; it is exported with only the terms that stems need.
        data: queries to fit to.
        target: made here.
        factor: of what a stem adds to a score of the other encoder.
        int8: whether the other encoder is stored as bytes.
        most: terms that a document keeps; 0 keeps all.

    Raises:
        EncoderError: encoders of other kinds, no queries, a factor that is not above 0, a ``target`` that is there.
    """
    if not 0 < factor <= MOST_FACTOR or not data.queries:
        raise EncoderError(
            f"factor {factor:g}, {len(data.queries):,} queries: wanted more than 0 of both, and a factor of at most "
            f"{MOST_FACTOR:,.0f}"
        )
    if target.exists():
        raise EncoderError(f"{target} is there already: name a new folder")
    own, other, folder = load(base, device="cpu"), load(expander), folder_of(base)
    if isinstance(own, ExpandedEncoder):
        own, folder = own.base, folder / BASE
    if not isinstance(other, NeuralEncoder) or other.declaration.dense:
        raise EncoderError(
            f"{expander} holds {other.name!r}: wanted the folder of a SPLADE, or of another sparse network"
        )
    stem_vectors = fit(own, other, data.queries, Settings(factor, ABOVE, most))
    with new_folder(target) as new:
        shutil.copytree(folder, new / BASE)
        _write_small(other, expander, np.unique(stem_vectors.terms), new / EXPANDER, int8)
        stem_vectors.save(new)


def _write_small(encoder: NeuralEncoder, folder: Path, rows: NDArray[np.int64], target: Path, int8: bool) -> None:
    """Export ``encoder`` with some rows of its vocabulary; one that was exported before is copied."""
    if encoder.source.document.model:
        export_onnx(encoder, target, int8, Pruning(rows, 0.0))
    else:
        shutil.copytree(folder, target)


def fit(base: Encoder, expander: Encoder, queries: Sequence[str], settings: Settings) -> StemVectors:
    """What ``expander`` may add to documents of ``base``.

    Args:
        base: of stems; stems that it can fire get vectors.
        expander: a sparse encoder with queries of its own.
        queries: texts like those that will be asked.
        settings: how much it adds.

    Raises:
        EncoderError: ``base`` fires no stems.
    """
    parts = base.source.document.parts if isinstance(base, NeuralEncoder) else {}
    if not (isinstance(base, NeuralEncoder) and base.declaration.document.stems and "vocabulary_bias" in parts):
        raise EncoderError(f"{base.name} fires no stems: wanted an encoder of stems that lsr train wrote")
    chosen = queries[:: max(1, len(queries) // QUERIES)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    wanted, rows = query_vectors(expander, chosen), parts["vocabulary_bias"].size
    table = word_table(base.encode_queries(chosen), wanted, rows, device).clamp(min=0)
    common = _common(table)
    weights, terms = table[:, common].topk(min(KEPT, common.numel()))
    return StemVectors(common[terms].cpu().numpy(), weights.cpu().numpy().astype(np.float32), settings)


def _common(table: torch.Tensor) -> torch.Tensor:
    """Terms that stems need most, ascending."""
    weights, terms = table.topk(min(KEPT, table.shape[1]))
    needed = torch.zeros(table.shape[1], device=table.device).index_add_(0, terms.flatten(), weights.flatten())
    return needed.topk(min(TERMS, table.shape[1])).indices.sort().values
