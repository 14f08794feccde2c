"""Which rankings does a run file hold? TREC and MS MARCO lines, or scores by query and document as JSON."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from lsr.corpus.layouts.json_text import json_value
from lsr.corpus.streams import ByteStream, open_file
from lsr.corpus.values import finite_number, identifier, whole_number
from lsr.errors import InputError
from lsr.eval.columns import WORD, columns
from lsr.eval.runs.run import Run, check_scores, check_trec_ids, ids_of, write_lines, write_trec_run
from lsr.formats import GroundTruth, read_ground_truth, write_ground_truth

Line = tuple[str, str, float]
TSV_ID = re.compile(r"[^\0\t\n\r\ud800-\udfff]+")
NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity|\d+\.?\d*e\+?\d+)", re.IGNORECASE | re.ASCII)
MOST_RANK = 10**18 - 1
MOST_ROW = 2**31 - 1  # of a .gt file, which keeps int32


def read_run(path: Path, queries: Container[str] | None = None, documents: Container[str] | None = None) -> Run:
    """Read a TREC run ("query Q0 document rank score tag"), an MS MARCO run ("query document rank"), or .json; .gz too.

    Columns stand between tabs, and then ids may hold spaces, or between white space. Rankings are in order of falling
    score, equal scores as they stand in the file. The score of an MS MARCO line is 1 / rank. JSON is an object
    {query: {document: score}}.

    Args:
        path: the file.
        queries: known query ids; None takes every id.
        documents: known document ids; None takes every id.

    Raises:
        InputError: a malformed line, a document twice for a query, a score that is no finite number, an unknown id,
            or no result at all; the message names the line.
    """
    run: dict[str, dict[str, float]] = {}
    with closing(open_file(path)) as stream:
        items, parse = _reader(path, stream)
        for place, item in items:
            try:
                _add(run, parse(item), queries, documents)
            except InputError as error:
                raise InputError(f"{place}: {error}") from None
    if not run:
        lines = "lines of 'query Q0 document rank score tag'"
        wanted = "an object {query: {document: score}}" if _is_json(path) else lines
        raise InputError(f"{path} holds no results: wanted {wanted}")
    return {query: sorted(hits.items(), key=lambda hit: -hit[1]) for query, hits in run.items()}


def write_run(path: Path, run: Run, tag: str = "lsr") -> None:
    """Write what the name of the file says: .tsv an MS MARCO run, .json an object, any other a TREC run; .gz too.

    Raises:
        InputError: an id that the file cannot hold, or the file cannot be written.
    """
    if _is_json(path):
        write_json_run(path, run)
    elif _is_tsv(path):
        write_msmarco_run(path, run)
    else:
        write_trec_run(path, run, tag)


def check_run_ids(path: Path, ids: Iterable[str]) -> None:
    """Refuse ids that the run file ``path`` will not hold, as `write_run` would."""
    if not _is_json(path):
        (_check_tsv_ids if _is_tsv(path) else check_trec_ids)(ids)


def _reader(path: Path, stream: ByteStream) -> tuple[Iterator[tuple[str, Any]], Callable[[Any], Line]]:
    """(place, item) of every result, and what makes a line of an item."""
    return (_json_items(stream), _json_line) if _is_json(path) else (stream.text_lines(), _Lines())


def _is_json(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".json")


def _is_tsv(path: Path) -> bool:
    return path.name.removesuffix(".gz").endswith(".tsv")


def _add(
    run: dict[str, dict[str, float]], line: Line, queries: Container[str] | None, documents: Container[str] | None
) -> None:
    query, document, score = line
    if not query or not document:
        raise InputError("found an empty id, wanted query and document ids")
    if queries is not None and query not in queries:
        raise InputError(f"unknown query {query!r}: the run is of another collection, or of another split")
    if documents is not None and document not in documents:
        raise InputError(f"unknown document {document!r}: the run is of another collection")
    hits = run.setdefault(query, {})
    if document in hits:
        raise InputError(f"document {document!r} was given before for query {query!r}: keep its best line only")
    hits[document] = score


class _Lines:
    """Reads lines, all in the form of the first."""

    def __init__(self) -> None:
        self._width = 0

    def __call__(self, text: str) -> Line:
        self._width = self._width or (3 if 3 in (text.count("\t") + 1, len(WORD.findall(text))) else 6)
        found = columns(text, (self._width,))
        return _msmarco(found) if self._width == 3 else _trec(found)


def _trec(found: list[str]) -> Line:
    if len(found) != 6:
        raise InputError(f"found {len(found)} columns, wanted 6: query Q0 document rank score tag")
    return found[0], found[2], _score(found[4])


def _score(text: str) -> float:
    try:
        return finite_number(text, "score")
    except InputError:
        if NOT_FINITE.fullmatch(text):
            raise InputError(
                f"the score is {float(text)}: wanted a finite number; leave the line out or fix the system"
            ) from None
        raise InputError(f"found the score {text!r:.60} in column 5, wanted a number") from None


def _msmarco(found: list[str]) -> Line:
    if len(found) != 3:
        raise InputError(f"found {len(found)} columns, wanted 3 as before: query document rank")
    try:
        return found[0], found[1], 1 / whole_number(found[2], "rank", 1, MOST_RANK)
    except InputError:
        raise InputError(f"found the rank {found[2]!r:.60} in column 3, wanted a whole number from 1") from None


def _json_items(stream: ByteStream) -> Iterator[tuple[str, Line]]:
    try:
        found = json_value(b"".join(stream.blocks()).strip() or b"{}", dict[str, dict[str, float]])
    except InputError as fault:
        raise InputError(f"{stream.name}: {fault}; wanted an object {{query: {{document: score}}}}") from None
    for query, hits in found.items():
        yield from ((f"{stream.name}, query {query!r}", (query, name, score)) for name, score in hits.items())


def _json_line(hit: Line) -> Line:
    query, document, score = hit
    return identifier(query, "query id"), identifier(document, "document id"), finite_number(str(score), "score")


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
        InputError: ids that are no numbers of rows, queries that are not 0, 1, 2, ..., rankings of different lengths,
            or a score too large for float32.
    """
    depths = {len(ranking) for ranking in run.values()}
    rows = {_row(query): [_row(name) for name, _ in ranking] for query, ranking in run.items()}
    if sorted(rows) != list(range(len(run))) or len(depths) != 1:
        raise InputError(
            "a .gt file has a ranking of one length for each of the queries 0, 1, 2, ...; this run has not"
        )
    scores = {int(query): [score for _, score in ranking] for query, ranking in run.items()}
    order = range(len(run))
    with np.errstate(over="ignore"):
        singles = np.array([scores[i] for i in order]).astype(np.float32)
    if not np.isfinite(singles).all():
        raise InputError("a .gt file keeps scores as float32, and one of this run is too large: scale them down")
    write_ground_truth(path, GroundTruth(np.array([rows[i] for i in order], np.int32), singles))


