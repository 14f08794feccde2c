"""How fast is each engine at equal recall? One process, one thread, calls one by one from Python, interleaved.

For every engine and recall, prints the fastest setting of its grid that reaches it, and how much slower it is than
lsr; exact search below, then build time, bytes and peak memory. Peers that are not installed are skipped with a word.

    pip install '.[bench]'
    python benchmarks/peers.py [--vectors FILE] [--json FILE] [--quick] [--engines lsr sindi ...]

FILE as in benchmarks/vectors.py. --quick takes about 5 minutes: fewer queries and settings, without kANNolo.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("RAYON_NUM_THREADS", str(os.cpu_count()))

import numpy as np
from rich.console import Console
from rich.table import Table
from vectors import Vectors, read_vectors

from lsr.index import SeismicIndex, SeismicSettings, WindowedIndex, WindowedSettings

TARGETS = {10: (0.90, 0.95, 0.98, 0.99), 100: (0.95,)}
REPEATS, CHUNK = 3, 50
OURS = ("lsr windowed", "lsr seismic")
Ask = Callable[[int, int], Any]  # query number, k -> rows, best first


@dataclass
class Setting:
    """One engine with one setting, and what was measured of it."""

    engine: str
    name: str
    k: int
    ask: Ask
    seconds: list[list[float]] = field(default_factory=list)
    recall: float = 0.0

    @property
    def median_us(self) -> float:
        """Median over queries of the median over repeats."""
        return 1e6 * float(np.median(np.median(np.array(self.seconds), axis=0)))

    @property
    def p99_us(self) -> float:
        """99th percentile over all calls."""
        return 1e6 * float(np.percentile(np.array(self.seconds), 99))


@dataclass
class Built:
    """What the building of an index took."""

    engine: str
    setting: str
    seconds: float
    peak_mb: float
    bytes: int = 0


class Bench:
    """The vectors, how thorough to be, and what was built."""

    def __init__(self, vectors: Vectors, quick: bool) -> None:
        self.vectors, self.quick = vectors, quick
        self.built: list[Built] = []

    @contextmanager
    def building(self, engine: str, setting: str) -> Iterator[Built]:
        """Time a build and take the peak of resident memory above what was there before."""
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        before, started = _status("VmRSS"), time.perf_counter()
        built = Built(engine, setting, 0.0, 0.0)
        yield built
        built.seconds = time.perf_counter() - started
        built.peak_mb = (_status("VmHWM") - before) / 1024
        self.built.append(built)

    def grid(self, *axes: tuple[Any, ...]) -> list[Any]:
        """All settings, or when quick every second one."""
        settings = list(itertools.product(*axes))
        return settings[:: 2 if self.quick else 1]


def _status(name: str) -> float:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return float(line.split()[1])


def windowed(bench: Bench) -> Iterator[Setting]:
    documents = bench.vectors.documents
    WindowedIndex.build(documents.slice(0, 1000))  # compiles
    with bench.building("lsr windowed", "") as built:
        index = WindowedIndex.build(documents)
    built.bytes = sum(a.nbytes for a in (*index._windows, documents.indptr, documents.terms, documents.weights))
    queries = bench.vectors.single_queries

    def ask_with(settings: WindowedSettings | None) -> Ask:
        def ask(i: int, k: int) -> Any:
            return index.search(queries[i], k, exact=settings is None, settings=settings).rows[0]

        return ask

    grids = ((10, (0.3, 0.25, 0.22, 0.2, 0.17, 0.15, 0.12), (0.7, 1, 1.5)), (100, (0.2, 0.17, 0.15), (0.8, 1, 1.4)))
    for k, cuts, efforts in grids:
        for cut, effort in itertools.product(cuts, efforts):
            yield Setting("lsr windowed", f"cut {cut} effort {effort}", k, ask_with(WindowedSettings(cut, effort)))
    yield Setting("lsr exact", "exact", 10, ask_with(None))


def seismic(bench: Bench) -> Iterator[Setting]:
    documents = bench.vectors.documents
    SeismicIndex.build(documents.slice(0, 1000))
    with bench.building("lsr seismic", "n_postings 300") as built:
        index = SeismicIndex.build(documents, SeismicSettings(n_postings=300))
    arrays = (*index._blocks, index._records, *index._arrays[0])
    built.bytes = sum(a.nbytes for a in arrays)
    queries = bench.vectors.single_queries
    for k, cuts, factors in ((10, (5, 8, 12, 20), (0.9, 0.8, 0.7)), (100, (8, 12, 20), (0.9, 0.8))):
        for cut, factor, look in bench.grid(cuts, factors, (0.75, 0.6)):
            settings = SeismicSettings(300, query_cut=cut, heap_factor=factor, first_look=look)

            def ask(i: int, k: int, settings: SeismicSettings = settings) -> Any:
                return index.search(queries[i], k, settings=settings).rows[0]

            yield Setting("lsr seismic", f"cut {cut} heap_factor {factor} first_look {look}", k, ask)


def sindi(bench: Bench) -> Iterator[Setting]:
    import pyvsag

    documents = bench.vectors.documents
    csr = documents.indptr.astype(np.uint32), documents.terms.astype(np.uint32), documents.values
    ids = np.arange(len(documents), dtype=np.int64)
    queries = [
        (np.array([0, q.nnz], np.uint32), q.terms.astype(np.uint32), q.values) for q in bench.vectors.single_queries
    ]
    for pruned in (0.2, 0.3, 0.4):
        settings = {"use_reorder": True, "use_quantization": True, "doc_prune_ratio": pruned, "window_size": 50000}
        parameters = {"term_id_limit": documents.dim, "avg_doc_term_length": documents.nnz // len(documents)}
        whole = {"dtype": "sparse", "metric_type": "ip", "dim": 1024, "index_param": settings | parameters}
        with bench.building("sindi", f"doc_prune {pruned}"):
            index = pyvsag.Index("sindi", json.dumps(whole))
            index.build(*csr, ids)
        cuts = (0.2, 0.3, 0.4, 0.5)
        for k, candidates in ((10, (30, 50, 80)), (100, (200, 300, 500))):
            for n, cut in bench.grid(candidates, cuts):
                how = json.dumps({"sindi": {"n_candidate": n, "query_prune_ratio": cut, "term_prune_ratio": 0.0}})

                def ask(i: int, k: int, index: Any = index, how: str = how) -> Any:
                    return index.knn_search(*queries[i], k, how)[0]

                yield Setting("sindi", f"doc_prune {pruned} n_candidate {n} query_prune {cut}", k, ask)


def rust_seismic(bench: Bench) -> Iterator[Setting]:
    from seismic import SeismicIndexRaw

    queries = [(q.terms.astype(np.int32), q.values) for q in bench.vectors.single_queries]
    per_document = len(bench.vectors.documents) / 200_000  # postings kept are given for this size
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "documents.bin")
        _write_seismic(path, bench.vectors)
        for n_postings in (300,) if bench.quick else (300, 600):
            scaled = max(20, int(n_postings * per_document))
            options = {"centroid_fraction": 0.2, "summary_energy": 0.5, "max_fraction": 8.0}
            with bench.building("seismic", f"n_postings {scaled}"):
                index = SeismicIndexRaw.build(str(path), n_postings=scaled, **options)
            for k in TARGETS:
                for cut, factor, ordered in bench.grid((4, 6, 10), (0.9, 0.8), (True, False)):

                    def ask(i: int, k: int, a: Any = (index, cut, factor, ordered)) -> Any:
                        return [row for _, row in a[0].search(*queries[i], k, a[1], a[2], 0, a[3])]

                    name = f"n_postings {scaled} cut {cut} heap_factor {factor} sorted {ordered}"
                    yield Setting("seismic", name, k, ask)


def _write_seismic(path: Path, vectors: Vectors) -> None:
    """Documents in Seismic's file format: a count, then a length, terms and weights for each."""
    indptr, values = vectors.documents.indptr.tolist(), vectors.documents.values
    terms = vectors.documents.terms.astype(np.uint32)
    with path.open("wb") as file:
        file.write(np.uint32(len(indptr) - 1).tobytes())
        for start, stop in itertools.pairwise(indptr):
            file.write(np.uint32(stop - start).tobytes() + terms[start:stop].tobytes() + values[start:stop].tobytes())


