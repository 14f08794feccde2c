"""What is the unit on disk? An immutable segment: document vectors, their engine and the documents, in one folder."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
from lsr.index.storage.faults import unreadable
from lsr.index.storage.fields import NAME as FIELDS
from lsr.index.storage.fields import FieldWriter, mapped, read_fields, write_fields
from lsr.index.storage.files import check_sizes, describe_files, sync_folder
from lsr.index.storage.ids import HASHES as ID_HASHES
from lsr.index.storage.ids import TEXTS as HASHES
from lsr.index.storage.ids import IdIndex, array_later, confirmed, text_hashes
from lsr.index.storage.records import SegmentInfo
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

DOCUMENTS, BORN = "documents.arrow", "born.npy"
VECTORS = {"indptr": ("int64",), "terms": ("uint16", "uint32"), "weights": ("float32", "uint8")}


class Segment:
    """A segment open for search.

    Args:
        root: folder of the collection.
        name: of the segment: its folder below ``root``.
        info: what is known of it.
        settings: which engine was built, and how it searches.
        searchable: whether to read what the engine needs; otherwise it is only read from.

    Raises:
        StorageError: a file is missing or damaged.
    """

    engine: Engine

    def __init__(
        self, root: Path, name: str, info: SegmentInfo, settings: IndexSettings, searchable: bool = True
    ) -> None:
        folder = root / name
        self.folder, self.name, self.info = folder, name, info
        self.pieces = [(name, info.documents)]
        try:
            check_sizes(folder, info.files)
            arrays = [load_array(folder / f"vectors.{name}.npy", *dtypes) for name, dtypes in VECTORS.items()]
            self.vectors = SparseMatrix(arrays[0], arrays[1], arrays[2], info.dim)
            if searchable:
                self.engine = settings.choice.index.load(folder, self.vectors, settings.settings)
            self.documents = DocumentStore(folder / DOCUMENTS)
            if len(self.documents) != len(self.vectors):
                raise ValueError(f"{len(self.documents):,} documents but {len(self.vectors):,} vectors")
            if (len(self), self.vectors.nnz) != (info.documents, info.nonzeros):
                raise ValueError(f"{len(self):,} documents, {self.vectors.nnz:,} weights: not what the index says")
            self._born = load_array(folder / BORN, "uint32") if info.born < 0 else None
            # opened now, for merges may remove their names
            self._columns = mapped(folder / info.fields) if info.fields else None
            self._load_ids = IdIndex.later(folder, len(self)) if ID_HASHES in info.files else None
            self._load_hashes = array_later(folder / HASHES, "uint64", len(self)) if HASHES in info.files else None
        except (OSError, ValueError, VectorError) as error:
            raise unreadable(folder, error) from None
        self._exact = ExactIndex(self.vectors)

    @cached_property
    def fields(self) -> dict[str, Column]:
        """The columns of the documents' fields, as they were when the segment was written.

        Raises:
            StorageError: damage.
        """
        columns = read_fields(self._columns, self.folder / self.info.fields) if self._columns else {}
        if wrong := [name for name, column in columns.items() if len(column) != len(self)]:
            error = ValueError(f"{len(columns[wrong[0]]):,} values of {wrong[0]!r} but {len(self):,} documents")
            raise unreadable(self.folder / self.info.fields, error)
        return columns

    def column(self, name: str, kind: str) -> Column | None:
        """The column of a field of type ``kind``; None where no document has it.

        Raises:
            StorageError: damage.
        """
        found = self.fields.get(name)
        if found is not None and found.kind != kind:
            raise unreadable(self.folder / self.info.fields, ValueError(f"{name!r} is {found.kind}, not {kind}"))
        return found

    @property
    def born(self) -> NDArray[np.integer[Any]]:
        """The generation of each row, [n]."""
        return np.full(len(self), self.info.born) if self._born is None else self._born

    @cached_property
    def _ids(self) -> IdIndex:
        return self._load_ids() if self._load_ids else IdIndex.of(self.documents.ids())

    def rows_of(self, ids: Sequence[str]) -> list[list[int]]:
        """The rows of each of ``ids``, deleted ones among them.

        Raises:
            StorageError: damage.
        """
        found: list[list[int]] = [[] for _ in ids]
        places, rows = confirmed(self._ids.rows_of(ids), ids, self.documents.id)
        for place, row in zip(places.tolist(), rows.tolist(), strict=True):
            found[place].append(row)
        return found

    @cached_property
    def hashes(self) -> NDArray[np.uint64]:
        """Of titles and texts, uint64[n].

        Raises:
            StorageError: damage.
        """
        if self._load_hashes:
            return self._load_hashes()
        return text_hashes(self.documents.documents(np.arange(len(self))))

    def scores(self, query: SparseMatrix) -> NDArray[np.float32]:
        """The inner product of every document with a query of one row, float32[n]."""
        return self._exact.scores(query)

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
        self._ids: list[str] = []
        self._hashes: list[NDArray[np.uint64]] = []
        self._documents, self._fields = DocumentWriter(folder / DOCUMENTS), FieldWriter(folder)
        self._spool = [(folder / f"spool.{name}").open("wb") for name in ("terms", "weights")]
        self._open: list[Any] = [self._documents, self._fields, *self._spool]

    def __len__(self) -> int:
        return len(self._ids)

    def append(self, observed: SparseMatrix, documents: Sequence[Document], schema: Schema) -> None:
        """Add one batch: a row for each document."""
        self._documents.append(documents)
        self._fields.append(documents, schema)
        self._ids += [document.id for document in documents]
        self._hashes.append(text_hashes(documents))
        self._sizes.append(np.diff(observed.indptr))
        self._spool[0].write(np.ascontiguousarray(observed.terms, np.uint32).data)
        self._spool[1].write(np.ascontiguousarray(observed.values).data)
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
        born: int,
        progress: Callable[[int, int], None],
    ) -> SegmentInfo:
        """Weigh the vectors, build the engine and the columns, and write all; the spool goes."""
        with ThreadPoolExecutor(1) as beside:  # the disk leaves the interpreter to it
            columns = beside.submit(self._fields.finish, schema)
            vectors = weigh(self._observed(dim))
            columns.result()
        hashes = np.concatenate([np.zeros(0, np.uint64), *self._hashes])
        _write_searchable(self.folder, vectors, self._ids, hashes, settings, progress)
        for file in self._spool:
            Path(file.name).unlink()
        return _info(self.folder, vectors, born)

    def _observed(self, dim: int) -> SparseMatrix:
        terms = np.fromfile(self.folder / "spool.terms", np.uint32).astype(term_dtype(dim), copy=False)
        weights = np.fromfile(self.folder / "spool.weights", np.float32)
        sizes = np.concatenate(self._sizes) if self._sizes else np.zeros(0, np.int64)
        return SparseMatrix(indptr_of(sizes), terms, weights, dim)


def write_segment(
    folder: Path,
    vectors: SparseMatrix,
    documents: Iterable[Sequence[Document]],
    columns: dict[str, Column],
    born: NDArray[np.uint32],
    settings: IndexSettings,
) -> SegmentInfo:
    """Make the new ``folder`` a segment of documents whose vectors and columns are there; everything is flushed.

    ``documents`` come in batches, in order of rows; ``born`` is uint32[n], the generation of each.
    """
    folder.mkdir()
    ids, hashes = list[str](), [np.zeros(0, np.uint64)]
    with DocumentWriter(folder / DOCUMENTS) as writer:
        for batch in documents:
            writer.append(batch)
            ids += [document.id for document in batch]
            hashes.append(text_hashes(batch))
    write_fields(folder, columns)
    uniform = born.size == 0 or bool((born == born[0]).all())
    if not uniform:
        save_array(folder / BORN, born)
    _write_searchable(folder, vectors, ids, np.concatenate(hashes), settings, lambda done, total: None)
    return _info(folder, vectors, int(born[0]) if uniform and born.size else -1 if born.size else 0)


def _write_searchable(
    folder: Path,
    vectors: SparseMatrix,
    ids: Sequence[str],
    hashes: NDArray[np.uint64],
    settings: IndexSettings,
    progress: Callable[[int, int], None],
) -> None:
    IdIndex.of(ids).save(folder)
    save_array(folder / HASHES, hashes)
    for name in VECTORS:
        save_array(folder / f"vectors.{name}.npy", getattr(vectors, name))
    settings.choice.index.build(vectors, settings.settings, progress).save(folder)


def _info(folder: Path, vectors: SparseMatrix, born: int) -> SegmentInfo:
    """What is known of the segment in ``folder``; its files are flushed."""
    files = describe_files(folder)
    sync_folder(folder)
    return SegmentInfo(len(vectors), vectors.nnz, vectors.dim, born, FIELDS if FIELDS in files else "", files)
