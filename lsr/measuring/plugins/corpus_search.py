"""What do the plug-ins share? A corpus given in memory, indexed and asked."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lsr import encoders
from lsr.corpus import Document
from lsr.errors import InputError
from lsr.eval import run_queries
from lsr.measuring.systems import System, Way, build_system


class CorpusSearch:
    """An encoder and the corpus it was last given; the index lives in a temporary folder.

    Args:
        encoder: "bm25", or the folder of a model, sparse or dense.
        exact: whether a sparse index is searched exactly.

    Raises:
        EncoderError: the encoder cannot be loaded.
    """

    def __init__(self, encoder: str | Path, exact: bool = True) -> None:
        self._name, self._way = encoder, Way(exact=exact)
        self.encoder = encoders.load(encoder)
        self._system: System | None = None
        self._forget: Any = None

    def build(self, documents: Iterable[Document]) -> None:
        """Index ``documents`` in place of those before."""
        if self._system is not None and self.encoder.learns:
            self.encoder = encoders.load(self._name)  # statistics of another corpus stay with it
        if self._forget:
            self._forget()
        folder = Path(tempfile.mkdtemp(prefix="lsr-plugin-"))
        self._forget = weakref.finalize(self, partial(shutil.rmtree, folder))
        self._system = build_system(self.encoder, documents, folder / "index", self._way)

    def results(self, queries: Mapping[str, str], k: int) -> dict[str, dict[str, float]]:
        """Scores of the best ``k`` documents by query and document id; a query that finds nothing is left out.

        Raises:
            InputError: nothing was indexed.
        """
        if self._system is None:
            raise InputError("there is no corpus yet: call build first")
        run = run_queries(self._system.rank, queries, k)
        return {query: dict(ranking) for query, ranking in run.items() if ranking}
