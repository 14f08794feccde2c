"""What the tests of this folder share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lsr.index.live import folding, tiers

MEMORY = Path("/dev/shm")  # noqa: S108  a disk that never waits: what is durable is on record, or survives a kill anyhow


@pytest.fixture
def scratch(tmp_path) -> Iterator[Path]:
    """A folder in memory, where there is room for one."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with TemporaryDirectory(dir=MEMORY) as folder:
        yield Path(folder)


@pytest.fixture
def small_segments(monkeypatch) -> None:
    """Segments are made of a few documents, and new values soon go into columns."""
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 6)
    monkeypatch.setattr(folding, "MANY_UPDATES", 3)
