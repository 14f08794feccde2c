"""What is the unit on disk? An immutable segment: document vectors, their engine and the documents, in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.arrays import load_array, save_array
from lsr.corpus import Document
from lsr.corpus.schema import Schema
from lsr.errors import VectorError
from lsr.index.allowed import Allowed
from lsr.index.engines import Engine, IndexSettings
from lsr.index.exact import ExactIndex
from lsr.index.fields.columns import Column
from lsr.index.results import TopK
from lsr.index.storage.documents import DocumentStore, DocumentWriter
from lsr.index.storage.fields import NAME as FIELDS
from lsr.index.storage.fields import FieldWriter, read_fields
from lsr.index.storage.manifest import unreadable
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

DOCUMENTS = "documents.arrow"
VECTORS = {"indptr": ("int64",), "terms": ("uint16", "uint32"), "weights": ("float32", "uint8")}


class Segment:
    """A segment open for search.

    Args:
        folder: where `SegmentWriter` left it.
        dim: vocabulary size.
        settings: which engine was built, and how it searches.

    Raises:
        StorageError: a file is missing or damaged.
    """

    def __init__(self, folder: Path, dim: int, settings: IndexSettings) -> None:
        try:
            arrays = [load_array(folder / f"vectors.{name}.npy", *dtypes) for name, dtypes in VECTORS.items()]
            self.vectors = SparseMatrix(arrays[0], arrays[1], arrays[2], dim)
            self.engine: Engine = settings.choice.index.load(folder, self.vectors, settings.settings)
            self.documents = DocumentStore(folder / DOCUMENTS)
            if len(self.documents) != len(self.vectors):
                raise ValueError(f"{len(self.documents):,} documents but {len(self.vectors):,} vectors")
        except (OSError, ValueError, VectorError) as error:
            raise unreadable(folder, error) from None
        self._exact = ExactIndex(self.vectors)
        self._folder = folder

    @cached_property
    def fields(self) -> dict[str, Column]:
        """The columns of the documents' fields.

        Raises:
            StorageError: damage.
        """
        columns = read_fields(self._folder)
        if wrong := [name for name, column in columns.items() if len(column) != len(self)]:
            error = ValueError(f"{len(columns[wrong[0]]):,} values of {wrong[0]!r} but {len(self):,} documents")
            raise unreadable(self._folder / FIELDS, error)
        return columns

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[n]."""
        return self._exact.scores(query)

    def document(self, row: int) -> Document:
        """The document at ``row``, with its fields."""
        values = {name: value for name, column in self.fields.items() if (value := column.value(row)) is not None}
        return self.documents[row]._replace(fields=values) if values else self.documents[row]

    def __len__(self) -> int:
        return len(self.vectors)

    def search(
        self,
        queries: SparseMatrix,
        k: int,
        *,
        exact: bool = False,
        allowed: Allowed | None = None,
        settings: Any | None = None,
        threads: int = 1,
        scan: bool = False,
    ) -> TopK:
        """As `Engine.search`, over the rows of this segment; with ``exact`` and ``scan`` without a kernel."""
        engine: Engine = self._exact if exact and scan else self.engine
        return engine.search(queries, k, exact=exact, allowed=allowed, settings=settings, threads=threads)


class SegmentWriter:
    """Collects documents and their observed vectors on disk; `finish` turns them into a segment."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.nonzeros = 0
        self._sizes: list[np.ndarray] = []
        self._documents, self._fields = DocumentWriter(folder / DOCUMENTS), FieldWriter(folder)
        self._spool = [(folder / f"spool.{name}").open("wb") for name in ("terms", "weights")]
        self._open: list[Any] = [self._documents, self._fields, *self._spool]

    def __len__(self) -> int:
        return sum(sizes.size for sizes in self._sizes)

    def append(self, observed: SparseMatrix, documents: Sequence[Document], schema: Schema) -> None:
        """Add one batch: a row for each document."""
        self._documents.append(documents)
        self._fields.append(documents, schema)
        self._sizes.append(np.diff(observed.indptr))
        self._spool[0].write(observed.terms.astype(np.uint32).tobytes())
        self._spool[1].write(observed.values.tobytes())
        self.nonzeros += observed.nnz

    def close(self) -> None:
        """Stop collecting; closing again does nothing. All are closed, also when the disk does not take the rest."""
        with contextlib.ExitStack() as stack:
            for file in self._open:
                stack.callback(file.close)
            self._open = []

    def finish(
        self,
        weigh: Callable[[SparseMatrix], SparseMatrix],
        dim: int,
        settings: IndexSettings,
        schema: Schema,
        progress: Callable[[int, int], None],
    ) -> None:
        """Weigh the vectors, build the engine and the columns, and write all; the spool goes."""
        self._fields.finish(schema)
        vectors = weigh(self._observed(dim))
        for name in VECTORS:
            save_array(self.folder / f"vectors.{name}.npy", getattr(vectors, name))
        settings.choice.index.build(vectors, settings.settings, progress).save(self.folder)
        for file in self._spool:
            Path(file.name).unlink()

    def _observed(self, dim: int) -> SparseMatrix:
        terms = np.fromfile(self.folder / "spool.terms", np.uint32).astype(term_dtype(dim), copy=False)
        weights = np.fromfile(self.folder / "spool.weights", np.float32)
        sizes = np.concatenate(self._sizes) if self._sizes else np.zeros(0, np.int64)
        return SparseMatrix(indptr_of(sizes), terms, weights, dim)
