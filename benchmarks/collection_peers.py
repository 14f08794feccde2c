"""What does a collection that changes cost elsewhere? lsr beside embedded databases, the same documents and queries.

    python benchmarks/collection_peers.py [--vectors FILE] [--documents N] [--queries N] [--peers ...] [--json FILE]

FILE as in benchmarks/vectors.py, documents as in benchmarks/collection.py. Peers that are not installed are skipped
with a word. Each peer does each stage in a process of its own: load, open (several times), search, change, and a last
look at what is there after opening once more. A value that is not what it should be ends the run.

load      documents in batches of 1,000: made into objects of the peer, written, indexed, forced to disk and closed;
          making the documents and dicts of their weights is left out
bytes     blocks that the files take after that, as du counts
open      process started and modules imported, those too that a peer imports as late as in its first search: from
          opening to the first answer of a sparse query, files in the page cache; then with only the module that users
          import, late imports included
search    one query after the other from one thread, query objects made before; ids only, then with text and fields.
          Threads are those that each peer takes itself. Recall: share of the found with at least the true 10th score
update    one field of one document by its id, until the call returns, as each peer ships; then where what returned is
          kept over a kill of the process, and over a loss of power, which is the peer's flush after each update (of
          lsr, the other way round, durability "os" is the weaker one); see SYNC in collection_systems.py
delete    one eighth of the documents by a list of ids, as each peer takes it
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from collection import documents
from collection_systems import BATCH, PEERS, Batch, K, Lsr, Peer, number
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from vectors import Vectors, read_vectors

from lsr.sparse import SparseMatrix

OPENINGS, UPDATES, OTHERS = 5, 100, 20
REPEATS, PATIENCE = 3, 60.0  # of searches, and seconds after which nothing is begun again


class Task(NamedTuple):
    """What every stage works on: kept in a file, as each stage is a process."""

    documents: SparseMatrix
    queries: list[SparseMatrix]

    @classmethod
    def read(cls, path: Path) -> Task:
        """From the file."""
        kept = np.load(path)
        dim, scale = int(kept["dim"]), float(kept["scale"])
        found = [
            SparseMatrix(kept[f"{name}_indptr"], kept[f"{name}_terms"], kept[f"{name}_weights"], dim, scale)
            for name in ("documents", "queries")
        ]
        return cls(found[0], [found[1].slice(i, i + 1) for i in range(len(found[1]))])

    @staticmethod
    def write(path: Path, vectors: Vectors) -> None:
        """To the file."""
        arrays: dict[str, Any] = {"dim": vectors.documents.dim, "scale": vectors.documents.scale}
        for name in ("documents", "queries"):
            for part in ("indptr", "terms", "weights"):
                arrays[f"{name}_{part}"] = getattr(getattr(vectors, name), part)
        np.savez(path, **arrays)


class Batches:
    """Batches of all documents, and the seconds that went into making them."""

    def __init__(self, vectors: SparseMatrix) -> None:
        self.vectors, self.seconds = vectors, 0.0

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(0)
        for at in range(0, len(self.vectors), BATCH):
            started = time.perf_counter()
            part = self.vectors.slice(at, min(at + BATCH, len(self.vectors)))
            batch = Batch(documents(range(at, at + len(part)), rng), part, part.to_dicts())
            self.seconds += time.perf_counter() - started
            yield batch


def expect(holds: bool, what: str) -> None:
    """End the run where something is not as it should be."""
    if not holds:
        raise SystemExit(what)


def load(peer: Peer, task: Task) -> dict[str, Any]:
    """Seconds to load."""
    if isinstance(peer, Lsr):  # compiles, or reads what was compiled
        with tempfile.TemporaryDirectory() as place:
            Lsr(Path(place), peer.dim).load(Batches(task.documents.slice(0, 1000)))
    batches, started = Batches(task.documents), time.perf_counter()
    peer.load(batches)
    return {"load_s": time.perf_counter() - started - batches.seconds}


def opened(peer: Peer, task: Task, late: Sequence[str] = ()) -> dict[str, Any]:
    """Milliseconds to the first answer, and the modules that were imported for it; ``late`` ones are there before."""
    importlib.import_module(peer.module)
    for name in late:
        with suppress(ImportError):  # some make modules that have no file
            importlib.import_module(name)
    query, there = peer.query(task.queries[0]) if peer.sparse else None, set(sys.modules)
    started = time.perf_counter()
    peer.open()
    found = peer.search(query) if peer.sparse else peer.get("d7")
    seconds = time.perf_counter() - started
    expect(bool(found), "nothing was found after opening")
    peer.close()
    return {"open_ms": 1e3 * seconds, "modules": [name for name in sys.modules if name not in there]}


def opened_again(peer: Peer, task: Task) -> dict[str, Any]:
    """The same where the modules that the stage before imported are there."""
    return opened(peer, task, json.loads((peer.folder.parent.parent / "modules.json").read_text()))


def searches(peer: Peer, task: Task) -> dict[str, Any]:
    """Median microseconds of a search, of ids and of documents, and what was found."""
    if not peer.sparse:
        return {}
    peer.open()
    ids = [peer.query(one) for one in task.queries]
    found = {"found": [peer.search(one) for one in ids], "search_us": median_us(peer.search, ids)}
    found["search_whole_us"] = median_us(peer.search, [peer.query(one, whole=True) for one in task.queries])
    if isinstance(peer, Lsr):
        found["exact_us"] = median_us(peer.search, [peer.query(one, exact=True) for one in task.queries])
    elif peer.exact:
        found["exact_us"] = found["search_us"]
    peer.close()
    return found


def median_us(ask: Callable[[Any], Any], queries: Sequence[Any]) -> float:
    """Median over queries of the median over repeats."""
    seconds: list[list[float]] = []
    begun = time.perf_counter()
    while not seconds or (len(seconds) < REPEATS and time.perf_counter() - begun < PATIENCE):
        seconds.append([])
        for query in queries:
            started = time.perf_counter()
            ask(query)
            seconds[-1].append(time.perf_counter() - started)
    return 1e6 * float(np.median(np.median(np.array(seconds), axis=0)))


def changed(n: int) -> dict[str, float]:
    """Ids from the end, and the prices that they get."""
    return {f"d{n - 1 - 7 * at}": 1000.0 + at for at in range(UPDATES + OTHERS)}


def timed(update: Callable[[str, float], None], values: dict[str, float]) -> np.ndarray:
    """Milliseconds of updates."""
    seconds = []
    for name, price in values.items():
        started = time.perf_counter()
        update(name, price)
        seconds.append(time.perf_counter() - started)
    return 1e3 * np.array(seconds)


def changes(peer: Peer, task: Task) -> dict[str, Any]:
    """Updates of one document each, and a large delete."""
    n = len(task.documents)
    peer.open()
    peer.update("d0", 0.5)
    values = [*changed(n).items()]
    shipped = timed(peer.update, dict(values[:UPDATES]))
    found = {"update_ms": float(np.median(shipped)), "update_p99_ms": float(np.percentile(shipped, 99))}
    found["update_power_ms" if peer.power else "update_kill_ms"] = found["update_ms"]
    other = peer.switch()
    others = timed(other or peer.update, dict(values[UPDATES:]))
    if other:
        found["update_kill_ms" if peer.power else "update_power_ms"] = float(np.median(others))
    peer.close()
    peer.open()
    intact(peer, task, deleted=0)
    names = [f"d{row}" for row in range(n // 8)]
    started = time.perf_counter()
    peer.delete(names)
    found["delete_s"] = time.perf_counter() - started
    intact(peer, task, len(names))
    peer.close()
    return found


def after(peer: Peer, task: Task) -> dict[str, Any]:
    """Whether another process finds what was changed."""
    peer.open()
    intact(peer, task, len(task.documents) // 8)
    peer.close()
    return {}


def intact(peer: Peer, task: Task, deleted: int) -> None:
    """New values are given back and others kept; what was deleted is not found."""
    n = len(task.documents)
    for name, price in [*changed(n).items()][::5]:
        fields = peer.get(name) or {}
        expect(fields.get("price") == price, f"{name} has not got its new price: {fields}")
        expect(f"tag {number(name) % 7}" in fields["tags"], f"{name} lost its tags: {fields}")
    expect(peer.count() == n - deleted, f"{peer.count()} documents, wanted {n - deleted}")
    for row in range(0, deleted, max(1, deleted // 20)):
        expect(peer.get(f"d{row}") is None, f"d{row} is there after it was deleted")
    for query in task.queries[:20] if peer.sparse else []:
        found = peer.search(peer.query(query))
        expect(bool(found) and all(number(name) >= deleted for name in found), f"a search found deleted ones: {found}")


STAGES: dict[str, Callable[[Peer, Task], dict[str, Any]]] = {
    "load": load,
    "open": opened,
    "open again": opened_again,
    "search": searches,
    "change": changes,
    "after": after,
}


def stage(name: str, peer: str, folder: Path) -> None:
    """Do one stage in this process and write what was measured, with the peak of memory in MB."""
    task = Task.read(folder.parent / "task.npz")
    found = STAGES[name](PEERS[peer](folder, task.documents.dim), task)
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    found["peak_mb"] = float(line.split()[1]) / 1024
    (folder.parent / "found.json").write_text(json.dumps(found))


def run(name: str, peer: str, folder: Path) -> dict[str, Any]:
    """Do one stage in another process; its own words are shown only where it fails."""
    command = [sys.executable, __file__, "--stage", name, peer, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder.parent)
    if done.returncode:
        raise SystemExit(f"{peer}, {name}: {done.stdout[-2000:]}")
    found: dict[str, Any] = json.loads((folder.parent / "found.json").read_text())
    return found


def repeated(name: str, peer: str, folder: Path) -> list[dict[str, Any]]:
    """Some runs of a stage, as far as patience lasts."""
    begun, found = time.perf_counter(), [run(name, peer, folder)]
    while len(found) < OPENINGS and time.perf_counter() - begun < PATIENCE:
        found.append(run(name, peer, folder))
    return found


def measured(peer: str, folder: Path, truth: list[tuple[np.ndarray, float]]) -> dict[str, Any]:
    """All stages of a peer."""
    folder.mkdir()
    found = run("load", peer, folder)
    found["load_peak_mb"] = found.pop("peak_mb")
    found["bytes"] = 512 * sum(path.stat().st_blocks for path in folder.rglob("*") if path.is_file())
    late = repeated("open", peer, folder)
    (folder.parent / "modules.json").write_text(json.dumps(late[0]["modules"]))
    found["open_ms"] = float(np.median([one["open_ms"] for one in repeated("open again", peer, folder)]))
    found["open_late_ms"] = float(np.median([one["open_ms"] for one in late]))
    asked = run("search", peer, folder)
    if "found" in asked:
        asked["recall"] = recall(asked.pop("found"), truth)
        asked["search_peak_mb"] = asked["peak_mb"]
    found |= asked | run("change", peer, folder)
    found["change_peak_mb"] = found.pop("peak_mb")
    run("after", peer, folder)
    return found | {"version": installed(peer), "keeps": PEERS[peer].SYNC}


def scored(vectors: Vectors) -> list[tuple[np.ndarray, float]]:
    """Of each query the exact scores of all documents, and the Kth."""
    transposed = vectors.documents.to_scipy().T.tocsr()
    found = []
    for query in vectors.single_queries:
        scores = (query.to_scipy() @ transposed).toarray()[0].astype(np.float32)
        found.append((scores, float(np.partition(scores, -K)[-K])))
    return found


def recall(found: list[list[str]], truth: list[tuple[np.ndarray, float]]) -> float:
    """Share of the K with at least the true Kth score, ties and rounding allowed for."""
    shares = []
    for names, (scores, least) in zip(found, truth, strict=True):
        rows = [number(name) for name in dict.fromkeys(names)]
        shares.append(float((scores[rows] >= least * (1 - 1e-5)).sum()) / K)
    return float(np.mean(shares))


def installed(peer: str) -> str | None:
    """The version of a peer; lsr's own where it is run from its source."""
    if peer == "lsr":
        from lsr._version import __version__

        return __version__
    try:
        return version(PEERS[peer].package)
    except PackageNotFoundError:
        return None


