"""What does `lsr fuse` do? Reads runs, merges them, writes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsr.cli.console import say
from lsr.eval import fuse, read_run, write_run


def run(paths: Sequence[Path], out: Path, method: str, weights: Sequence[float] | None, depth: int) -> None:
    """Fuse and write."""
    runs = [read_run(path) for path in paths]
    merged = fuse(runs, method, weights or None, depth)
    write_run(out, merged, f"fused-{method}")
    say(f"wrote {out}: {len(merged):,} queries, {sum(map(len, merged.values())):,} results ({method})")
    if some := sum(not all(query in run for run in runs) for query in merged):
        say(f"note: {some:,} queries are not in every run")
