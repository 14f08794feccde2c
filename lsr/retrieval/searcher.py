"""Which documents answer this question? One generation of a collection and its encoder, asked in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lsr.corpus.document import NO_FIELDS
from lsr.corpus.passages import without_reserved
from lsr.corpus.schema import moment
from lsr.encoders import Encoder
from lsr.encoders.base import as_texts
from lsr.errors import InputError
from lsr.index import Allowed, Generation, Store, TopK
from lsr.index.fanout import crop
from lsr.index.fields.filters import Filter
from lsr.index.results import check_queries
from lsr.retrieval.explanation import TermShare, common_terms, explain
from lsr.retrieval.following import Following
from lsr.retrieval.grouping import Groups, Passage, best_of_groups, groups_of, passages_at
from lsr.retrieval.paging import Key, Pages, question_of
from lsr.retrieval.snippet import Snippet, snippet
from lsr.sparse import SparseMatrix


class Hit(NamedTuple):
    """A document found: its place in the index, id, score, title, text and fields, without dense vectors.

    `Collection.get` gives these, and `Generation.dense` those of many hits at once, by ``row``.

    Where documents have passages, ``text`` is that of the best one, and ``passages`` are those that were found, best
    first; `Collection.get` gives the whole text.
    """

    row: int
    id: str
    score: float
    title: str
    text: str
    fields: Mapping[str, Any] = NO_FIELDS
    passages: Sequence[Passage] = ()


class Page(NamedTuple):
    """Hits, and the cursor of the next page; None where this is the last one."""

    hits: list[Hit]
    cursor: str | None


class Searcher:
    """Answers queries given as text, from one generation, whatever changes meanwhile. Safe to use from several threads.

    Args:
        generation: what is searched.
        encoder: the one that made it.
    """

    def __init__(self, generation: Generation, encoder: Encoder) -> None:
        self.generation, self.encoder = generation, encoder

    def __repr__(self) -> str:
        return f"<Searcher of {self.generation!r}>"

    @classmethod
    def open(cls, folder: str | Path, encoder: Encoder | None = None, generation: int | None = None) -> Searcher:
        """Open one generation of a collection with the encoder saved in it, and stay there.

        Args:
            folder: made by `index_documents`.
            encoder: the same encoder, where it is loaded already.
            generation: one that is kept; None takes the newest.

        Raises:
            StorageError: no collection, another format version, or damage.
            MismatchError: another encoder made it.
            InputError: no such generation.
            EncoderError: the saved encoder cannot be loaded.
        """
        with Store(Path(folder)) as store:
            found = store.current if generation is None else store.at(generation)
            return cls(found, Following(store.folder, store.about, encoder).at(found))

    def search(
        self,
        query: str | SparseMatrix,
        k: int = 10,
        exact: bool = False,
        recall: float | None = None,
        *,
        filter: Filter | None = None,  # noqa: A002  the word that everybody types
        sort: str | None = None,
        offset: int = 0,
        group_by: str | None = None,
    ) -> list[Hit]:
        """The best documents for ``query``, at most k; none when no term of it is in the vocabulary.

        Args:
            query: what to look for, in words or as the vector (one row) that `encode` gave.
            k: at least 1.
            exact: leave nothing out that could matter.
            recall: the share of the true best k to be found on average; None takes the settings of the index.
            filter: only documents that meet it: a text such as 'price < 20 and brand in ["a", "b"]', or JSON.
            sort: a field, with "-" before it for the largest first; None sorts by score. Every document with a term
                of the query counts then.
            offset: leave out this many of the best.
            group_by: a field: of documents that share a value the best one is found; those without one stand alone.

        Raises:
            InputError: an empty query, k below 1, recall outside (0, 1], an offset below 0, or a filter or field that
                does not fit.
            MismatchError: a vector over another vocabulary.
        """
        if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
            raise InputError(f"the offset is {offset!r:.40}: wanted a whole number of 0 or more")
        index, vector = self.generation, self._vector(query)
        check_queries(vector, vector.dim, k)
        allowed = None if filter is None else index.matching(filter)

        def find(wanted: int) -> TopK:
            if sort is None:
                return index.search(vector, wanted, exact=exact, recall=recall, allowed=allowed)
            descending, field = sort.startswith("-"), sort.removeprefix("-")
            return index.sorted(vector, wanted, field, descending=descending, allowed=allowed)

        return self._hits(find, k, offset, groups_of(index, group_by))

    def _hits(self, find: Callable[[int], TopK], k: int, offset: int, groups: Groups | None) -> list[Hit]:
        """The best k after ``offset``, one for each group."""
        index = self.generation
        best, among = self._best(find, k + offset, groups)
        passages = passages_at(index, among) if index.has_passages else {}
        pairs = zip(best.rows[0, offset:].tolist(), best.scores[0, offset:].tolist(), strict=True)
        return [self._hit(row, score, passages) for row, score in pairs if row >= 0]

    def _best(self, find: Callable[[int], TopK], k: int, groups: Groups | None) -> tuple[TopK, TopK]:
        """The best k rows, one for each group; and all rows that were found."""
        if groups is None:
            found = find(k)
            return found, found
        return best_of_groups(find, k, groups, max(1, self.generation.rows))

    def page(self, query: str | SparseMatrix, k: int = 10, *, cursor: str | None = None, **options: Any) -> Page:
        """A page of at most k hits, and the cursor of the next one, which lasts over changes of the collection.

        Args:
            query: as for `search`.
            k: at least 1.
            cursor: of the page before; None gives the first page.
            **options: of `search`, without an offset.

        Raises:
            InputError: no cursor, or one of another query, filter, order or group; or as for `search`.
            MismatchError: a vector over another vocabulary.
        """
        vector, sort = self._vector(query), options.get("sort")
        check_queries(vector, vector.dim, k)
        question = question_of(vector, options.get("filter"), sort, options.get("group_by"))
        field = sort.removeprefix("-") if sort else None

        learns = self.encoder.learns  # scores change with the collection
        timed = field is not None and self.generation.fields.get(field) == "datetime"

        def key(hit: Hit) -> Key:
            value = hit.fields.get(field) if field else None
            return Key(moment(value) if timed and value is not None else value, 0.0 if learns else hit.score)

        descending = bool(sort and sort.startswith("-"))
        pages = Pages(lambda n: self.search(vector, n, **options), key, question, descending)
        return Page(*pages.after(cursor, k))

    def found(self, query: str | SparseMatrix, filter: Filter | None = None) -> Allowed:  # noqa: A002
        """Every document that scores above 0 and meets the filter.

        Raises:
            InputError, MismatchError: as for `search`.
        """
        index = self.generation
        scores = index.scores(self._vector(query)) > 0
        return Allowed(scores if filter is None else scores & (index.matching(filter).mask != 0))

    def rank(self, queries: Sequence[str], k: int, exact: bool = False) -> list[list[tuple[str, float]]]:
        """(id, score) of the best documents of each query, for evaluation.

        Raises:
            InputError: k below 1.
        """
        index = self.generation
        vectors = fitted(self.encoder.encode_queries(as_texts(queries)), index.dim)
        check_queries(vectors, index.dim, k)
        return self.ranked(lambda wanted: index.search(vectors, wanted, exact=exact), k)

    def ranked(self, find: Callable[[int], TopK], k: int) -> list[list[tuple[str, float]]]:
        """(id, score) of the best k documents of each query; ``find`` gives the best so many rows."""
        best, _ = self._best(find, k, groups_of(self.generation, None))
        return self.named(best)

    def named(self, found: TopK) -> list[list[tuple[str, float]]]:
        """(id, score) of what was found for each query, best first."""
        results = zip(found.rows.tolist(), found.scores.tolist(), strict=True)
        return [
            [(self.generation.document_id(row), score) for row, score in zip(rows, scores, strict=True) if row >= 0]
            for rows, scores in results
        ]

    def warm_up(self) -> None:
        """Compile, or load from the cache, everything that a search needs."""
        for exact in (False, True):
            self.generation.search(
                fitted(self.encoder.encode_queries(["warm up"]), self.generation.dim), 1, exact=exact
            )

    def encode(self, query: str) -> SparseMatrix:
        """The query's vector, one row.

        Raises:
            InputError: an empty query.
        """
        if not isinstance(query, str):
            raise InputError(f"the query is {query!r:.60}: wanted a str")
        if not query.strip():
            raise InputError("the query is empty: give at least one word")
        return fitted(self.encoder.encode_queries([query]), self.generation.dim)

    def explain(self, query: str | SparseMatrix, hit: Hit) -> list[TermShare]:
        """What each term adds to the score of ``hit``, largest first; names as `explanation.explain`."""
        _check_hit(hit)
        asked = "" if isinstance(query, SparseMatrix) else query
        found = self.generation.vector(hit.row)
        return explain(self._vector(query), found, self.encoder, asked, [hit.title, hit.text])

    def snippet(self, query: str | SparseMatrix, hit: Hit) -> Snippet:
        """The part of the text that shows best why ``hit`` was found."""
        _check_hit(hit)
        common = common_terms(self._vector(query), self.generation.vector(hit.row))
        return snippet(hit.text, self.encoder.spans(hit.text), {term: q * d for term, q, d in common})

    def _vector(self, query: str | SparseMatrix) -> SparseMatrix:
        if isinstance(query, str):
            return self.encode(query)
        if not isinstance(query, SparseMatrix):
            raise InputError(f"the query is {query!r:.60}: wanted a str or the vector of one query")
        if len(query) != 1:
            raise InputError(f"the query has {len(query)} rows: wanted the vector of one query")
        return query

    def _hit(self, row: int, score: float, passages: Mapping[str, Sequence[Passage]]) -> Hit:
        name, title, text, fields = self.generation.document(row, dense=False)
        return Hit(row, name, score, title, text, without_reserved(fields), *([passages[name]] if passages else []))


def fitted(vectors: SparseMatrix, dim: int) -> SparseMatrix:
    """Vectors over ``dim`` terms: an encoder may know terms that came later, or fewer than vectors have."""
    return vectors if vectors.dim == dim else crop(vectors.widened(dim), dim)


def _check_hit(hit: object) -> None:
    if not isinstance(hit, Hit):
        raise InputError(f"the hit is {hit!r:.60}: wanted one that search gave")
