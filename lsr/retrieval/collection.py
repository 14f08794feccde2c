"""How are documents added, changed, deleted and found, by words? A folder, its encoder, and everything that it can do.

::

    with lsr.Collection.create("shop", [{"id": "1", "text": "red shoes", "price": 20}]) as shop:
        shop.upsert([{"id": "2", "text": "blue hat", "price": 12}])
        shop.search("hat", filter="price < 15")
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, Fields
from lsr.corpus.passages import RESERVED, whole, without_reserved
from lsr.corpus.schema import flattened
from lsr.corpus.values import identifier
from lsr.encoders import Encoder
from lsr.encoders.base import Counted
from lsr.errors import InputError, MismatchError
from lsr.index import About, Allowed, Change, Generation, Store
from lsr.index.fields.facets import Facet
from lsr.index.fields.filters import Filter
from lsr.index.live.maintenance import Maintenance
from lsr.index.live.snapshots import snapshot
from lsr.index.storage.records import Corpus, GenerationInfo
from lsr.retrieval.changing.changes import Changes
from lsr.retrieval.changing.counting import counted, difference, with_change
from lsr.retrieval.changing.preparing import (
    Difference,
    Prepared,
    Source,
    at_places,
    batches_of,
    check_ids,
    check_updates,
    prepared,
    stored_columns,
)
from lsr.retrieval.changing.preparing import difference as difference_of
from lsr.retrieval.following import Following
from lsr.retrieval.ingest import index_documents
from lsr.retrieval.searcher import Hit, Page, Searcher
from lsr.sparse import SparseMatrix, check_summable, concatenate

AT_ONCE = 8192  # documents of one change at most, where a source is streamed

Updates = dict[str, tuple[NDArray[np.int64], list[Any]]]  # by field: rows, int64[n], and their new values


class Collection:
    """A folder of documents, open for searching and changing. Safe to use from several threads; one process may write.

    Every change is acknowledged when its method returns: it is on the disk, as a whole, and every search from then on
    sees it; other processes see it within ``refresh`` seconds.

    Args:
        store: of the documents and vectors.
        encoder: that made them, where it is loaded already; what it learned from a corpus does not count.
        background: whether segments are written and merged in a process of their own, beside searches and changes;
            otherwise by the change that makes it necessary.
        generation: where it stays; None follows the newest one.
    """

    def __init__(
        self, store: Store, encoder: Encoder | None = None, background: bool = True, generation: int | None = None
    ) -> None:
        self._store = store
        self._following = Following(store.folder, store.about, encoder)
        self._maintenance = Maintenance(store, background)
        self._preparing = threading.Lock()  # what follows is followed by one thread
        self._closed = False
        self._syncing = threading.Lock()
        self._pinned = None if generation is None else store.at(generation)
        self._searcher = self._searcher_of(self._current)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        encoder: Encoder | None = None,
        *,
        generation: int | None = None,
        refresh: float = 1.0,
        durability: str = "fsync",
        background: bool = True,
    ) -> Collection:
        """Open a collection.

        Args:
            folder: of the collection.
            encoder: the same encoder, where it is loaded already.
            generation: one that is kept (see `history`); the collection stays there, and nothing can be changed.
            refresh: seconds after which a search looks for changes of other processes.
            durability: "fsync" keeps what was acknowledged over a loss of power, "os" only over a kill.
            background: see the class.

        Raises:
            StorageError: no collection, another format version, or damage.
            MismatchError: another encoder made the collection.
            InputError: no such generation.
            EncoderError: the saved encoder cannot be loaded.
        """
        store = Store(Path(folder), refresh=refresh, durability=durability)
        try:
            return cls(store, encoder, background, generation)
        except BaseException:
            store.close()
            raise

    @classmethod
    def create(
        cls, folder: str | Path, documents: Source, encoder: Encoder | str | Path = "default", **options: Any
    ) -> Collection:
        """Make a collection of documents and open it; one that is there is replaced at the very end.

        Args:
            folder: of the collection.
            documents: at least one; see `index_documents`.
            encoder: or its name or folder.
            **options: of `index_documents`.

        Raises:
            InputError: what `index_documents` refuses.
            StorageError: the folder cannot be written.
        """
        index_documents(documents, encoder, folder, **options)
        return cls.open(folder)

    def close(self) -> None:
        """Let go of the folder; work in the background stops, and nothing is lost. Nothing can be changed then."""
        self._closed = True
        self._maintenance.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        about = self._store.about
        return f"<Collection {str(self.folder)!r}, {len(self):,} documents, encoder {about.encoder.name!r}>"

    @property
    def _current(self) -> Generation:
        return self._store.current if self._pinned is None else self._pinned

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return self._store.folder

    @property
    def store(self) -> Store:
        """Of the documents and vectors."""
        return self._store

    @property
    def about(self) -> About:
        """What holds for all generations."""
        return self._store.about

    @property
    def source_fields(self) -> Fields:
        """Which fields of dicts and records become documents, as when the collection was made."""
        own = self._store.about.source
        return Fields(own.id, own.text, own.title, own.store)

    @property
    def generation(self) -> int:
        """Number of the newest generation; rises with every change."""
        return self._current.number

    @property
    def fields(self) -> Mapping[str, str]:
        """Types of the documents' fields by name."""
        return without_reserved(self._current.fields)

    @property
    def searcher(self) -> Searcher:
        """Of the newest generation, which stays as it is."""
        current = self._current
        if self._searcher.generation is not current:
            with self._preparing:
                if self._searcher.generation is not current:
                    self._searcher = self._searcher_of(current)
        return self._searcher

    def at(self, generation: int) -> Searcher:
        """Of a generation that is kept.

        Raises:
            InputError: no such generation.
        """
        with self._preparing:
            return self._searcher_of(self._store.at(generation))

    def search(self, query: str | SparseMatrix, k: int = 10, **options: Any) -> list[Hit]:
        """The best documents for ``query``; see `Searcher.search` for the options.

        Raises:
            InputError, MismatchError: as `Searcher.search`.
        """
        return self.searcher.search(query, k, **options)

    def page(self, query: str | SparseMatrix, k: int = 10, *, cursor: str | None = None, **options: Any) -> Page:
        """Hits with the cursor of the next page; see `Searcher.page`.

        Raises:
            InputError, MismatchError: as `Searcher.page`.
        """
        return self.searcher.page(query, k, cursor=cursor, **options)

    def facets(self, names: Sequence[str], filter: Filter | None = None, top: int = 10) -> list[Facet]:  # noqa: A002
        """How the values of fields are spread over all documents, or over those that meet a filter.

        Raises:
            InputError: an unknown field, or one that is stored only; or no filter.
        """
        current = self._current
        return current.facets(names, None if filter is None else current.matching(filter), top)

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002
        """How many documents there are, or how many meet a filter.

        Raises:
            InputError: no filter, or an unknown field.
        """
        current = self._current
        return len(current) if filter is None else current.count(current.matching(filter))

    def get(self, id: str) -> Document | None:  # noqa: A002
        """The document with this id, with its fields as they were given; None where there is none."""
        current = self._current
        rows = current.rows_of([identifier(id)])[0]
        if not rows:
            return None
        return whole([*map(current.document, rows)]) if current.has_passages else _given(current.document(rows[0]))

    def __contains__(self, id: object) -> bool:  # noqa: A002
        return isinstance(id, str) and bool(self._current.rows_of([id])[0])

    def __iter__(self) -> Iterator[Document]:
        current = self._current
        found = (document for documents, _ in current.batches(1024) for document in documents)
        if not current.has_passages:
            yield from map(_given, found)
            return
        for _, passages in groupby(found, lambda document: document.id):
            yield whole([*passages])

    def add(self, documents: Source, vectors: SparseMatrix | None = None) -> Changes:
        """Add documents that are not there.

        Args:
            documents: `Document`, dicts, a `DocumentReader` or a table.
            vectors: their vectors, a row each, made by the collection's encoder; None encodes their texts, as it is
                always done where the collection has passages.

        Raises:
            InputError: an id that is there, or twice among them; a value that does not fit its field's type.
            MismatchError: vectors over more terms than the collection's.
            StorageError: another process writes, or the disk is full; what was added before stays.
        """
        return self._write("add", documents, vectors, refuse_known=True)

    def upsert(self, documents: Source, vectors: SparseMatrix | None = None) -> Changes:
        """Add documents, in place of those with the same ids; what is there as it is stays, and is not encoded again.

        Args:
            documents: as for `add`.
            vectors: as for `add`; documents with vectors are always written.

        Raises:
            InputError, MismatchError, StorageError: as for `add`.
        """
        return self._write("upsert", documents, vectors)

    def update(self, fields: Mapping[str, Mapping[str, Any]]) -> Changes:
        """Change fields of documents by id, as ``{"id": {"price": 3}}``; None removes a value. Nothing is encoded.

        Fields that are not named stay; documents whose values are there already count as unchanged.

        Raises:
            InputError: an unknown id, a title or text, or a value that does not fit its field's type.
            StorageError: another process writes, or the disk is full; nothing has changed then.
        """
        check_updates(fields, self.source_fields, self.fields)
        with self._changing() as current:
            ids = [identifier(name) for name in fields]
            found = current.rows_of(ids)
            if missing := [name for name, rows in zip(ids, found, strict=True) if not rows]:
                raise InputError(f"no document with the id {missing[0]!r:.80}: add it first, or use upsert")
            documents = [
                Document(name, "", "", _changeable(name, flattened(values)))
                for name, values, own in zip(ids, fields.values(), found, strict=True)
                for _ in own
            ]
            rows = np.array([row for own in found for row in own], np.int64)
            updates, types = _new_values(current, documents, rows)
            touched = _ids_of(current, updates)
            changes = Changes(fields=len(touched), unchanged=len(ids) - len(touched))
            if updates:
                self._store.apply(Change("update", changes.counts, updates=updates, types=types))
            return changes

    def delete(self, ids: Iterable[str] | str | None = None, *, filter: Filter | None = None) -> Changes:  # noqa: A002
        """Delete documents by id, or those that meet a filter; ids that are not there do nothing.

        Raises:
            InputError: neither ids nor a filter, or both; no filter, or an unknown field.
            StorageError: another process writes, or the disk is full; nothing has changed then.
        """
        if (ids is None) == (filter is None):
            raise InputError("delete wants ids, or a filter: give one of them")
        with self._changing() as current:
            if filter is not None:
                rows = current.whole(current.matching(filter)).rows.astype(np.int64)
            else:
                wanted = [ids] if isinstance(ids, str) else list(dict.fromkeys(map(identifier, ids or ())))
                rows = np.array(sorted(row for own in current.rows_of(wanted) for row in own), np.int64)
            return self._delete(rows, "delete")

    def sync(self, source: Source, *, dry_run: bool = False, progress: Callable[[int], None] | None = None) -> Changes:
        """Make the collection exactly what ``source`` says: add, change and delete what differs, and nothing else.

        Documents whose title and text are as they were are not encoded again. Missing ones are deleted at the end, when
        the whole source was read without a fault.

        Args:
            source: `Document`, dicts, a `DocumentReader` or a table; read once.
            dry_run: only say what would be done.
            progress: called with the number of documents read.

        Raises:
            InputError: an id twice, a document that is none, or a value that does not fit its field's type.
            StorageError: another process writes, or the disk is full; what was done before stays.
        """
        from lsr.retrieval.changing.sync import sync

        with self._syncing:  # two at once would delete what the other one adds
            return sync(self, source, dry_run, progress)

    def flush(self) -> None:
        """Write the newest documents into a segment, and wait for it.

        Raises:
            StorageError: the disk is full or broken; nothing is lost then.
        """
        self._check_writable()
        self._maintenance.flush()

    def compact(self) -> None:
        """Give all room back: one segment, no deleted documents, no history; weights of BM25 are made anew.

        Raises:
            StorageError: the disk is full or broken; nothing is lost then.
        """
        self._check_writable()
        self._maintenance.wait()
        self._store.compact(self._weights if self._encoder.reweighs else None)

    def snapshot(self, folder: str | Path) -> None:
        """Make a consistent copy in a new folder, while searching and writing go on; files are shared where they can.

        Raises:
            StorageError: the folder is there already, or the disk is full.
        """
        snapshot(self._store, Path(folder))

    def history(self) -> dict[int, GenerationInfo]:
        """The generations that are kept, oldest first: when and by which verb each was made, and what it did."""
        return self._store.history()

    def rollback(self, generation: int) -> Changes:
        """Make the documents again what they were at a generation that is kept; this is a new generation.

        Raises:
            InputError: no such generation.
            StorageError: another process writes, or the disk is full; nothing has changed then.
        """
        with self._changing() as current:
            old = self._store.at(generation)
            lost = np.flatnonzero((old.alive.mask != 0) & ~_alive_in(old, current))
            gone = np.flatnonzero((current.alive.mask != 0) & ~_alive_in(current, old))
            documents = list(old.documents_at(lost))
            vectors = concatenate([_empty(old.dim), *(old.vector(row) for row in lost.tolist())])
            updates = _fields_back(old, current)
            return self._replace("rollback", documents, vectors, gone, updates)

    def _replace(
        self,
        verb: str,
        documents: Sequence[Document],
        vectors: SparseMatrix,
        rows: NDArray[np.int64],
        updates: Updates,
    ) -> Changes:
        """Put ``documents`` in place of those at ``rows``, and change fields of others."""
        columns, _ = stored_columns(documents, self._current.fields)
        counts = self._counted([document.weighted_text for document in documents])
        before = {document.id for document in self._current.documents_at(rows)}
        after = {document.id for document in documents}
        updated = len(_ids_of(self._current, updates))
        changes = Changes(len(after - before), len(after & before), updated, len(before - after))
        if not changes.counts:
            return changes
        self._store.apply(
            Change(
                verb,
                changes.counts,
                documents,
                columns,
                vectors,
                rows,
                updates,
                corpus=self._difference(counts, rows),
                terms=counts.terms if counts else (),
            )
        )
        return changes

    def _write(
        self, verb: str, source: Source, vectors: SparseMatrix | None = None, refuse_known: bool = False
    ) -> Changes:
        if vectors is not None and self._current.has_passages:
            raise InputError("vectors of whole documents for a collection of passages: leave them out")
        if vectors is not None:
            documents = next(batches_of(source, self.source_fields, len(vectors) + 1), [])
            if len(documents) != len(vectors):
                found = "more" if len(documents) > len(vectors) else f"{len(documents):,}"
                raise InputError(f"vectors: {len(vectors):,}, documents: {found}; give each document one vector")
            return self.put(verb, documents, vectors, refuse_known)
        done = Changes()
        for documents in batches_of(source, self.source_fields, AT_ONCE):
            done = done.plus(self.put(verb, documents, None, refuse_known))
        return done

    def put(
        self,
        verb: str,
        documents: Sequence[Document],
        vectors: SparseMatrix | None = None,
        refuse_known: bool = False,
    ) -> Changes:
        """Add documents in place of those with the same ids, in one change.

        Raises:
            InputError, MismatchError, StorageError: as for `add`.
        """
        with self._changing() as current:
            check_ids(documents)
            given = prepared(documents, current.fields, self._store.about.passages)
            found = difference_of(current, given)
            if refuse_known and len(found.new) < len(documents):
                known = next(document.id for document, own in zip(documents, found.there, strict=True) if own)
                raise InputError(f"the id {known!r:.80} is there already: use upsert to replace its document")
            if vectors is not None:
                found = _all_changed(found)
            return self._put(verb, given, found, vectors)

    def _put(self, verb: str, given: Prepared, found: Difference, vectors: SparseMatrix | None) -> Changes:
        changes = Changes(len(found.new), len(found.changed), len(found.updated), 0, found.unchanged)
        written, rows = given.rows_of([*found.new, *found.changed]), found.replaced
        if not written and not found.updated:
            return changes
        texts = [given.rows[at].weighted_text for at in written]
        counts = self._counted(texts) if vectors is None or self._encoder.learns else None
        corpus = self._difference(counts, rows)
        more = list(counts.terms) if counts else []
        if vectors is not None:
            more += self._more_terms(vectors, len(more))
        matrix = vectors if vectors is not None else self._encoded(texts, counts, corpus)
        check_summable(matrix)
        self._store.apply(
            Change(
                verb,
                changes.counts,
                [given.rows[at] for at in written],
                at_places(given.columns, written),
                matrix,
                rows,
                self._updates(given.rows_of(found.updated), found.rows, given.columns),
                given.types,
                corpus,
                more,
            )
        )
        return changes

    def _updates(self, places: Sequence[int], rows: NDArray[np.int64], columns: Mapping[str, list[Any]]) -> Updates:
        """New values of fields at ``rows``, int64[n], of which only these differ."""
        if not places:
            return {}
        current, rows = self._current, rows[places]
        updates = {}
        for name in {*current.fields, *columns}:
            own = columns.get(name)
            new = [own[at] if own else None for at in places]
            if differ := _differing(current, name, rows, new):
                updates[name] = differ
        return updates

    def _delete(self, rows: NDArray[np.int64], verb: str) -> Changes:
        current = self._current
        changes = Changes(deleted=current.count(Allowed.of_rows(rows, current.rows)))
        if rows.size:
            self._store.apply(Change(verb, changes.counts, deleted=rows, corpus=self._difference(None, rows)))
        return changes

    def delete_rows(self, choose: Callable[[Generation], NDArray[np.int64]], verb: str) -> Changes:
        """Delete the documents at the rows, int64[n], that ``choose`` finds in the newest generation."""
        with self._changing() as current:
            return self._delete(choose(current), verb)

    @contextmanager
    def _changing(self) -> Iterator[Generation]:
        """The newest generation, which nobody else changes meanwhile; the store is looked after when it has changed."""
        self._check_writable()
        with self._store.changing() as current:
            with self._preparing:
                self._following.learn(current)
            yield current
        self._maintenance.look()

    def _check_writable(self) -> None:
        if self._closed:
            raise InputError(f"the collection {self.folder} is closed: open it again")
        if self._pinned is not None:
            raise InputError(f"opened at generation {self._pinned.number}, which stays: open the newest, or rollback")

    def _counted(self, texts: Sequence[str]) -> Counted | None:
        return counted(self._encoder, texts)

    def _difference(self, new: Counted | None, rows: NDArray[np.int64]) -> Corpus | None:
        """What counts change by when the documents at ``rows`` go; None where nothing is counted."""
        if not self._encoder.learns:
            return None
        old = [document.weighted_text for document in self._current.documents_at(rows)]
        gone = self._counted(old)
        return difference(new.matrix if new else None, gone.matrix if gone else None)

    def _encoded(self, texts: Sequence[str], counts: Counted | None, corpus: Corpus | None) -> SparseMatrix:
        """Document vectors by what is counted once the documents are there."""
        if not texts:
            return _empty(self._current.dim)
        encoder = self._encoder
        if corpus is not None:
            known = self._following.counts(self._current)
            encoder = encoder.following(with_change(known, corpus))
        size = max(1, encoder.batch_documents)
        parts = []
        for first in range(0, len(texts), size):
            own = None if counts is None else counts.matrix.slice(first, min(first + size, len(texts)))
            parts.append(encoder.encoded_with(texts[first : first + size], own).matrix)
        return concatenate(parts)

    def _weights(self, documents: Sequence[Document], vectors: SparseMatrix) -> SparseMatrix:
        """Vectors of documents by all that is counted now: those of BM25 depend on it."""
        with self._preparing:
            encoder = self._following.at(self._current)
        found = encoder.encoded_with([document.weighted_text for document in documents], None)
        return found.matrix.widened(vectors.dim)

    def _more_terms(self, matrix: SparseMatrix, new: int) -> list[str]:
        """Names of terms without one: vectors that were given may have more terms than the collection and ``new``."""
        extra = matrix.dim - max(self._current.dim, self._encoder.dim) - new
        if extra <= 0:
            return []
        if self._encoder.learns or getattr(self._encoder, "named", True):
            raise MismatchError(
                f"vectors over {matrix.dim:,} terms, collection over {self._current.dim:,}: encode documents with the "
                "collection's own encoder"
            )
        return [str(number) for number in range(matrix.dim - extra, matrix.dim)]

    def _searcher_of(self, generation: Generation) -> Searcher:
        return Searcher(generation, self._following.at(generation))

    @property
    def _encoder(self) -> Encoder:
        """With the terms of the newest generation, and without counts."""
        return self._following.encoder


