"""What can a second encoder add to documents of stems? Its terms, folded into stems that do not occur in the text.

An encoder that is asked by its own network is close to one that is asked by a sum of one vector a stem; what a stem
adds to its score is then a weight that the document can hold. Queries stay a table.
`lsr.training.teachers.expander` fits the vectors.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.encoders.base import CorpusCounts, Counted, Encoder, Observation, Origin, Span, as_texts, by_weight
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.runners.rows import Rows
from lsr.encoders.storage.files import read_json, read_tensors, write_tensors
from lsr.encoders.storage.layout import EXPANDED
from lsr.errors import EncoderError
from lsr.sparse import SparseMatrix

FILE, TENSORS = EXPANDED, "folding.safetensors"
BASE, EXPANDER = "base", "expander"
FORMAT = 1
MOST_FACTOR = 1e6


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much is added.

    Attributes:
        factor: of what a stem adds to the other encoder's score.
        above: what is taken off before.
        most: terms that a document keeps, the heaviest; 0 keeps all.
        format: of the folder.
    """

    factor: Annotated[float, msgspec.Meta(gt=0, le=MOST_FACTOR)]
    above: Annotated[float, msgspec.Meta(ge=0, le=MOST_FACTOR)]
    most: Annotated[int, msgspec.Meta(ge=0)] = 0
    format: int = FORMAT


