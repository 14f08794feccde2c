"""Which processes are killed? Those that do a `Workload`, as they should or without a safeguard."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.crash import unsafe
from tests.crash.workload import KINDS, VERBS, Workload, make, perform, small_segments


def write(folder: str, seed: str, safeguards: str) -> None:
    """A writer that acknowledges each step; without "safeguards" its changes are torn."""
    with nullcontext() if safeguards == "safeguards" else unsafe.without_transactions():
        perform(Path(folder), print, Workload(int(seed)))


def warm_up() -> None:
    """Import and compile everything, for all that are forked from here."""
    small_segments()
    for kind in KINDS:
        with TemporaryDirectory() as folder:
            perform(make(Path(folder), kind), lambda _: None, Workload(1, 3 * len(VERBS)))


warm_up()
