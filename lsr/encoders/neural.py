"""How does a declared system encode? Each side is run by what its folder holds: a table, onnxruntime or torch."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from lsr.encoders.base import CorpusCounts, Counted, Encoder, Observation, Origin, Span, as_texts, by_weight
from lsr.encoders.declaration import write_declaration
from lsr.encoders.lexical.stems import WORDS, Stems, read_stems
from lsr.encoders.parts.registry import head_of
from lsr.encoders.parts.scorers import scales_to_one, unit_rows
from lsr.encoders.parts.tensors import check_parts
from lsr.encoders.runners.rows import by_parts
from lsr.encoders.runners.table_runner import CorpusTable, TableRunner
from lsr.encoders.side import Side
from lsr.encoders.storage.files import file_hashes, small_parts, write_tensors
from lsr.encoders.storage.layout import BODY, FORMAT, PARTS, SideSource, Source, network_files, weight_files, width_of
from lsr.encoders.storage.reader import fingerprint
from lsr.encoders.tokens.stem_tokens import STEMS, terms_of
from lsr.encoders.tokens.word_pieces import Tokens, read_tokenizer
from lsr.errors import EncoderError, MissingExtraError
from lsr.sparse import SparseMatrix

GPU_DOCUMENTS = 2048  # worth encoding together there, to fill buckets of like length


class Runner(Protocol):
    """Texts to vectors by one side."""

    terms: int

    def run(self, texts: Sequence[str]) -> tuple[SparseMatrix, int]:
        """Vectors, and how many texts were truncated."""

    def origins(self, text: str) -> tuple[SparseMatrix, Tokens, NDArray[np.int64]]:
        """The vector of one text, its tokens, and which of them gave each term.

        The last is int64[N] for N terms: places in the tokens.
        """


class NeuralEncoder(Encoder):
    """Any declared system but BM25.

    A side that is a table never imports torch, and the network of the other side is read at its first use.

    Args:
        source: what `lsr.encoders.storage.layout.read_source` found.
        device: "cpu", "cuda", ...; None takes a GPU where there is one.
        half: bfloat16 on a GPU.

    Raises:
        EncoderError: files that are missing, damaged or do not belong together.
        MissingExtraError: torch is needed and not installed.
    """

    batch_documents = 128
    _stale = False  # whether the corpus has changed the query table

    def __init__(self, source: Source, device: str | None = None, half: bool = False) -> None:
        self.name = source.folder.resolve().name
        self.source, self._device, self._half = source, device, half
        self.declaration = source.declaration
        self._check()
        self._corpus = CorpusTable(source.query_side.parts) if source.query_side.side.table == "corpus" else None
        self.learns = self._corpus is not None
        # Faults show now, not at the first text, and queries go on when the folder is replaced.
        _ = self.tokenizer, self.queries
        if head_of(source.query_side.side).reads_states:
            _ = self.documents

    @cached_property
    def documents(self) -> Runner:
        """What encodes documents."""
        return self._runner(self.source.document)

    @cached_property
    def queries(self) -> Runner:
        """What encodes queries."""
        if self.source.query is not None:
            return self._runner(self.source.query)
        side = self.declaration.query_side
        if side == self.source.document.side:
            return self.documents
        return self._shared(side)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """Of documents, neither padding nor cutting."""
        tokenizer = read_tokenizer(self.source.document.tokenizer)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def terms(self) -> list[str]:
        """Names of the columns: word-pieces by id, stems, or numbered latents of an autoencoder."""
        if self.source.document.side.stems:
            return self._stems.names()
        if head_of(self.source.document.side).columns_are == "latents":
            return [f"latent {i}" for i in range(self.documents.terms)]
        return [self.tokenizer.id_to_token(i) or f"[{i}]" for i in range(self.dim)]

    @cached_property
    def dim(self) -> int:
        """Number of columns: of a query table beside a network, the wider of both."""
        query_side = self.source.query_side
        if head_of(query_side.side).reads_states:
            return self.documents.terms
        return max(query_side.parts["table"].size, width_of(self.source.document))

    @property
    def learned(self) -> bool:
        """Whether the query table has followed a corpus."""
        return self._corpus is not None and self._corpus.documents > 0

    @property
    def longest(self) -> int | None:
        """Word-pieces of a document that are read at once, special ones included."""
        side = self.source.document.side
        return side.max_length if head_of(side).reads_states else None

    def hashed(self, term: int) -> bool:
        """Whether stems without a name of their own share ``term``."""
        return self.source.document.side.stems and term >= len(self._stems.stems)

    def fresh(self) -> NeuralEncoder:
        """The same without what a corpus did to the query table; networks are shared."""
        if self._corpus is None or not self.learned or self.source.query is None:
            return self
        other = copy(self)
        parts = {name: part for name, part in self._corpus.parts().items() if name in ("table", "prior")}
        other.source = replace(self.source, query=replace(self.source.query, parts=parts))
        other._corpus, other._stale = CorpusTable(parts), False
        for name in ("queries", "_own_fingerprint"):
            other.__dict__.pop(name, None)
        return other

    @property
    def fingerprint(self) -> str:
        """Hash of weights, vocabulary, parts, length, text template, and of the corpus where that was learned."""
        if self._corpus is None or not self._corpus.documents:
            return self._own_fingerprint
        learned = hashlib.sha256(self._own_fingerprint.encode() + self._corpus.frequency.tobytes())
        return f"neural-{learned.hexdigest()[:32]}"

    @cached_property
    def _own_fingerprint(self) -> str:
        source = self.source
        if self._corpus is not None and source.query is not None:
            parts = {name: part for name, part in source.query.parts.items() if name in ("table", "prior")}
            source = replace(source, query=replace(source.query, parts=parts))
        return fingerprint(source)

    def observe(self, texts: Sequence[str]) -> Observation:
        """Document vectors, and how many texts were truncated.

        A query table that follows the corpus takes note of the terms that stand in the texts.
        """
        if self._corpus is not None:
            self._corpus.observe([self._stems.terms_of(text) for text in as_texts(texts)])
            self._stale = True
        return self.encoded(texts)

    def seen(self) -> CorpusCounts | None:
        """Documents and document frequencies; None where the query table follows no corpus."""
        if self._corpus is None:
            return None
        frequency = self._corpus.frequency.astype(np.int64)
        return CorpusCounts(self._corpus.documents, int(frequency.sum()), frequency)

    def counts(self, texts: Sequence[str]) -> Counted | None:
        """The stems that stand in texts, each once; None where the query table follows no corpus."""
        if self._corpus is None:
            return None
        rows = [dict.fromkeys(self._stems.terms_of(text), 1.0) for text in as_texts(texts)]
        return Counted(SparseMatrix.from_dicts(rows, self.dim), [])

    def following(self, corpus: CorpusCounts, terms: Sequence[str] = ()) -> NeuralEncoder:
        """The same networks with a query table that follows these counts; no term is ever added."""
        if self._corpus is None or self.source.query is None:
            return self
        parts = {name: part for name, part in self._corpus.parts().items() if name in ("table", "prior")}
        frequency = np.zeros(parts["table"].size, np.float32)
        frequency[: corpus.frequency.size] = corpus.frequency
        other = copy(self)
        other._corpus = CorpusTable({**parts, "frequency": frequency, "documents": np.array([corpus.documents])})
        other.__dict__["queries"], other._stale = copy(self.queries), True
        return other

    def encoded(self, texts: Sequence[str]) -> Observation:
        """Document vectors, and how many texts were longer than the model reads."""
        return Observation(*self._run(texts, query=False))

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors; a text longer than the network reads at once is read in windows, or truncated."""
        return self.encoded(texts).matrix

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors."""
        if self._stale and self._corpus is not None:
            self.queries.set_table(self._corpus.weights())  # type: ignore[attr-defined]
            self._stale = False
        return self._run(texts, query=True)[0]

    def encode_dense(self, texts: Sequence[str], query: bool = False) -> NDArray[np.float32]:
        """Vectors of a dense system, float32[N, H]; of length 1 where the scorer is the cosine.

        Raises:
            EncoderError: the system is sparse.
        """
        if not self.declaration.dense:
            raise EncoderError(f"{self.name} makes sparse vectors: call encode_documents or encode_queries")
        vectors = (self.queries if query else self.documents).dense(as_texts(texts))  # type: ignore[attr-defined]
        if scales_to_one(self.declaration.scorer, query):
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return np.asarray(vectors, np.float32)

    def explain(self, text: str, query: bool = False) -> list[Origin]:
        """Every term of the vector of ``text``, heaviest first, with the token that gave it."""
        matrix, tokens, positions = (self.queries if query else self.documents).origins(text)
        if scales_to_one(self.declaration.scorer, query):
            matrix = unit_rows(matrix)
        places = [tokens.offsets[at] if at >= 0 else (-1, -1) for at in positions.tolist()]
        return by_weight(matrix, places)

    def spans(self, text: str) -> list[Span]:
        """Every word-piece or stem of ``text``, special ones left out; none where columns are numbered latents."""
        if self.source.document.side.stems:
            found = ((word, self._stems.term(word.text)) for word in WORDS.placed(text, document=False))
            return [Span(word.start, word.end, term) for word, term in found if term >= 0]
        if head_of(self.source.document.side).columns_are == "latents":
            return []
        encoding = self.tokenizer.encode(text, add_special_tokens=False)
        return [Span(start, end, term) for (start, end), term in zip(encoding.offsets, encoding.ids, strict=True)]

    def save(self, folder: Path) -> None:
        """Write ``encoder.toml``, ``lsr.json``, ``tokenizer.json`` and a folder for each side with its own weights."""
        source = self.source
        (folder / "encoder.toml").write_text(write_declaration(self.declaration), encoding="utf-8")
        copy_vocabulary(source.document, folder)
        save_side(source.document, folder / "document")
        if source.query is not None:
            query_side = source.query if self._corpus is None else replace(source.query, parts=self._corpus.parts())
            save_side(query_side, folder / "query", own_tokenizer=source.query.tokenizer != source.document.tokenizer)
        write_manifest(folder, source.stated)

    def _run(self, texts: Sequence[str], query: bool) -> tuple[SparseMatrix, int]:
        if self.declaration.dense:
            raise EncoderError(f"{self.name} makes dense vectors, which no sparse index holds: call encode_dense")
        side = self.queries if query else self.documents
        matrix, cut = by_parts(side.run, as_texts(texts))
        matrix = matrix.widened(self.dim)
        return (unit_rows(matrix) if scales_to_one(self.declaration.scorer, query) else matrix), cut

    @cached_property
    def _stems(self) -> Stems:
        return read_stems(self.source.document.tokenizer.parent / STEMS)

    def _check(self) -> None:
        """Faults that show without reading a network."""
        if self.source.query is None and not head_of(self.declaration.query_side).reads_states:
            raise EncoderError(f"{self.source.folder}: the query table is missing")
        for side in (self.source.document, self.source.query_side):
            size = terms_of(side.tokenizer, side.side)
            if side.side.head == "table" and "table" not in side.parts:
                raise EncoderError(f"{self.source.folder}: the query table is missing")
            if side.side.head == "table":
                check_parts(side.parts, side.side, 0, side.parts["table"].size, str(self.source.folder))
            if side.side.head == "table" and side.parts["table"].size < size:
                raise EncoderError(
                    f"{self.source.folder}: the query table has {side.parts['table'].size:,} numbers but the "
                    f"vocabulary {size:,} terms; they do not belong together"
                )
            if side.model and not weight_files(side.model):
                raise EncoderError(
                    f"{side.model}: no model.safetensors; pickled weights are not read, convert them first"
                )

    def _runner(self, source: SideSource) -> Runner:
        if source.side.head == "table" and "table" in source.parts:
            table = source.parts["table"] if self._corpus is None else self._corpus.weights()
            return TableRunner(source.side, source.tokenizer, table, self.dim)
        if source.onnx and not (self._device or "cpu").startswith("cuda"):
            from lsr.encoders.runners.onnx_runner import OnnxRunner

            return OnnxRunner(source)
        return self._torch_runner(source)

    def _torch_runner(self, source: SideSource) -> Runner:
        try:
            import torch
        except ImportError:
            raise MissingExtraError("torch", "torch", "this encoder") from None
        from lsr.encoders.network.assemble import read_network
        from lsr.encoders.runners.torch_runner import TorchRunner

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.batch_documents = GPU_DOCUMENTS if device != "cpu" else self.batch_documents
        return TorchRunner(read_network(source), source.tokenizer, device, self._half)

    def _shared(self, side: Side) -> Runner:
        """Queries by the documents' weights under another declaration."""
        document = self.source.document
        if document.onnx:
            shared: Runner = self._runner(replace(document, side=side))
            return shared
        from lsr.encoders.network.assemble import with_side
        from lsr.encoders.runners.torch_runner import TorchRunner

        network = with_side(self.documents.network, side)  # type: ignore[attr-defined]
        return TorchRunner(network, document.tokenizer, self.documents.device, self._half)  # type: ignore[attr-defined]