def kannolo(bench: Bench) -> Iterator[Setting]:
    if bench.quick:
        return
    from kannolo import SparsePlainHNSW

    documents = bench.vectors.documents
    queries = [(q.terms.astype(np.int32), q.values) for q in bench.vectors.single_queries]
    with bench.building("kannolo", "m 16 ef_construction 150") as built:
        index = SparsePlainHNSW.build_from_arrays(
            documents.terms.astype(np.int32), documents.values, documents.indptr.astype(np.int32), m=16,
            ef_construction=150,
        )  # fmt: skip
    built.bytes = index.space_usage_bytes()
    for k, efs in ((10, (40, 80, 160, 320)), (100, (160, 320))):
        for ef in efs:

            def ask(i: int, k: int, ef: int = ef) -> Any:
                return index.search(*queries[i], k, ef_search=ef)[1]

            yield Setting("kannolo", f"m 16 ef_construction 150 ef_search {ef}", k, ask)


def bmp(bench: Bench) -> Iterator[Setting]:
    from bmp import Indexer, Searcher

    folder = tempfile.TemporaryDirectory()
    path = str(Path(folder.name, "index.bmp"))
    with bench.building("bmp", "block 32, documents as they come"):
        indexer = Indexer(path, bsize=32, compress_range=False)
        documents = bench.vectors.documents
        names = [str(t) for t in range(documents.dim)]
        for row, (start, stop) in enumerate(itertools.pairwise(documents.indptr.tolist())):
            terms, weights = documents.terms[start:stop].tolist(), documents.weights[start:stop].tolist()
            indexer.add_document(str(row), {names[t]: w for t, w in zip(terms, weights, strict=True)})
        indexer.finish()
        searcher = Searcher(path)
    queries = [{names[t]: w for t, w in row.items()} for row in bench.vectors.queries.to_dicts()]
    for alpha in (1.0, 0.9):

        def ask(i: int, k: int, alpha: float = alpha) -> Any:
            return [int(name) for name in searcher.search(queries[i], k=k, alpha=alpha, beta=1.0)[0]]

        yield Setting("bmp", f"block 32 alpha {alpha} beta 1", 10, ask)