@dataclass(frozen=True)
class StemVectors:
    """One vector a stem, of few terms of the other encoder.

    Attributes:
        terms: int64[R, k], of the other encoder, for each of the first R stems, the largest first.
        weights: float32[R, k].
        settings: how much is added.
    """

    terms: NDArray[np.int64]
    weights: NDArray[np.float32]
    settings: Settings

    def of(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """What each stem adds, float32[R], by the other encoder's vector of a text."""
        sums = np.einsum("rk,rk->r", vector[self.terms], self.weights)
        return np.asarray(np.maximum(sums - np.float32(self.settings.above), 0) * np.float32(self.settings.factor))

    def save(self, folder: Path) -> None:
        """Write what is between two encoders."""
        terms = self.terms.astype(np.min_scalar_type(int(self.terms.max(initial=0))))
        write_tensors(folder / TENSORS, {"terms": terms, "weights": self.weights.astype(np.float16)})
        (folder / FILE).write_bytes(msgspec.json.format(msgspec.json.encode(self.settings)))


class ExpandedEncoder(Encoder):
    """An encoder of stems whose documents also hold stems by a second encoder.

    Args:
        base: of stems; it encodes queries alone.
        expander: any other sparse encoder, or what loads it when the first document is encoded: queries do without.
        stem_vectors: what its terms mean to stems.
        name: what a person calls it.

    Raises:
        EncoderError: encoders of other kinds, or vectors of stems that do not belong to them.
    """

    def __init__(
        self, base: Encoder, expander: Encoder | Callable[[], Encoder], stem_vectors: StemVectors, name: str
    ) -> None:
        if not isinstance(base, NeuralEncoder) or not base.declaration.document.stems:
            raise EncoderError(f"{base.name} has no stems to fold another encoder's terms into: wanted a base of stems")
        self.base, self._expander, self.stem_vectors, self.name = base, expander, stem_vectors, name
        self.batch_documents, self.learns = base.batch_documents, base.learns
        if isinstance(expander, Encoder):
            _ = self.expander  # faults show now

    @cached_property
    def expander(self) -> Encoder:
        """The second encoder.

        Raises:
            EncoderError: the vectors of stems do not belong to it.
        """
        expander = self._expander if isinstance(self._expander, Encoder) else self._expander()
        terms = self.stem_vectors.terms
        if terms.size and (terms.max() >= expander.dim or len(terms) > self.base.dim):
            raise EncoderError(
                f"{self.name}: terms up to {int(terms.max()):,} for {len(terms):,} stems, but "
                f"{expander.name} has {expander.dim:,} terms and {self.base.name} {self.base.dim:,}; fold them again"
            )
        return expander

    @property
    def terms(self) -> Sequence[str]:
        """Those of the base."""
        return self.base.terms

    @property
    def dim(self) -> int:
        """Number of columns."""
        return self.base.dim

    @property
    def fingerprint(self) -> str:
        """Of both encoders and of what is between them."""
        digest = hashlib.sha256(f"{self.base.fingerprint} {self.expander.fingerprint}".encode())
        for part in (self.stem_vectors.terms, self.stem_vectors.weights):
            digest.update(np.ascontiguousarray(part).tobytes())
        digest.update(msgspec.json.encode(self.stem_vectors.settings))
        return f"folded-{digest.hexdigest()[:32]}"

    @property
    def learned(self) -> bool:
        """Whether the base has learned from a corpus."""
        return self.base.learned

    @property
    def longest(self) -> int | None:
        """Word-pieces of a document that the base reads at once."""
        return self.base.longest

    def hashed(self, term: int) -> bool:
        """Whether stems without a name of their own share ``term``."""
        return self.base.hashed(term)

    def fresh(self) -> ExpandedEncoder:
        """The same with a fresh base; the expander is shared."""
        if not self.learned:
            return self
        other = copy(self)
        other.base = self.base.fresh()
        return other

    def observe(self, texts: Sequence[str]) -> Observation:
        """Document vectors; the base takes note of the corpus."""
        texts = as_texts(texts)
        found = self.base.observe(texts)
        return Observation(self._added(found.matrix, texts), found.truncated)

    def seen(self) -> CorpusCounts | None:
        """What the base has counted."""
        return self.base.seen()

    def counts(self, texts: Sequence[str]) -> Counted | None:
        """Those of the base."""
        return self.base.counts(texts)

    def following(self, corpus: CorpusCounts, terms: Sequence[str] = ()) -> ExpandedEncoder:
        """The same with a base that follows these counts; the expander is shared."""
        other = copy(self)
        other.base = self.base.following(corpus, terms)
        return other

    def encoded(self, texts: Sequence[str]) -> Observation:
        """Document vectors, and how many texts the base truncated."""
        texts = as_texts(texts)
        found = self.base.encoded(texts)
        return Observation(self._added(found.matrix, texts), found.truncated)

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors."""
        return self.encoded(texts).matrix

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors of the base."""
        return self.base.encode_queries(texts)

    def spans(self, text: str) -> list[Span]:
        """Every stem that occurs in ``text``."""
        return self.base.spans(text)

    def explain(self, text: str, query: bool = False) -> list[Origin]:
        """Every term of the vector of ``text``; what both encoders gave is said to be the base's."""
        if query:
            return self.base.explain(text, query=True)
        matrix = self.encode_documents([text])
        known = {origin.term: (origin.start, origin.end) for origin in self.base.explain(text)}
        others = {origin.term: origin for origin in self.expander.explain(text)}
        places = [known.get(term) or self._place(term, others) for term in matrix.terms.tolist()]
        return by_weight(matrix, places)

    def save(self, folder: Path) -> None:
        """Write both encoders, what is between them and how much of it is added."""
        for name, encoder in ((BASE, self.base), (EXPANDER, self.expander)):
            (folder / name).mkdir()
            encoder.save(folder / name)
        self.stem_vectors.save(folder)

    @classmethod
    def load(cls, folder: Path, load: Callable[[Path], Encoder]) -> ExpandedEncoder:
        """What `save` wrote; ``load`` opens each of the two encoders in it.

        Raises:
            EncoderError: a part is missing or damaged.
        """
        try:
            settings = msgspec.convert(read_json(folder / FILE), Settings)
        except msgspec.ValidationError as error:
            raise EncoderError(f"{folder / FILE}: not the settings of an expanded encoder ({error})") from None
        if settings.format != FORMAT:
            raise EncoderError(f"{folder}: format {settings.format}, wanted {FORMAT}; write it with this version")
        if not (folder / EXPANDER).is_dir():
            raise EncoderError(f"{folder} holds no complete model: the folder {EXPANDER} is missing")
        stem_vectors = _read_stem_vectors(folder / TENSORS, settings)
        return cls(load(folder / BASE), lambda: load(folder / EXPANDER), stem_vectors, folder.resolve().name)

    def _added(self, own: SparseMatrix, texts: Sequence[str]) -> SparseMatrix:
        others, rows = self.expander.encode_documents(texts), Rows(len(texts), self.dim)
        vector, total = np.zeros(self.expander.dim, np.float32), np.zeros(self.dim, np.float32)
        for at, text in enumerate(texts):
            terms, values = others.row(at)
            vector[terms] = values
            kept = self._sum(own.row(at), vector, [span.term for span in self.base.spans(text)], total)
            vector[terms] = 0
            rows.put([at], np.array([kept.size]), kept, total[kept])
            total[:] = 0
        return rows.matrix()

    def _sum(
        self,
        own: tuple[NDArray[np.integer], NDArray[np.float32]],
        vector: NDArray[np.float32],
        stems: list[int],
        total: NDArray[np.float32],
    ) -> NDArray[np.intp]:
        """Fill ``total`` with one text's weights; the terms that stay."""
        if stems:
            total[: len(self.stem_vectors.terms)] = self.stem_vectors.of(vector)
            total[stems] = 0
        total[own[0]] += own[1]
        side = self.base.declaration.document
        least = side.threshold * total.max(initial=0) if side.sparsifier == "relative" else 0
        kept, most = np.flatnonzero(total > least), self.stem_vectors.settings.most
        if 0 < most < kept.size:
            kept = np.sort(kept[np.argpartition(-total[kept], most)[:most]])
        return kept

    def _place(self, stem: int, others: dict[int, Origin]) -> tuple[int, int]:
        """Where the term is that adds most to ``stem``."""
        pairs = zip(self.stem_vectors.terms[stem].tolist(), self.stem_vectors.weights[stem].tolist(), strict=True)
        added = [(others[term].weight * weight, others[term]) for term, weight in pairs if term in others and weight]
        if not added:
            return -1, -1
        best = max(added, key=lambda pair: pair[0])[1]
        return best.start, best.end


def _read_stem_vectors(path: Path, settings: Settings) -> StemVectors:
    found = read_tensors(path)
    shapes = {name: list(tensor.shape) for name, tensor in found.items()}
    if shapes.keys() != {"terms", "weights"} or shapes["terms"] != shapes["weights"] or found["terms"].ndim != 2:
        raise EncoderError(f"{path}: found tensors {shapes}; wanted terms and weights of one shape [stems, k]")
    terms, weights = found["terms"], found["weights"]
    if terms.dtype.kind not in "iu" or weights.dtype.kind != "f" or terms.min(initial=0) < 0:
        raise EncoderError(
            f"{path}: found terms of {terms.dtype}, weights of {weights.dtype}; wanted ids and fractions"
        )
    if not np.isfinite(weights).all():
        raise EncoderError(f"{path}: weights hold NaN or infinity; the file is damaged")
    return StemVectors(found["terms"].astype(np.int64), found["weights"].astype(np.float32), settings)
