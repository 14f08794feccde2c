"""Which rankings does a run file hold? TREC and MS MARCO lines in, MS MARCO lines out."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from pathlib import Path

import numpy as np

from lsr.corpus.streams import open_file
from lsr.errors import InputError
from lsr.eval.runs import Run, check_trec_ids
from lsr.formats import GroundTruth, read_ground_truth, write_ground_truth

Line = tuple[str, str, float]


def read_run(path: Path, queries: Container[str] | None = None, documents: Container[str] | None = None) -> Run:
    """Read a TREC run ("query Q0 document rank score tag") or an MS MARCO run ("query document rank"); .gz too.

    Rankings are in order of falling score, equal scores as they stand in the file. The score of an MS MARCO line is
    1 / rank.

    Args:
        path: the file.
        queries: known query ids; None takes every id.
        documents: known document ids; None takes every id.

    Raises:
        InputError: a malformed line, a document twice for a query, a score that is no finite number, an unknown id,
            or no line at all; the message names the line.
    """
    stream = open_file(path)
    run: dict[str, dict[str, float]] = {}
    parse: Callable[[list[str]], Line] | None = None
    for number, line in stream.lines():
        columns = line.decode("utf-8", "replace").split()
        parse = parse or (_msmarco if len(columns) == 3 else _trec)
        try:
            _add(run, parse(columns), queries, documents)
        except InputError as error:
            raise InputError(f"{stream.name}, line {number}: {error}") from None
    if not run:
        raise InputError(f"{path} holds no results: wanted lines of 'query Q0 document rank score tag'")
    return {query: sorted(hits.items(), key=lambda hit: -hit[1]) for query, hits in run.items()}


def _add(
    run: dict[str, dict[str, float]], line: Line, queries: Container[str] | None, documents: Container[str] | None
) -> None:
    query, document, score = line
    if not math.isfinite(score):
        raise InputError(f"the score is {score}: wanted a finite number; leave the line out or mend the system")
    if queries is not None and query not in queries:
        raise InputError(f"unknown query {query!r}: the run is of another collection, or of another split")
    if documents is not None and document not in documents:
        raise InputError(f"unknown document {document!r}: the run is of another collection")
    hits = run.setdefault(query, {})
    if document in hits:
        raise InputError(f"document {document!r} was given before for query {query!r}: keep its best line only")
    hits[document] = score


def _trec(columns: list[str]) -> Line:
    if len(columns) != 6:
        raise InputError(f"found {len(columns)} columns, wanted 6: query Q0 document rank score tag")
    try:
        return columns[0], columns[2], float(columns[4])
    except ValueError:
        raise InputError(f"found the score {columns[4]!r} in column 5, wanted a number") from None


def _msmarco(columns: list[str]) -> Line:
    if len(columns) != 3:
        raise InputError(f"found {len(columns)} columns, wanted 3 as before: query document rank")
    if not columns[2].isascii() or not columns[2].isdigit() or int(columns[2]) < 1:
        raise InputError(f"found the rank {columns[2]!r} in column 3, wanted a whole number from 1")
    return columns[0], columns[1], 1 / int(columns[2])


def run_of_ground_truth(path: Path) -> Run:
    """The true neighbours of a .gt file as a run; queries and documents are called by their numbers.

    Raises:
        InputError: a damaged file.
    """
    rows, scores = (array.tolist() for array in read_ground_truth(path))
    pairs = zip(rows, scores, strict=True)
    return {str(i): [(str(row), score) for row, score in zip(*pair, strict=True)] for i, pair in enumerate(pairs)}


def write_ground_truth_run(path: Path, run: Run) -> None:
    """Write a run as a .gt file.

    Raises:
        InputError: ids that are no numbers, queries that are not 0, 1, 2, ..., or rankings of different lengths.
    """
    depths = {len(ranking) for ranking in run.values()}
    try:
        rows = {int(query): [int(name) for name, _ in ranking] for query, ranking in run.items()}
    except ValueError:
        raise InputError("a .gt file knows queries and documents by number only: this run has names") from None
    if sorted(rows) != list(range(len(run))) or len(depths) != 1:
        raise InputError(
            "a .gt file has a ranking of one length for each of the queries 0, 1, 2, ...; this run has not"
        )
    scores = {int(query): [score for _, score in ranking] for query, ranking in run.items()}
    order = range(len(run))
    truth = GroundTruth(np.array([rows[i] for i in order], np.int32), np.array([scores[i] for i in order], np.float32))
    write_ground_truth(path, truth)


def write_msmarco_run(path: Path, run: Run) -> None:
    """Write "query TAB document TAB rank" lines.

    Raises:
        InputError: an id has white space, or the file cannot be written.
    """
    check_trec_ids([*run, *(document for ranking in run.values() for document, _ in ranking)])
    lines = [
        f"{query}\t{document}\t{rank}\n"
        for query, ranking in run.items()
        for rank, (document, _) in enumerate(ranking, 1)
    ]
    try:
        path.write_text("".join(lines), encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