def scipy_product(bench: Bench) -> Iterator[Setting]:
    """The query times the transposed documents: reads the postings of its terms alone."""
    transposed = bench.vectors.documents.to_scipy().T.tocsr()
    queries = [q.to_scipy() for q in bench.vectors.single_queries]

    def ask(i: int, k: int) -> Any:
        scores = (queries[i] @ transposed).toarray()[0]
        chosen = np.argpartition(-scores, k)[:k]
        return chosen[np.argsort(-scores[chosen])]

    yield Setting("scipy product", "exact", 10, ask)


ENGINES = {
    "lsr": windowed,
    "lsr-seismic": seismic,
    "sindi": sindi,
    "seismic": rust_seismic,
    "bmp": bmp,
    "kannolo": kannolo,
    "scipy": scipy_product,
}


def brute_force(vectors: Vectors, k: int) -> np.ndarray:
    """The true best k rows of every query, ties by row."""
    transposed = vectors.documents.to_scipy().T.tocsr()
    found = []
    for query in vectors.single_queries:
        scores = (query.to_scipy() @ transposed).toarray()[0]
        rows = np.flatnonzero(scores >= np.partition(scores, -k)[-k])
        found.append(rows[np.lexsort((rows, -scores[rows]))][:k])
    return np.array(found)


def measure(settings: list[Setting], truth: np.ndarray) -> None:
    """Recall of every setting, then latencies, all settings taking turns on every CHUNK of queries."""
    n = len(truth)
    for setting in settings:
        shares = [np.isin(setting.ask(i, setting.k), truth[i, : setting.k]).sum() for i in range(n)]
        setting.recall = float(np.mean(shares)) / setting.k
        setting.seconds = [[0.0] * n for _ in range(REPEATS)]
    for repeat, start in itertools.product(range(REPEATS), range(0, n, CHUNK)):
        for setting in settings:
            for i in range(start, min(n, start + CHUNK)):
                started = time.perf_counter()
                setting.ask(i, setting.k)
                setting.seconds[repeat][i] = time.perf_counter() - started


def fastest(settings: list[Setting], engines: tuple[str, ...], k: int, target: float) -> Setting | None:
    fit = [s for s in settings if s.engine in engines and s.k == k and s.recall >= target and s.name != "exact"]
    return min(fit, key=lambda s: s.median_us, default=None)


def points(settings: list[Setting]) -> list[dict[str, Any]]:
    """For every recall and engine the fastest setting, and how much slower it is than ours."""
    engines = dict.fromkeys(s.engine for s in settings if s.name != "exact")
    found = []
    for k, targets in TARGETS.items():
        for target, engine in itertools.product(targets, engines):
            best, ours = fastest(settings, (engine,), k, target), fastest(settings, OURS, k, target)
            if best and ours:
                figures = {"median_us": best.median_us, "p99_us": best.p99_us, "ratio": best.median_us / ours.median_us}
                found.append({"k": k, "target": target, "engine": engine, "recall": best.recall, **figures})
                found[-1]["setting"] = best.name
    return found


