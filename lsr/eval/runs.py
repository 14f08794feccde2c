"""What did a system answer? Ranked documents for each query, and the file formats for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lsr.errors import InputError

Ranking = list[tuple[str, float]]
Run = dict[str, Ranking]
BATCH = 32


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
        InputError: an id is empty or has white space.
    """
    for name in ids:
        if len(name.split()) != 1 or name != name.strip():
            raise InputError(f"the id {name!r} has white space, which separates columns in a TREC run: leave out --run")


def write_trec_run(path: Path, run: Run, tag: str = "lsr") -> None:
    """Write "query Q0 document rank score tag" lines; scores with all their digits, so that none tie in the file only.

    Raises:
        InputError: an id has white space, or the file cannot be written.
    """
    check_trec_ids([*run, *(document for ranking in run.values() for document, _ in ranking)])
    try:
        with path.open("w", encoding="utf-8") as file:
            for query, ranking in run.items():
                for rank, (document, score) in enumerate(ranking, 1):
                    file.write(f"{query} Q0 {document} {rank} {score!r} {tag}\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
