"""How does a masked language model become a sparse encoder? SPLADE: its vocabulary logits, max-pooled."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from lsr.encoders.base import Encoder, Observation, Span
from lsr.encoders.model_folder import fingerprint, model_files, read_splade_settings
from lsr.errors import EncoderError, MissingExtraError
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

if TYPE_CHECKING:
    import torch

TOKENS_PER_BATCH = 4096  # padded; larger batches leave the cache and gain nothing on a CPU
CHUNK = 2048  # vocabulary columns of one product: [tokens, CHUNK] stays in cache


class SpladeEncoder(Encoder):
    """A sentence-transformers SPLADE folder or a plain masked-language-model folder, run by torch.

    ``w_t = log1p(relu(max over tokens of logit_t))``; log1p rises, so it is applied after the maximum
    (Formal et al., SIGIR 2021, eq. 6 of "SPLADE v2"). Logits are made a slice of the vocabulary at a time and never
    stand in memory whole.

    Args:
        folder: the model; ``model.safetensors``, ``config.json`` and ``tokenizer.json`` must be there.
        device: "cpu", "cuda", ...; None takes a GPU where there is one.

    Raises:
        EncoderError: files are missing, or the model has no vocabulary head.
        MissingExtraError: torch is not installed.
    """

    batch_documents = 128

    def __init__(self, folder: Path, device: str | None = None) -> None:
        self.name = folder.resolve().name
        self._folder = folder
        self._settings = read_splade_settings(folder)
        self._tokenizer = _load_tokenizer(self._settings.folder, self._settings.max_length)
        self._network = _Network(self._settings.folder, device)
        if self._network.dim < self._tokenizer.get_vocab_size():
            raise EncoderError(
                f"{folder}: the head has {self._network.dim:,} outputs but the tokenizer "
                f"{self._tokenizer.get_vocab_size():,} word-pieces; weights and tokenizer do not belong together"
            )

    @cached_property
    def terms(self) -> list[str]:
        """Word-pieces by id."""
        return [self._tokenizer.id_to_token(i) or f"[{i}]" for i in range(self._network.dim)]

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, architecture, tokenizer, pooling, activation and length."""
        return fingerprint(self._settings)

    def observe(self, texts: Sequence[str]) -> Observation:
        """Document vectors, and how many texts were longer than the model reads."""
        encodings = self._tokenizer.encode_batch(list(texts))
        return Observation(self._encode(encodings), sum(bool(encoding.overflowing) for encoding in encodings))

    def encode_documents(self, texts: Sequence[str]) -> SparseMatrix:
        """Document vectors; a text longer than the model reads is cut."""
        return self.observe(texts).matrix

    def encode_queries(self, texts: Sequence[str]) -> SparseMatrix:
        """Query vectors, by the same network as documents."""
        return self.encode_documents(texts)

    def spans(self, text: str) -> list[Span]:
        """Every word-piece of ``text``, special ones left out."""
        encoding = self._tokenizer.encode(text, add_special_tokens=False)
        return [Span(start, end, term) for (start, end), term in zip(encoding.offsets, encoding.ids, strict=True)]

    def save(self, folder: Path) -> None:
        """Copy the model's files."""
        for path in model_files(self._folder):
            target = folder / path.relative_to(self._folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)

    def _encode(self, encodings: Sequence[Encoding]) -> SparseMatrix:
        """Run the batch in buckets of like length; rows come back in the order given."""
        order = np.argsort([-len(encoding.ids) for encoding in encodings], kind="stable")
        rows: list[tuple[NDArray[Any], NDArray[np.float32]]] = [None] * len(encodings)  # type: ignore[list-item]
        for bucket in _buckets(order, encodings):
            for at, row in zip(bucket, self._network.rows(self._settings, [encodings[i] for i in bucket]), strict=True):
                rows[at] = row
        dim = self._network.dim
        terms = np.concatenate([t for t, _ in rows]).astype(term_dtype(dim)) if rows else np.zeros(0, term_dtype(dim))
        weights = np.concatenate([w for _, w in rows]) if rows else np.zeros(0, np.float32)
        return SparseMatrix(indptr_of([t.size for t, _ in rows]), terms, weights, dim)