def summary(settings: list[Setting], bench: Bench) -> dict[str, Any]:
    """The best peer against ours at each recall, build, bytes and exact search."""
    peers = tuple(dict.fromkeys(s.engine for s in settings if s.engine not in (*OURS, "lsr exact")))

    def versus(k: int, target: float) -> dict[str, Any] | None:
        peer, ours = fastest(settings, peers, k, target), fastest(settings, OURS, k, target)
        if peer is None or ours is None:
            return None
        ratio = peer.median_us / ours.median_us
        return {
            "recall": target,
            "ours_us": ours.median_us,
            "peer": peer.engine,
            "peer_us": peer.median_us,
            "ratio": ratio,
        }

    built = {b.engine: b for b in reversed(bench.built)}
    exact = {s.engine: s.median_us for s in settings if s.name == "exact"}
    found: dict[str, Any] = {"k": 10, "points": [p for t in TARGETS[10] if (p := versus(10, t))]}
    found["k100"] = [p for t in TARGETS[100] if (p := versus(100, t))]
    if {"lsr windowed", "seismic"} <= built.keys():
        ours, theirs = built["lsr windowed"].seconds, built["seismic"].seconds
        found["build"] = {"ours_s": ours, "seismic_s": theirs, "ratio": theirs / ours}
    if "lsr windowed" in built:
        found["bytes"] = {"ours": built["lsr windowed"].bytes, "raw": 3 * bench.vectors.documents.nnz}
    if {"lsr exact", "scipy product"} <= exact.keys():
        found["exact"] = {"ours_us": exact["lsr exact"], "scipy_us": exact["scipy product"]}
    return found


def show(rows: list[dict[str, Any]], settings: list[Setting], bench: Bench) -> None:
    """The tables."""
    console = Console(width=150)
    table = Table("engine", "k", "recall wanted", "recall", "median us", "p99 us", "lsr is faster by", "setting")
    for r in rows:
        ratio = "" if r["engine"] in OURS and r["ratio"] == 1 else f"{r['ratio']:.2f}x"
        figures = f"{r['recall']:.4f}", f"{r['median_us']:.0f}", f"{r['p99_us']:.0f}", ratio
        table.add_row(r["engine"], str(r["k"]), str(r["target"]), *figures, r["setting"])
    exact = [s for s in settings if s.name == "exact"]
    for s in exact:
        ratio = f"{s.median_us / exact[0].median_us:.2f}x"
        table.add_row(s.engine, "10", "exact", f"{s.recall:.4f}", f"{s.median_us:.0f}", f"{s.p99_us:.0f}", ratio, "")
    console.print(table)
    builds = Table("engine", "setting", "build s", "peak MB", "bytes / (u16 + u8)")
    for b in bench.built:
        share = f"{b.bytes / (3 * bench.vectors.documents.nnz):.2f}" if b.bytes else ""
        builds.add_row(b.engine, b.setting, f"{b.seconds:.1f}", f"{b.peak_mb:.0f}", share)
    console.print(builds)


def collect(bench: Bench, names: list[str]) -> list[Setting]:
    """The settings of all engines that are installed."""
    settings = []
    for name in names:
        try:
            settings += list(ENGINES[name](bench))
        except ImportError as error:
            print(f"{name}: skipped, {error}")
    return settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    bench = Bench(read_vectors(options.vectors, 400 if options.quick else 1000), options.quick)
    documents = bench.vectors.documents
    print(f"{bench.vectors.source}: {len(documents):,} documents, {documents.nnz:,} weights")
    truth = brute_force(bench.vectors, max(TARGETS))
    settings = collect(bench, options.engines)
    measure(settings, truth)
    rows = points(settings)
    show(rows, settings, bench)
    if options.json:
        machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
        head = {"date": time.strftime("%Y-%m-%d"), "machine": machine, "numba": version("numba")}
        head |= {"documents": len(documents), "nonzeros": documents.nnz, "source": bench.vectors.source}
        found = {**head, **summary(settings, bench), "rows": rows, "builds": [vars(b) for b in bench.built]}
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
