"""What is being trained? Both sides of a declared system as networks, from a start to an encoder that is saved."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lsr.encoders.declaration import read_system
from lsr.encoders.network.assemble import read_network, untrained, with_side
from lsr.encoders.network.backbone import write_body
from lsr.encoders.network.side_network import SideNetwork
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.parts.heads import autoencoder
from lsr.encoders.parts.heads.table import table_of
from lsr.encoders.parts.heads.token_weight import token_scores
from lsr.encoders.parts.heads.vocabulary import stem_logits, widened
from lsr.encoders.parts.registry import head_of, sparsifier_of
from lsr.encoders.parts.scorers import scales_to_one, unit_rows
from lsr.encoders.parts.sparsifiers.over_batch import OverBatch
from lsr.encoders.runners.rows import Rows
from lsr.encoders.runners.table_runner import CorpusTable
from lsr.encoders.side import Side
from lsr.encoders.storage.layout import SideSource, Source
from lsr.encoders.storage.reader import read_source
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.word_pieces import read_tokenizer, special_ids
from lsr.errors import TrainingError
from lsr.sparse import SparseMatrix
from lsr.training.data.ragged import as_rows, moved
from lsr.training.data.token_store import TokenStore
from lsr.training.recipe import Recipe
from lsr.training.student.frozen_states import FrozenStates, texts_together
from lsr.training.student.lora import add_adapter, merged


class Encoded(NamedTuple):
    """Vectors of N texts.

    Attributes:
        base: float32[N, V], before the sparsifier.
        states: what an autoencoder saw, float32[N, H], or None.
        plain: ``base`` before its last step, or None: without the literal residual, which penalties look at (PROSPER,
            eq. 13), without the counts of stems, or before the ReLU, where DeepCT learns term recall.
        logits: of stems that have a row, float32[N, R], where these are to be like a teacher's weights.
    """

    base: torch.Tensor
    states: torch.Tensor | None = None
    plain: torch.Tensor | None = None
    logits: torch.Tensor | None = None


class Student(nn.Module):
    """Two networks that may share weights.

    Args:
        source: where they start.
        frozen: states of a body that does not learn; None where it does.

    Attributes:
        recalls: whether documents' token weights are learned as numbers of any sign, before the ReLU (DeepCT).
        copies: whether documents' vectors are to be like a teacher's.
    """

    def __init__(self, source: Source, frozen: FrozenStates | None = None) -> None:
        super().__init__()
        self.source, self.frozen, self.recalls, self.learns_targets = source, frozen, False, False
        self.document = read_network(source.document)
        query_side = source.declaration.query_side
        shared = self.document if query_side == source.document.side else with_side(self.document, query_side)
        self.query = read_network(source.query) if source.query else shared
        if self.query.side.backbone == self.document.side.backbone and not source.declaration.separate:
            self.query.body = self.document.body  # a side with parts of its own, like LexSemBridge's queries

    def side(self, query: bool) -> SideNetwork:
        """The network of one side."""
        return self.query if query else self.document

    def encode(self, batch: Batch, query: bool) -> Encoded:
        """Vectors of a batch, with gradients."""
        network = self.side(query)
        if "literal-residual" in network.side.gates:
            hidden = network.states(batch)
            plain = network.ungated(hidden, batch)
            return Encoded(network.gated(plain, hidden, batch), None, plain)
        if _fires_stems(network.side):
            hidden = network.states(batch)
            logits = stem_logits(network, hidden, batch)
            plain = widened(network, network.activation.tensor(logits))
            return Encoded(network.gated(plain, hidden, batch), None, plain, logits if self.learns_targets else None)
        if self.recalls and not query:
            plain = token_scores(network, network.states(batch), batch)
            return Encoded(network.activation.tensor(plain), None, plain)
        if network.side.head != "autoencoder":
            return Encoded(network.base(batch))
        states = autoencoder.pooled_states(network, network.states(batch), batch)
        return Encoded(autoencoder.activated_codes(network, states), states)

    def encode_rows(self, store: TokenStore, rows: Sequence[int] | NDArray[np.int64], query: bool) -> Encoded:
        """Vectors of some texts of ``store``, with gradients; a frozen body reads a text only once.

        ``rows`` is int[B]; vectors are float[B, V].
        """
        network = self.side(query)
        device = next(network.parameters()).device
        if self.frozen is None:
            return self.encode(store.batch(rows, device), query)
        with torch.autocast(device.type, enabled=False):  # kept states are of full precision, whoever asks first
            known = self.frozen.of(store, network, self.source.query_side if query else self.source.document)
            states = known.index_select(0, moved(as_rows(rows), known.device)).to(device)
            return Encoded(autoencoder.activated_codes(network, states), states)

    def vectors(self, store: TokenStore, query: bool, k: int = 0) -> SparseMatrix:
        """Vectors of all texts, as a saved encoder gives them; ``k`` above 0 takes the place of the declared one."""
        network, rows = self.side(query), Rows(len(store), self.side(query).terms)
        for part, encoded in self._encoded(store, query):
            found = network.sparse(encoded.base, k)
            texts, terms = (found != 0 if head_of(network.side).dense else found > 0).nonzero(as_tuple=True)
            counts, weights = torch.bincount(texts, minlength=len(part)), found[texts, terms].float()
            rows.put(part, *(values.cpu().numpy() for values in (counts, terms, weights)))
        matrix = rows.matrix()
        return unit_rows(matrix) if scales_to_one(self.source.declaration.scorer, query) else matrix

    def in_corpus(self, queries: SparseMatrix, documents: TokenStore) -> SparseMatrix:
        """Query vectors as an index of ``documents`` would weigh them, where the table follows the corpus."""
        if self.query.side.table != "corpus":
            return queries
        parts = {name: value.detach().float().cpu().numpy() for name, value in self.query.parts.items()}
        seen = {"frequency": documents.document_frequency(queries.dim), "documents": np.array([len(documents)])}
        ratio = CorpusTable(parts | seen).weights() / np.where(parts["table"] > 0, parts["table"], 1)
        return SparseMatrix(queries.indptr, queries.terms, queries.values * ratio[queries.terms], queries.dim)

    def _encoded(self, store: TokenStore, query: bool) -> Iterator[tuple[list[int], Encoded]]:
        """All texts, longest first, with their rows."""
        size = texts_together(next(self.parameters()).device)
        order = np.argsort(-store.lengths, kind="stable")
        for at in range(0, len(order), size):
            part = order[at : at + size]
            with torch.no_grad():
                yield part.tolist(), self.encode_rows(store, part.tolist(), query)

    def save(self, folder: Path) -> None:
        """Write an encoder that `lsr.encoders.load` reads into the empty folder ``folder``."""
        with tempfile.TemporaryDirectory() as place:
            document = _side(self.source.document, self.document, Path(place, "document"))
            query = self.source.query and _side(self.source.query, self.query, Path(place, "query"))
            NeuralEncoder(replace(self.source, document=document, query=query, stated=None), "cpu").save(folder)


def start(recipe: Recipe, model: Path, seed: int = 0, cache: Path | None = None) -> Student:
    """The system of ``recipe`` on the weights in ``model``: an encoder of ours goes on, another gets new parts.

    ``cache`` is a folder for the states of a body that an autoencoder's recipe freezes.

    Raises:
        TrainingError: an encoder of another system.
        EncoderError: ``model`` cannot be read.
    """
    declaration = read_system(recipe.system)
    if (model / "encoder.toml").is_file():
        source = read_source(model)
        if source.declaration.title != declaration.title:
            raise TrainingError(f"{model} holds {source.declaration.title!r}, the recipe trains {declaration.title!r}")
    else:
        source = untrained(declaration, model, recipe.codes.size if recipe.codes else 0, seed)
        _first_weights(source.document)
        if source.query:
            _first_weights(source.query)
    frozen = FrozenStates(cache) if recipe.codes and "body" in recipe.freeze else None
    student = Student(_cut(source, recipe), frozen)
    if source.query_side.side.table == "learned":
        _grow_table(student, seed)
    student.recalls, student.learns_targets = "term_recall" in recipe.losses, bool(recipe.losses.get("sparse_mse"))
    for body in {student.document.body, student.query.body} - {None} if recipe.adapter else ():
        add_adapter(body, recipe.adapter, seed)  # type: ignore[arg-type]
    return student


def _fires_stems(side: Side) -> bool:
    return side.head == "vocabulary" and side.stems and side.pool in ("max", "mean") and "importance" not in side.gates


def set_idf(student: Student, documents: TokenStore) -> None:
    """Fill the query table with ln(1 + (N - df + 0.5) / (df + 0.5)) of word-pieces (arXiv 2411.04403, section 3.1)."""
    table = student.query.parts["table"]
    frequency = documents.document_frequency(table.numel())
    idf = np.log1p((len(documents) - frequency + 0.5) / (frequency + 0.5))
    with torch.no_grad():
        table.mul_(torch.from_numpy(np.where(frequency > 0, idf, 1.0)).to(table))


def _first_weights(source: SideSource) -> None:
    """Tokens start with weight 1 each, as in a bag of words: a head of random sign would lose half of them.

    A literal residual starts small: it would drown the other weights (PROSPER, section 3).
    """
    if "residual_weight" in source.parts:
        source.parts["residual_weight"] *= np.float32(0.1)
    if source.side.head == "token-weight":
        source.parts["token_weight"] *= np.float32(0.1)
        source.parts["token_bias"] += np.float32(1)
    sparsifier = sparsifier_of(source.side)
    if isinstance(sparsifier, OverBatch):
        columns = sparsifier.threshold_columns(source.parts["code_bias"].size)
        source.parts["thresholds"] = np.zeros(columns, np.float32)


def _grow_table(student: Student, seed: int) -> None:
    """A table that is a function of word embeddings while it is trained (Li-LSR, arXiv 2505.01452, section 3)."""
    parts, body = student.query.parts, student.document.body
    if "embedding" in parts or body is None:
        return
    embedding = body.model.get_input_embeddings().weight.detach().clone()  # type: ignore[operator]
    noise = torch.randn(embedding.shape[1], generator=torch.Generator().manual_seed(seed))
    parts["embedding"] = nn.Parameter(embedding)
    parts["table_weight"] = nn.Parameter(noise * 0.01)
    parts["table_bias"] = nn.Parameter(torch.ones(1))
    del parts["table"]


def _cut(source: Source, recipe: Recipe) -> Source:
    """The same, documents no longer than the recipe says, and with the k that training ends with."""
    declaration, steps = source.declaration, recipe.steps
    side, query_side = declaration.document, declaration.query
    side = msgspec.structs.replace(side, max_length=min(side.max_length, recipe.document_length))
    if kept := recipe.codes.k if recipe.codes else recipe.k.get("document"):
        side = msgspec.structs.replace(side, k=kept.whole(steps, steps))
    if query_side and (kept := recipe.k.get("query")):
        query_side = msgspec.structs.replace(query_side, k=kept.whole(steps, steps))
    declaration = declaration.replace(document=side, query=query_side)
    query = source.query and replace(source.query, side=query_side or side)
    return replace(source, document=replace(source.document, side=side), query=query, declaration=declaration)


def _side(source: SideSource, network: SideNetwork, folder: Path) -> SideSource:
    """Where the weights of one side are now."""
    parts = {name: value.detach().float().cpu().numpy() for name, value in network.parts.items()}
    if "embedding" in parts:
        table = table_of(network).detach().float().cpu().numpy().copy()
        table[list(special_ids(read_tokenizer(source.tokenizer)))] = 0
        parts = {"table": table}
    if network.body is None:
        return replace(source, parts=parts)
    folder.mkdir()
    with merged(network.body):
        write_body(network.body, network.vocabulary, folder)
    return replace(source, parts=parts, model=folder)