class _Network:
    """The masked language model, its last product taken out so that it can be done in slices."""

    def __init__(self, folder: Path, device: str | None) -> None:
        try:
            import torch
            from transformers import AutoModelForMaskedLM
            from transformers.utils import logging
        except ImportError:
            raise MissingExtraError("torch", "torch", "a SPLADE encoder") from None
        self._torch = torch
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        if not list(folder.glob("*.safetensors")):
            raise EncoderError(f"{folder}: no model.safetensors; pickled weights are not read, convert them first")
        logging.disable_progress_bar()
        try:
            model = AutoModelForMaskedLM.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, RuntimeError) as error:
            raise EncoderError(f"{folder}: not a masked language model ({str(error).splitlines()[0]})") from None
        finally:
            logging.enable_progress_bar()
        head = model.get_output_embeddings()
        if head is None:
            raise EncoderError(
                f"{folder}: {type(model).__name__} has no vocabulary head; wanted a masked language model"
            )
        self.dim = int(head.weight.shape[0])
        self._weight, self._bias = head.weight.detach().to(self._device), _bias_of(head, model)
        model.set_output_embeddings(_passthrough(torch))
        self._body = model.to(self._device).eval()
        self._body.requires_grad_(False)

    def rows(self, settings: Any, encodings: Sequence[Encoding]) -> list[tuple[NDArray[Any], NDArray[np.float32]]]:
        """Terms ascending and weights of each text."""
        torch = self._torch
        with torch.inference_mode():
            hidden, mask = self._hidden(encodings)
            dense = self._pool(hidden, mask, settings.pooling, settings.log1p).cpu()
            texts, terms = dense.nonzero(as_tuple=True)
            weights = dense[texts, terms].numpy()
        sizes = np.bincount(texts.numpy(), minlength=len(encodings))
        borders = np.cumsum(sizes)[:-1]
        return list(zip(np.split(terms.numpy(), borders), np.split(weights, borders), strict=True))

    def _hidden(self, encodings: Sequence[Encoding]) -> tuple[torch.Tensor, torch.Tensor]:
        """States before the last product [B, L, H] and the mask bool[B, L]."""
        torch = self._torch
        length = max(len(encoding.ids) for encoding in encodings)
        ids = np.zeros((len(encodings), length), np.int64)
        mask = np.zeros((len(encodings), length), np.int64)
        for i, encoding in enumerate(encodings):
            ids[i, : len(encoding.ids)] = encoding.ids
            mask[i, : len(encoding.ids)] = 1
        on_device = torch.from_numpy(mask).to(self._device)
        states = self._body(input_ids=torch.from_numpy(ids).to(self._device), attention_mask=on_device).logits
        return states, on_device.bool()

    def _pool(self, hidden: torch.Tensor, mask: torch.Tensor, pooling: str, log1p: int) -> torch.Tensor:
        """Dense document vectors float32[B, V]."""
        pooled = self._torch.empty((hidden.shape[0], self.dim), dtype=self._torch.float32)
        for start in range(0, self.dim, CHUNK):
            part = slice(start, start + CHUNK)
            for i in range(hidden.shape[0]):  # one text at a time: no product for padding
                logits = self._torch.addmm(self._bias[part], hidden[i][mask[i]], self._weight[part].T)
                pooled[i, part] = _reduce(logits, pooling, log1p)
        return pooled


def _reduce(logits: torch.Tensor, pooling: str, log1p: int) -> torch.Tensor:
    """[L, C] -> [C]: max then activation, or activation then sum."""
    values = (logits.amax(dim=0) if pooling == "max" else logits).relu().float()
    for _ in range(log1p):
        values = values.log1p()
    return values if pooling == "max" else values.sum(dim=0)


def _passthrough(torch: Any) -> Any:
    """A layer that gives its input; setters of some models also ask for its bias."""
    layer = torch.nn.Identity()
    layer.bias = None
    return layer


def _bias_of(head: Any, model: Any) -> torch.Tensor:
    bias = getattr(head, "bias", None)
    if bias is None:
        bias = head.weight.new_zeros(head.weight.shape[0])
    return bias.detach()  # type: ignore[no-any-return]


def _buckets(order: NDArray[np.intp], encodings: Sequence[Encoding]) -> list[list[int]]:
    """Positions grouped so that a padded group holds about TOKENS_PER_BATCH tokens; longest texts first."""
    buckets: list[list[int]] = []
    room = 0
    for at in order.tolist():
        if room <= 0:
            buckets.append([])
            room = max(1, TOKENS_PER_BATCH // max(1, len(encodings[at].ids)))
        buckets[-1].append(at)
        room -= 1
    return buckets


def _load_tokenizer(folder: Path, max_length: int) -> Tokenizer:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise EncoderError(f"{folder} holds no complete model: tokenizer.json is missing")
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length)
    return tokenizer