def _row(name: str) -> int:
    """The number that ``name`` is; "007" is a name."""
    try:
        row = whole_number(name, "id", 0, MOST_ROW)
    except InputError:
        row = -1
    if str(row) != name:
        raise InputError(
            f"a .gt file knows queries and documents by number only: this run has names ({name!r:.60}); wanted 0 to "
            f"{MOST_ROW:,}"
        )
    return row


def write_msmarco_run(path: Path, run: Run) -> None:
    """Write "query TAB document TAB rank" lines.

    Raises:
        InputError: an id has a tab or a line end, or the file cannot be written.
    """
    _check_tsv_ids(ids_of(run))
    lines = (
        f"{query}\t{document}\t{rank}\n"
        for query, ranking in run.items()
        for rank, (document, _) in enumerate(ranking, 1)
    )
    write_lines(path, lines)


def _check_tsv_ids(ids: Iterable[str]) -> None:
    for name in ids:
        if not TSV_ID.fullmatch(name):
            raise InputError(
                f"the id {name!r} has a tab or a line end, which a .tsv run cannot hold: call the file .json"
            )


def write_json_run(path: Path, run: Run) -> None:
    """Write an object {query: {document: score}}, best document first.

    Raises:
        InputError: an id that JSON does not keep, a score that is no finite number, or the file cannot be written.
    """
    check_scores(run)
    for name in ids_of(run):
        identifier(name)
    scores = {query: {name: float(score) for name, score in ranking} for query, ranking in run.items()}
    write_lines(path, [msgspec.json.encode(scores).decode() + "\n"])
