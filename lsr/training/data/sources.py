"""Which texts does an encoder learn from? Pairs, triples and scored lists from files; every text is kept once."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, DocumentReader, has_member, json_objects
from lsr.corpus.layouts.parquet import open_parquet, records
from lsr.corpus.streams import open_file
from lsr.errors import InputError, TrainingError
from lsr.eval import load_collection
from lsr.training.data.examples import Example, Examples
from lsr.training.data.training_folder import DOCUMENTS, EXAMPLES, QUERIES, read_examples, read_texts

POSITIVE = ("positive", "pos", "docs", "document")
ROWS = 4096
NEGATIVES = ("negatives", "negs", "negative", "neg")


class Raw(NamedTuple):
    """One example as its file gave it."""

    query: str
    documents: list[str]
    scores: list[float] | None = None


class TrainingData:
    """Examples of one or several sources.

    Attributes:
        queries: every distinct query.
        documents: every distinct document.
        examples: by source.
    """

    def __init__(self) -> None:
        self._queries: dict[str, int] = {}
        self._documents: dict[str, int] = {}
        self.examples: list[Examples] = []

    @property
    def queries(self) -> list[str]:
        """Texts by row."""
        return list(self._queries)

    @property
    def documents(self) -> list[str]:
        """Texts by row."""
        return list(self._documents)

    def add(self, examples: Iterable[Raw], name: str) -> None:
        """Add a source called ``name``.

        Raises:
            TrainingError: it holds no example.
        """
        self._add(Examples.of(self._rows(raw) for raw in examples), name)

    def add_folder(self, folder: Path) -> None:
        """Add the training folder ``folder`` as a source; see `lsr.training.data.training_folder`.

        Raises:
            InputError: a file that is missing or wrong.
            TrainingError: it holds no example.
        """
        queries = _rows_of(read_texts(folder / QUERIES), self._queries)
        documents = _rows_of(read_texts(folder / DOCUMENTS), self._documents)
        found = read_examples(folder / EXAMPLES, queries.size, documents.size)
        examples = Examples(queries[found.queries], found.borders, documents[found.documents], found.scores)
        self._add(examples, str(folder))

    def _add(self, examples: Examples, name: str) -> None:
        if not len(examples):
            raise TrainingError(f"{name} holds no pair to train on: wanted a query and a positive text in every record")
        self.examples.append(examples)

    def _rows(self, raw: Raw) -> Example:
        documents = tuple(self._documents.setdefault(text, len(self._documents)) for text in raw.documents)
        query = self._queries.setdefault(raw.query, len(self._queries))
        return Example(query, documents, None if raw.scores is None else tuple(raw.scores))


def read_data(sources: Iterable[str | Path]) -> TrainingData:
    """Read every source: JSONL (.gz too), Parquet, MS MARCO triples (.tsv), BEIR folders and zips, training folders.

    A record holds ``query`` and ``positive`` (or ``pos``), perhaps ``negatives``, or ``docs`` with a positive first,
    and perhaps ``scores``, one a document. A BEIR folder gives its ``train`` judgements, or, where it has none, titles
    as queries for their texts; its other judgements are never read.

    Raises:
        InputError: a file that cannot be read, a pair without text, a score that is no number: names file and line.
        TrainingError: a source without pairs.
    """
    data = TrainingData()
    for source in map(Path, sources):
        if (source / EXAMPLES).is_file():
            data.add_folder(source)
        else:
            data.add(_read(source), str(source))
    return data


def _rows_of(texts: Iterable[str], known: dict[str, int]) -> NDArray[np.int32]:
    """The row of each text; a new one gets a new row."""
    return np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int32)


def _read(source: Path) -> Iterator[Raw]:
    if source.is_dir() or source.suffix == ".zip":
        return _beir(source)
    if source.suffix == ".parquet":
        return _parquet(source)
    if source.name.removesuffix(".gz").endswith(".tsv"):
        return _triples(source)
    return (_raw(record, place) for place, record in json_objects(open_file(source)))


def _parquet(path: Path) -> Iterator[Raw]:
    with open_parquet(path) as file:
        for number, record in records(path, file, ROWS, first=1):
            yield _raw(record, f"{path.name}, row {number}")


def _triples(path: Path) -> Iterator[Raw]:
    for place, line in open_file(path).text_lines():
        columns = line.split("\t")
        if len(columns) not in (2, 3):
            raise InputError(f"{place}: found {len(columns)} columns, wanted query, positive and perhaps negative")
        yield Raw(_text(columns[0], "query", place), [_text(text, "document", place) for text in columns[1:]])


def _beir(root: Path) -> Iterator[Raw]:
    documents: dict[str, Document] = {document.id: document for document in DocumentReader([root])}
    if not has_member(root, "qrels/train.tsv"):
        yield from (Raw(d.title.strip(), [d.text]) for d in documents.values() if d.title.strip() and d.text.strip())
        return
    collection = load_collection(root, "train")
    for query, grades in collection.qrels.items():
        for name in (name for name, grade in grades.items() if grade > 0):
            if name not in documents:
                raise InputError(f"{root}: the judged document {name!r} of query {query!r} is not in the corpus")
            place = f"{root}, query {query!r}"
            yield Raw(
                _text(collection.queries[query], "query", place),
                [_text(documents[name].full_text, f"document {name!r}", place)],
            )


def _raw(record: dict[str, Any], place: str) -> Raw:
    name = next((name for name in POSITIVE if name in record), None)
    if "query" not in record or name is None:
        found = ", ".join(map(repr, record)) or "none"
        raise InputError(f"{place}: found the fields {found}, wanted 'query' and 'positive' (or 'docs')")
    documents = _texts(record[name], name, place)
    for other in NEGATIVES:
        if record.get(other) is not None:
            documents += _texts(record[other], other, place)
    return Raw(_text(record["query"], "query", place), documents, _scores(record.get("scores"), len(documents), place))


def _texts(value: Any, name: str, place: str) -> list[str]:
    return [_text(text, name, place) for text in (value if isinstance(value, list) and value else [value])]


def _text(value: Any, name: str, place: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{place}: {name} holds {value!r:.60}: wanted a text; leave the pair out or give it one")
    return value


def _scores(value: Any, documents: int, place: str) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != documents:
        size = len(value) if isinstance(value, list) else 0
        raise InputError(f"{place}: {size} scores for {documents} documents; wanted one score a document")
    for score in value:
        if not isinstance(score, int | float) or not math.isfinite(score):
            raise InputError(f"{place}: a teacher's score is {score!r}; wanted a finite number")
    return [float(score) for score in value]
