"""How does Anserini keep encoded queries? "id TAB token token token", a token as often as its whole weight."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path

import numpy as np

from lsr.corpus import Document
from lsr.corpus.streams import open_file
from lsr.corpus.values import identifier
from lsr.errors import InputError
from lsr.formats.sidecars import one_line
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, single, sorted_rows

HEAVIEST = 100_000  # times that a token may be repeated


def read_topics_tsv(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of counted tokens; plain or .gz.

    Raises:
        InputError: a line is not UTF-8, or has no id and tab; the message names the line.
    """
    stream = open_file(path)
    lines = stream.text_lines()
    while batch := list(islice(lines, ROWS)):
        places = [place for place, _ in batch]
        rows = [_row(place, line) for place, line in batch]
        counted = [Counter(tokens) for _, tokens in rows]
        terms = np.array(vocabulary.learn(chain.from_iterable(counted)), np.int64)
        weights, _ = single([count for counts in counted for count in counts.values()])
        matrix = sorted_rows(list(map(len, counted)), terms, weights, vocabulary.dim, places.__getitem__)
        yield VectorBatch([Document(name, "", "") for name, _ in rows], matrix, stream.position())


def write_topics_tsv(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write one line a vector; weights are whole numbers already.

    Raises:
        InputError: an id or a token that the lines cannot hold, or a weight above 100,000.
    """
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for documents, matrix, *_ in batches:
            for document, row in zip(documents, matrix.to_dicts(), strict=True):
                tokens = [_repeated(document, vocabulary[term], int(weight)) for term, weight in row.items()]
                if "\t" in document.id:
                    raise InputError(f"the id {document.id!r} holds a tab, which ends an id in topics")
                file.write(f"{one_line('id', document.id)}\t{' '.join(tokens)}\n")


def _row(place: str, line: str) -> tuple[str, list[str]]:
    name, tab, text = line.partition("\t")
    if not name or not tab:
        raise InputError(f"{place}: found no id followed by a tab, wanted id, tab, tokens with spaces between them")
    try:
        return identifier(name), text.split()
    except InputError as fault:
        raise InputError(f"{place}: {fault}") from None


def _repeated(document: Document, token: str, weight: int) -> str:
    if token.split() != [token]:
        raise InputError(f"the token {token!r} of {document.id!r} holds white space, which ends a token in topics")
    if weight > HEAVIEST:
        raise InputError(
            f"the token {token!r} of {document.id!r} would be repeated {weight:,} times, at most {HEAVIEST:,} are "
            "written: give a smaller --scale, or --bits"
        )
    return " ".join([token] * weight)
