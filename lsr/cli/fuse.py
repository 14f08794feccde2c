"""What does `lsr fuse` do? Reads runs, merges them, writes one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lsr.cli.console import say
from lsr.eval import fuse, read_run, write_run


def run(paths: Sequence[Path], out: Path, method: str, weights: Sequence[float] | None, depth: int) -> None:
    """Fuse and write."""
    merged = fuse([read_run(path) for path in paths], method, weights or None, depth)
    write_run(out, merged, f"fused-{method}")
    say(f"wrote {out}: {len(merged):,} queries, {sum(map(len, merged.values())):,} results ({method})")