def _given(document: Document) -> Document:
    """A document as its source gave it."""
    return document._replace(fields=without_reserved(document.fields))


def _empty(dim: int) -> SparseMatrix:
    return SparseMatrix.from_dicts([], dim)


def _all_changed(found: Difference) -> Difference:
    """Every document that is there counts as changed."""
    return found._replace(changed=[at for at, own in enumerate(found.there) if own], updated=[])


def _changeable(name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Fields that one may change; reserved ones follow from the text."""
    if own := [field for field in fields if field in RESERVED]:
        raise InputError(f"document {name!r:.80}: {own[0]} follows from the text, and cannot be changed")
    return fields


def _new_values(
    current: Generation, documents: Sequence[Document], rows: NDArray[np.int64]
) -> tuple[Updates, dict[str, str]]:
    """The fields of ``documents`` that differ from what is at ``rows``, int64[n]; and types of those that are new."""
    columns, types = stored_columns(documents, current.fields)
    named = {name for document in documents for name in document.fields}
    updates = {}
    for name in named & {*current.fields, *types}:  # None for a field that is unknown says nothing
        at = [i for i, document in enumerate(documents) if name in document.fields]
        values = columns.get(name)
        if differ := _differing(current, name, rows[at], [values[i] if values else None for i in at]):
            updates[name] = differ
    return updates, types


def _ids_of(current: Generation, updates: Updates) -> set[str]:
    """Ids of the documents whose fields change."""
    return {current.document_id(row) for rows, _ in updates.values() for row in rows.tolist()}


def _differing(
    current: Generation, name: str, rows: NDArray[np.int64], new: Sequence[Any]
) -> tuple[NDArray[np.int64], list[Any]] | None:
    """The rows at which ``new`` values of a field are others than those that are there, with these; None for none."""
    old = current.values_of(name, rows) if name in current.fields else [None] * len(new)
    at = [i for i, (one, other) in enumerate(zip(new, old, strict=True)) if one != other]
    return (rows[at], [new[i] for i in at]) if at else None


def _alive_in(one: Generation, other: Generation) -> NDArray[np.bool_]:
    """Which rows of a generation are documents of another one too, bool[rows]."""
    masks = other.alive_by_piece()
    found = np.zeros(one.rows, np.bool_)
    for name, first, size in one.pieces():
        if name in masks:
            found[first : first + size] = masks[name]
    return found


def _fields_back(old: Generation, current: Generation) -> Updates:
    """Values of fields of the documents that are in both generations, where they were others."""
    both = np.flatnonzero((current.alive.mask != 0) & _alive_in(current, old))
    places = old.rows_at(current, both)
    updates = {}
    for name in current.fields:
        at, values = list[int](), list[Any]()
        for start in range(0, both.size, AT_ONCE):
            some = slice(start, start + AT_ONCE)
            pairs = zip(old.values_of(name, places[some]), current.values_of(name, both[some]), strict=True)
            differ = [(i, one) for i, (one, other) in enumerate(pairs, start) if one != other]
            at += [i for i, _ in differ]
            values += [one for _, one in differ]
        if at:
            updates[name] = both[at], values
    return updates