def copy_vocabulary(source: SideSource, folder: Path) -> None:
    """Copy the tokenizer, and the list of stems where there is one."""
    shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
    if source.side.stems:
        shutil.copyfile(source.tokenizer.parent / STEMS, folder / STEMS)


def save_side(source: SideSource, folder: Path, own_tokenizer: bool = False, int8: bool = False) -> None:
    """Copy one side's network and write its tensors, large ones as bytes with ``int8``."""
    folder.mkdir()
    if source.model:
        for path in network_files(source.model):
            copy = folder / path.relative_to(source.model)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(path, copy)
    if source.onnx:
        shutil.copyfile(source.onnx, folder / BODY)
    if own_tokenizer:
        shutil.copyfile(source.tokenizer, folder / "tokenizer.json")
    if source.onnx and (source.onnx.parent / PARTS).is_file():
        shutil.copyfile(source.onnx.parent / PARTS, folder / PARTS)  # as small as it was
    elif source.parts:
        parts = small_parts(source.parts) if int8 else source.parts
        write_tensors(folder / PARTS, parts)


def write_manifest(folder: Path, stated: str | None) -> None:
    """Checksums of every file, and the fingerprint that an export states."""
    manifest = {"format": FORMAT, "fingerprint": stated, "files": file_hashes(folder)}
    (folder / "lsr.json").write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