ROWS = {
    "load_s": ("load, s", 1, 1.0),
    "load_peak_mb": (" peak memory, MB", 0, 1.0),
    "bytes": ("on disk, MB", 1, 1e-6),
    "open_ms": ("open to answer, ms", 1, 1.0),
    "open_late_ms": (" and late imports", 1, 1.0),
    "search_us": ("search, ids, µs", 0, 1.0),
    "recall": (" recall@10", 3, 1.0),
    "search_whole_us": (" documents, µs", 0, 1.0),
    "exact_us": (" exact, ids, µs", 0, 1.0),
    "search_peak_mb": (" peak memory, MB", 0, 1.0),
    "update_ms": ("update one, ms", 2, 1.0),
    "update_p99_ms": (" p99, ms", 2, 1.0),
    "update_kill_ms": (" kept over a kill", 2, 1.0),
    "update_power_ms": (" over power loss", 2, 1.0),
    "delete_s": ("delete 1/8, s", 3, 1.0),
}


def show(values: dict[str, dict[str, Any]], title: str) -> None:
    """The table: a row a measure, a column a peer."""
    console, table = Console(width=80), Table(box=SIMPLE, padding=(0, 0), pad_edge=False)
    table.add_column("", no_wrap=True)
    for peer, found in values.items():
        table.add_column(f"{peer.replace('-', chr(10), 1)}\n{found['version']}", justify="right", vertical="bottom")
    for key, (label, digits, unit) in ROWS.items():
        cells = [f"{found[key] * unit:,.{digits}f}" if key in found else "-" for found in values.values()]
        table.add_row(label, *cells)
    console.print(title, highlight=False)
    console.print(table, highlight=False)
    for peer in values:
        words = f"{peer}: {' '.join((PEERS[peer].__doc__ or '').split())} Update: {PEERS[peer].SYNC}."
        console.print(words, highlight=False)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--documents", type=int, help="repeat the vectors up to so many, or take the first ones")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--peers", nargs="+", choices=PEERS, default=list(PEERS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--stage", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.stage:
        stage(options.stage[0], options.stage[1], Path(options.stage[2]))
        return
    vectors = read_vectors(options.vectors, options.queries)
    if options.documents:
        vectors.documents = vectors.documents.taken(np.arange(options.documents) % len(vectors.documents))
    expect(len(vectors.documents) >= 1000, "at least 1,000 documents are needed")
    compare(vectors, options.peers, options.json)


def compare(vectors: Vectors, peers: list[str], path: Path | None) -> None:
    """Measure the peers that are installed, one after the other."""
    truth, values = scored(vectors), {}
    with tempfile.TemporaryDirectory() as place:
        Task.write(Path(place, "task.npz"), vectors)
        for peer in peers:
            if installed(peer) is None:
                print(f"{peer}: skipped, pip install {PEERS[peer].package}")
                continue
            started = time.perf_counter()
            values[peer] = measured(peer, Path(place, peer), truth)
            print(f"{peer}: {time.perf_counter() - started:.0f} s", flush=True)
    expect(bool(values), "none of the peers is installed")
    show(values, f"{vectors.source}, {len(vectors.documents):,} documents, {len(truth)} queries")
    if path:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        head = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "source": vectors.source}
        path.write_text(json.dumps(head | {"documents": len(vectors.documents), "peers": values}, indent=1) + "\n")


if __name__ == "__main__":
    main()
