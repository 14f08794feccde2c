"""How do Anserini and Seismic keep vectors in JSON lines? ``{"id": ..., "vector": {"token": weight}}``.

Anserini's JsonVectorCollection has whole weights and the text in "contents"; Seismic has floats and "content". One
reader takes both. Weights are written so that reading gives the same float32.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document, json_objects
from lsr.corpus.streams import open_file
from lsr.corpus.values import identifier, shown
from lsr.errors import InputError
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, single, sorted_rows

IDS = ("id", "_id", "docid", "qid", "query_id")
TEXTS = ("contents", "content", "text")


def read_json_lines(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of a file of either kind; plain or .gz.

    Raises:
        InputError: a line without id or vector, or with a weight that is no finite number; the message names the line.
    """
    stream = open_file(path)
    records = json_objects(stream)
    while batch := list(islice(records, ROWS)):
        places = [place for place, _ in batch]
        documents = [_document(place, record) for place, record in batch]
        vectors = [_vector(place, record) for place, record in batch]
        terms = np.array(vocabulary.learn(chain.from_iterable(vectors)), np.int64)
        weights, rounded = zip(*(_weights(*pair) for pair in zip(places, vectors, strict=True)), strict=True)
        counts = list(map(len, vectors))
        matrix = sorted_rows(counts, terms, np.concatenate(weights), vocabulary.dim, places.__getitem__)
        yield VectorBatch(documents, matrix, stream.position(), sum(rounded))


def holds_vectors(path: Path) -> bool:
    """Whether the first line of a JSON lines file has a vector of tokens."""
    try:
        stream = open_file(path)
        first = next(json_objects(stream), ("", {}))[1]
        stream.close()
    except InputError:
        return False
    return isinstance(first.get("vector"), dict)


def write_anserini(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write a JsonVectorCollection; weights are whole numbers already."""
    _write(batches, path, vocabulary, "contents", np.int64)


def write_seismic(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write the lines that Seismic reads."""
    _write(batches, path, vocabulary, "content", np.float64)


def _write(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary, text: str, kind: type) -> None:
    encoder = msgspec.json.Encoder()
    with path.open("wb") as file:
        for documents, matrix, *_ in batches:
            names = [vocabulary[term] for term in matrix.terms.tolist()]
            values = matrix.values.astype(kind).tolist()
            borders = matrix.indptr.tolist()
            for i, document in enumerate(documents):
                own = slice(borders[i], borders[i + 1])
                vector = dict(zip(names[own], values[own], strict=True))
                file.write(encoder.encode({"id": document.id, text: document.full_text, "vector": vector}) + b"\n")


def _document(place: str, record: Mapping[str, Any]) -> Document:
    try:
        name = identifier(next((record[name] for name in IDS if name in record), None))
    except InputError as fault:
        raise InputError(f"{place}: {fault}, in the field 'id'") from None
    text = next((record[name] for name in TEXTS if isinstance(record.get(name), str)), "")
    title = record.get("title")
    return Document(name, title if isinstance(title, str) else "", text)


def _vector(place: str, record: Mapping[str, Any]) -> dict[str, float]:
    vector = record.get("vector")
    if not isinstance(vector, dict):
        found = f"a {type(vector).__name__}" if "vector" in record else f"the fields {', '.join(map(repr, record))}"
        raise InputError(f"{place}: found {found}, wanted the field 'vector' with an object of token: weight")
    return vector


def _weights(place: str, vector: Mapping[str, float]) -> tuple[NDArray[np.float32], int]:
    for token, weight in vector.items():
        if not isinstance(weight, float | int) or isinstance(weight, bool):
            raise InputError(f"{place}: token {shown(token)} has the weight {shown(weight)}, wanted a number")
    try:
        return single(list(vector.values()))
    except OverflowError:
        raise InputError(f"{place}: a weight is too large for float32; scale the vectors down") from None
