"""One byte of one file of a collection is another one: `verify` says so, or everything is what it was.

A log of SQLite that is damaged ends there, as after a loss of power: then everything is what it was some time ago. Logs
are there while a collection is open, and after a kill.

Whatever `verify` says, opening, reading and searching give an answer or an error of lsr, and end. `make crash` flips
every byte; otherwise the first bytes of every file, which all others hang on, and some of the rest.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import lsr
from lsr.encoders import load
from lsr.errors import LsrError
from lsr.index.live import tiers
from lsr.index.live.snapshots import verify
from tests.crash.conftest import scratch  # noqa: F401  the same folder in memory
from tests.crash.scale import SCALED

HEAD, STRIDE = (0, 1) if SCALED else (16, 229)
LOG = "catalogue.db-wal"
WORDS = ("red", "blue", "shoes", "hat")


@pytest.fixture
def states(scratch, monkeypatch):  # noqa: F811
    """All that a small collection in ``scratch / "shop"`` has been, with a segment and a log that is not empty."""
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 4)
    documents = [{"id": f"d{i}", "text": f"{WORDS[i % 4]} {WORDS[i % 3]}", "price": i} for i in range(4)]
    found: list[Any] = []
    with lsr.Collection.create(scratch / "first", documents, load("bm25:none")) as made:
        for change in (
            lambda: None,
            lambda: made.upsert([{"id": "new", "text": "green hat", "price": 7}]),
            lambda: made.delete("d1"),
            lambda: made.update({"d2": {"price": 9}}),
        ):
            change()
            shutil.copytree(scratch / "first", scratch / f"shop-{len(found)}")  # while it is open, with its log
            found.append(everything(scratch / f"shop-{len(found)}"))
        shutil.copytree(scratch / "first", scratch / "shop")
    return found


def everything(folder: Path) -> list[object]:
    """All that the collection in a folder says."""
    with lsr.Collection.open(folder) as found:
        hits = [(hit.id, hit.score) for word in (*WORDS, "green") for hit in found.search(word, 9, exact=True)]
        fast = [(hit.id, hit.score) for word in (*WORDS, "green") for hit in found.search(word, 9)]
        known = [found.get(name) for name in ("d0", "d1", "d2", "new")]
        filtered = [found.count("price > 2"), found.facets(["price"])]
        return [[*found], hits, fast, known, filtered, found.history(), len(found)]


def checked(call, folder):
    """What a call gives, or None and an error of lsr."""
    try:
        return call(folder), None
    except LsrError as error:
        return None, error


def flips(content: bytes):
    """The places of a file that are flipped."""
    return [at for at in range(len(content)) if at < HEAD or at % STRIDE == 0]


@pytest.mark.timeout(7200 if SCALED else 300)
def test_a_flipped_byte_is_seen_or_changes_nothing(states, scratch):  # noqa: F811
    shop, seen = scratch / "shop", 0
    kept = {path.relative_to(shop): path.read_bytes() for path in shop.rglob("*") if path.is_file()}
    for name, content in sorted(kept.items()):
        for at in flips(content):
            restore(shop, kept)
            damaged = bytearray(content)
            damaged[at] ^= 1 << (at % 8)
            (shop / name).write_bytes(damaged)
            _, error = checked(verify, shop)
            found, refused = checked(everything, shop)
            wanted = states if name.name == LOG else states[-1:]
            assert error or refused or found in wanted, f"{name} at {at}"
            seen += bool(error or refused)
    assert seen > 100


def restore(folder, kept):
    """Every file as it was, and no other."""
    for path in folder.rglob("*"):
        if path.is_file() and path.relative_to(folder) not in kept:
            path.unlink()
    for name, content in kept.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
