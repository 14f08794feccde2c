"""What did a system answer? Ranked documents for each query, and the file formats for that."""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lsr.errors import InputError, reason

Ranking = list[tuple[str, float]]
Run = dict[str, Ranking]
BATCH = 32
TREC_ID = re.compile(r"[^\0 \t\n\v\f\r\ud800-\udfff]+")


def run_queries(
    rank: Callable[[Sequence[str], int], Sequence[Ranking]],
    queries: Mapping[str, str],
    depth: int,
    progress: Callable[[int], None] = lambda done: None,
) -> Run:
    """Ask every query.

    Args:
        rank: gives the best (document id, score) pairs of each of several queries.
        queries: text by id.
        depth: results wanted for each.
        progress: called with the number of queries answered.
    """
    run: Run = {}
    items = list(queries.items())
    for start in range(0, len(items), BATCH):
        batch = items[start : start + BATCH]
        rankings = rank([text for _, text in batch], depth)
        run.update(zip((query for query, _ in batch), rankings, strict=True))
        progress(len(run))
    return run


def check_trec_ids(ids: Iterable[str]) -> None:
    """Refuse ids that a TREC run file cannot hold.

    Raises:
        InputError: an id is empty, or has ASCII white space, NUL or half a surrogate pair.
    """
    for name in ids:
        if not TREC_ID.fullmatch(name):
            raise InputError(
                f"the id {name!r} has white space, which separates columns in a TREC run: call the file .tsv (MS "
                "MARCO's form: tabs between columns, ranks without scores) or .json (scores by query and document)"
            )


def ids_of(run: Run) -> dict[str, None]:
    """Queries and documents of a run, each once, in order."""
    return dict.fromkeys([*run, *(document for ranking in run.values() for document, _ in ranking)])


def check_scores(run: Run) -> None:
    """Refuse scores that no run file keeps.

    Raises:
        InputError: a score that is no finite number.
    """
    for query, ranking in run.items():
        if wrong := [(name, score) for name, score in ranking if not math.isfinite(score)]:
            name, score = wrong[0]
            raise InputError(
                f"query {query!r}, document {name!r}: the score is {score}, wanted a finite number; are weights of "
                "the index or the query too large?"
            )


def write_trec_run(path: Path, run: Run, tag: str = "lsr") -> None:
    """Write "query Q0 document rank score tag" lines; scores with all their digits, so that none tie in the file only.

    Raises:
        InputError: an id has white space, a score is no finite number, or the file cannot be written.
    """
    check_scores(run)
    check_trec_ids(ids_of(run))
    lines = (
        f"{query} Q0 {document} {rank} {float(score)!r} {tag}\n"
        for query, ranking in run.items()
        for rank, (document, score) in enumerate(ranking, 1)
    )
    write_lines(path, lines)


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a file in UTF-8; one called .gz is compressed.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with gzip.open(path, "wt", encoding="utf-8") if path.suffix == ".gz" else path.open("w", encoding="utf-8") as f:
            f.writelines(lines)
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}") from None
