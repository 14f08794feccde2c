"""What is asked, and can it be answered? Queries of a file instead of the collection's; documents that are lost."""

from __future__ import annotations

from pathlib import Path

from lsr.cli.console import say
from lsr.errors import InputError
from lsr.eval import TestCollection, read_topics
from lsr.formats import VectorSource, holds_vectors
from lsr.retrieval import Searcher, TopicEncoder, read_vector_topics


def ask_from_file(
    searcher: Searcher | None, collection: TestCollection, path: Path | None, field: str | None
) -> tuple[Searcher | None, TestCollection]:
    """The searcher and the judged queries that it is to be asked; both as they were without a file.

    Args:
        searcher: of an index; None where queries are asked in words only.
        collection: its judgements stay.
        path: of the topics.
        field: of TREC topics.

    Raises:
        InputError: a bad file, or none of its queries is judged.
    """
    if path is None:
        return searcher, collection
    if searcher is None and holds_vectors(path):
        raise InputError(f"{path} holds vectors, and a dense encoder is asked in words: give topics as text")
    searcher, texts = with_topics(searcher, path, field) if searcher else (None, read_topics(path, field))
    queries = {name: texts[name] for name in collection.qrels if name in texts}
    if not queries:
        first, judged = next(iter(texts)), next(iter(collection.qrels))
        raise InputError(f"{path}: no query is judged; it has the id {first!r}, the judgements {judged!r}, for example")
    if missing := len(collection.qrels) - len(queries):
        say(f"{missing:,} judged queries are not in {path}")
    return searcher, TestCollection(collection.path, collection.split, queries, collection.qrels)


def with_topics(searcher: Searcher, path: Path, field: str | None) -> tuple[Searcher, dict[str, str]]:
    """What answers the topics in the file ``path``, and their texts by id; encoded topics are asked by their ids.

    Raises:
        InputError: a bad file.
    """
    if not holds_vectors(path):
        return searcher, read_topics(path, field)
    topics = read_vector_topics(VectorSource([path]), searcher.encoder)
    if topics.unknown:
        say(f"{len(topics.unknown):,} terms of {path} are in no document ({topics.unknown[0]!r}, ...)")
    encoder = TopicEncoder(topics, searcher.encoder)
    return Searcher(searcher.generation, encoder), {name: name for name in topics.ids}


def warn_of_unknown(searcher: Searcher, collection: TestCollection) -> None:
    """Say how many relevant documents are not in the index: no search finds them, and measures count them as missed.

    Raises:
        InputError: all of them; the judgements are of another collection.
    """
    judged = {name for graded in collection.qrels.values() for name, grade in graded.items() if grade > 0}
    known = searcher.generation.known(judged)
    if judged and not known:
        some, there = next(iter(judged)), searcher.generation.document_id(int(searcher.generation.alive.rows[0]))
        raise InputError(
            f"no relevant document is in the index: judged is {some!r}, for example, indexed {there!r}; "
            "the judgements are of another collection"
        )
    if missing := judged - known:
        say(f"{len(missing):,} of {len(judged):,} relevant documents are not in the index ({min(missing)!r}, ...)")
