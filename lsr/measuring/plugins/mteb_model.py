"""How does mteb measure this engine? As a search model: mteb gives corpus and queries, and judges what comes back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lsr.corpus import Document
from lsr.errors import InputError, MissingExtraError
from lsr.measuring.plugins.corpus_search import CorpusSearch

try:
    from mteb.models.model_meta import ModelMeta
except ImportError:
    raise MissingExtraError("mteb", "plugins", "the model for mteb") from None


class MtebModel:
    """Give it to ``mteb.evaluate``: it follows ``mteb.SearchProtocol``.

    mteb leaves queries without results out of its means, as the beir convention does, and rounds means to 5 digits.

    Args:
        encoder: "bm25", or the folder of a model, sparse or dense.
        exact: whether a sparse index is searched exactly.

    Raises:
        EncoderError: the encoder cannot be loaded.
    """

    def __init__(self, encoder: str | Path = "bm25", exact: bool = True) -> None:
        self._search = CorpusSearch(encoder, exact)

    @property
    def mteb_model_meta(self) -> Any:
        """Name and fingerprint, under which mteb keeps results."""
        encoder = self._search.encoder
        return ModelMeta.create_empty({"name": f"lsr/{encoder.name}", "revision": encoder.fingerprint})

    def index(self, corpus: Any, **_: Any) -> None:
        """Index a corpus: rows of id, text and perhaps title."""
        self._search.build(Document(row["id"], row.get("title") or "", row["text"]) for row in corpus)

    def search(self, queries: Any, *, top_k: int, top_ranked: Any = None, **_: Any) -> dict[str, dict[str, float]]:
        """Scores by query and document id.

        Raises:
            InputError: the task wants given documents put into another order.
        """
        if top_ranked is not None:
            raise InputError("the task reranks given documents: this model searches a whole corpus; choose retrieval")
        texts = {row["id"]: f"{row['text']} {row.get('instruction') or ''}".strip() for row in queries}
        return self._search.results(texts, top_k)
