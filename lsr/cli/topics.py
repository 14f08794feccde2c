"""What does `--topics` do? Queries of a file take the place of the collection's: texts, or vectors made elsewhere."""

from __future__ import annotations

from pathlib import Path

from lsr.cli.console import say
from lsr.errors import InputError
from lsr.eval import TestCollection, read_topics
from lsr.formats import VectorSource
from lsr.formats.convert import holds_vectors
from lsr.retrieval import Searcher, TopicEncoder, read_vector_topics


def ask_from_file(
    searcher: Searcher, collection: TestCollection, path: Path | None, field: str | None
) -> tuple[Searcher, TestCollection]:
    """The searcher and the judged queries that it is to be asked; both as they were without a file.

    Raises:
        InputError: a bad file, or none of its queries is judged.
    """
    if path is None:
        return searcher, collection
    if holds_vectors(path):
        topics = read_vector_topics(VectorSource([path]), searcher.encoder)
        texts = {name: name for name in topics.ids}
        searcher = Searcher(searcher.collection, TopicEncoder(topics, searcher.encoder))
        if topics.unknown:
            say(f"{len(topics.unknown):,} terms of {path} are in no document ({topics.unknown[0]!r}, ...)")
    else:
        texts = read_topics(path, field)
    queries = {name: texts[name] for name in collection.qrels if name in texts}
    if not queries:
        first, judged = next(iter(texts)), next(iter(collection.qrels))
        raise InputError(f"{path}: no query is judged; it has the id {first!r}, the judgements {judged!r}, for example")
    if missing := len(collection.qrels) - len(queries):
        say(f"{missing:,} judged queries are not in {path}")
    return searcher, TestCollection(collection.path, collection.split, queries, collection.qrels)
