"""How does BEIR measure this engine? As a retriever of its ``EvaluateRetrieval``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lsr.corpus import Document
from lsr.errors import InputError, MissingExtraError
from lsr.measuring.plugins.corpus_search import CorpusSearch

try:
    from beir.retrieval.search import BaseSearch
except ImportError:
    raise MissingExtraError("beir", "plugins", "the retriever for BEIR") from None


class BeirSearch(BaseSearch):  # type: ignore[misc]
    """Give it to ``EvaluateRetrieval(BeirSearch("bm25"))``; its measures then follow the beir convention.

    Args:
        encoder: "bm25", or the folder of a model, sparse or dense.
        exact: whether a sparse index is searched exactly.

    Raises:
        EncoderError: the encoder cannot be loaded.
    """

    def __init__(self, encoder: str | Path = "bm25", exact: bool = True) -> None:
        self._search = CorpusSearch(encoder, exact)

    def search(
        self, corpus: Mapping[str, Mapping[str, str]], queries: Mapping[str, str], top_k: int, *_: Any, **__: Any
    ) -> dict[str, dict[str, float]]:
        """Index ``corpus`` and ask ``queries``: scores by query and document id; BEIR's score function is not used."""
        self._search.build(Document(name, row.get("title") or "", row["text"]) for name, row in corpus.items())
        return self._search.results(queries, top_k)

    def encode(self, *_: Any, **__: Any) -> None:
        """Refused: vectors in BEIR's files are dense.

        Raises:
            InputError: always.
        """
        raise InputError("BEIR's files of vectors are dense and pickled: call retrieve, or lsr encode")

    def search_from_files(self, *_: Any, **__: Any) -> dict[str, dict[str, float]]:
        """Refused, as `encode` is.

        Raises:
            InputError: always.
        """
        raise InputError("BEIR's files of vectors are dense and pickled: call retrieve, or lsr index")
