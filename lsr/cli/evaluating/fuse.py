"""What does `lsr fuse` do? Reads runs, merges them, writes one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lsr.cli.console import say
from lsr.errors import InputError
from lsr.eval import fuse, read_run, write_run


def command(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Two or more run files.")],
    out: Annotated[Path, typer.Option("--out", help="Run to write: TREC, or .tsv or .json as for lsr eval.")],
    method: Annotated[str, typer.Option(help="rrf, min-max (scores scaled to 0..1 by query) or linear.")] = "rrf",
    weights: Annotated[list[float] | None, typer.Option("--weight", help="One weight for each run, in order.")] = None,
    depth: Annotated[int, typer.Option(help="Results to keep for each query.", min=1)] = 1000,
) -> None:
    """Merge several runs into one.

    Example: lsr fuse bm25.run splade.run --out fused.run
    """
    _check(runs, out)
    read = [read_run(path) for path in runs]
    merged = fuse(read, method, weights or None, depth)
    write_run(out, merged, f"fused-{method}")
    say(f"wrote {out}: {len(merged):,} queries, {sum(map(len, merged.values())):,} results ({method})")
    if some := sum(not all(query in run for run in read) for query in merged):
        say(f"note: {some:,} {'query is' if some == 1 else 'queries are'} not in every run")


def _check(runs: list[Path], out: Path) -> None:
    if len(runs) < 2:
        raise InputError(f"found one run, {runs[0]}: give two or more")
    if out.exists() and any(out.samefile(path) for path in runs if path.exists()):
        raise InputError(f"--out {out} is one of the runs: name another file")
