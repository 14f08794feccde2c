"""Are these the very data? Checksums of what was read, equal for a folder, its zip and its .gz files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from lsr.corpus import Document
from lsr.eval.collections.collection import TestCollection
from lsr.eval.runs.conventions import trec_order
from lsr.eval.runs.run import Run


def data_checksums(collection: TestCollection, documents: Iterable[Document]) -> dict[str, str]:
    """SHA-256 of documents in order, of the judged queries and of their grades.

    Args:
        collection: judged.
        documents: of its corpus, read once.
    """
    return {
        "documents": _digest(tuple(document)[:3] for document in documents),
        "queries": _digest(sorted(collection.queries.items())),
        "judgements": _digest((query, sorted(graded.items())) for query, graded in sorted(collection.qrels.items())),
    }


def run_checksum(run: Run) -> str:
    """SHA-256 of the ids that each query found, in the order that measures see; scores do not count."""
    return _digest((query, trec_order(ranking)) for query, ranking in sorted(run.items()))


def values_checksum(values: Mapping[str, Mapping[str, float]]) -> str:
    """SHA-256 of per-query values by measure, to the last bit."""
    return _digest((name, sorted(found.items())) for name, found in sorted(values.items()))


def _digest(items: Iterable[Sequence[object]]) -> str:
    digest = hashlib.sha256()
    for item in items:
        digest.update(msgspec.json.encode(item))
    return digest.hexdigest()
