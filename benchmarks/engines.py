"""How fast is each engine at equal recall? One process, one thread, calls one by one from Python, interleaved.

Sparse vectors come from `load(path)` of the Python file that --loader names: documents and queries, each as (indptr,
terms, uint8 weights). For every engine and recall target, prints the fastest setting of its grid that reaches the
target, and how much slower it is than lsr; exact engines below.

    pip install 'lsr-engine[bench]'
    python benchmarks/engines.py VECTORS --loader load_vectors.py [--engines lsr sindi seismic] [--json FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("RAYON_NUM_THREADS", str(os.cpu_count()))

import numpy as np
from rich.console import Console
from rich.table import Table

from lsr.index.windowed import WindowedIndex, WindowedSettings
from lsr.sparse import SparseMatrix

TARGETS = {10: (0.90, 0.95, 0.98, 0.99), 100: (0.95,)}
QUERIES, REPEATS, CHUNK = 1000, 3, 50
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
class Vectors:
    """The same vectors in the forms that the engines want."""

    documents: SparseMatrix
    queries: SparseMatrix

    @property
    def single_queries(self) -> list[SparseMatrix]:
        """One matrix a query."""
        return [self.queries.slice(i, i + 1) for i in range(len(self.queries))]


def lsr(vectors: Vectors, notes: dict[str, Any]) -> Iterator[Setting]:
    started = time.perf_counter()
    index = WindowedIndex.build(vectors.documents)
    notes["lsr build s (2 threads)"] = time.perf_counter() - started
    notes["lsr bytes"] = sum(a.nbytes for a in (*index._windows, *index._forward))
    queries = vectors.single_queries

    def asking(settings: WindowedSettings, exact: bool = False) -> Ask:
        def ask(i: int, k: int) -> Any:
            index.settings = settings
            return index.search(queries[i], k, exact=exact).rows[0]

        return ask

    for k, cuts, efforts in (
        (10, (0.3, 0.25, 0.22, 0.2, 0.17, 0.15, 0.12), (0.7, 1, 1.5)),
        (100, (0.2, 0.17, 0.15), (0.8, 1, 1.4)),
    ):
        for cut, effort in itertools.product(cuts, efforts):
            yield Setting("lsr", f"cut {cut} effort {effort}", k, asking(WindowedSettings(cut, effort)))
    yield Setting("lsr exact", "exact", 10, asking(WindowedSettings(), exact=True))


def sindi(vectors: Vectors, notes: dict[str, Any]) -> Iterator[Setting]:
    import pyvsag

    documents = vectors.documents
    csr = documents.indptr.astype(np.uint32), documents.terms.astype(np.uint32), documents.values
    ids = np.arange(len(documents), dtype=np.int64)
    queries = [(np.array([0, q.nnz], np.uint32), q.terms.astype(np.uint32), q.values) for q in vectors.single_queries]
    for pruned in (0.2, 0.3, 0.4):
        settings = {"use_reorder": True, "use_quantization": True, "doc_prune_ratio": pruned, "window_size": 50000}
        parameters = {"term_id_limit": documents.dim, "avg_doc_term_length": documents.nnz // len(documents)}
        whole = {"dtype": "sparse", "metric_type": "ip", "dim": 1024, "index_param": settings | parameters}
        started = time.perf_counter()
        index = pyvsag.Index("sindi", json.dumps(whole))
        index.build(*csr, ids)
        notes[f"sindi build s, doc_prune {pruned}"] = time.perf_counter() - started
        for k, candidates, cuts in ((10, (30, 50, 80), (0.3, 0.4, 0.5)), (100, (200, 300, 500), (0.3, 0.4, 0.5))):
            for n, cut in itertools.product(candidates, cuts):
                how = json.dumps({"sindi": {"n_candidate": n, "query_prune_ratio": cut, "term_prune_ratio": 0.0}})

                def ask(i: int, k: int, index: Any = index, how: str = how) -> Any:
                    return index.knn_search(*queries[i], k, how)[0]

                yield Setting("sindi", f"doc_prune {pruned} n_candidate {n} query_prune {cut}", k, ask)


def seismic(vectors: Vectors, notes: dict[str, Any]) -> Iterator[Setting]:
    from seismic import SeismicIndexRaw

    queries = [(q.terms.astype(np.int32), q.values) for q in vectors.single_queries]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "documents.bin")
        _write_seismic(path, vectors.documents)
        for n_postings in (300, 600):
            started = time.perf_counter()
            index = SeismicIndexRaw.build(
                str(path), n_postings=n_postings, centroid_fraction=0.2, summary_energy=0.5, max_fraction=8.0
            )
            notes[f"seismic build s (2 threads), n_postings {n_postings}"] = time.perf_counter() - started
            for k, cuts, factors in ((10, (4, 6, 10), (0.9, 0.8)), (100, (4, 6, 10), (0.9, 0.8))):
                for cut, factor, ordered in itertools.product(cuts, factors, (False, True)):

                    def ask(i: int, k: int, a: Any = (index, cut, factor, ordered)) -> Any:
                        return [row for _, row in a[0].search(*queries[i], k, a[1], a[2], 0, a[3])]

                    name = f"n_postings {n_postings} cut {cut} heap_factor {factor} sorted {ordered}"
                    yield Setting("seismic", name, k, ask)


def scipy_product(vectors: Vectors, notes: dict[str, Any]) -> Iterator[Setting]:
    transposed = vectors.documents.to_scipy().T.tocsr()
    queries = [q.to_scipy() for q in vectors.single_queries]

    def ask(i: int, k: int) -> Any:
        scores = (queries[i] @ transposed).toarray()[0]
        best = np.argpartition(-scores, k)[:k]
        return best[np.argsort(-scores[best])]

    yield Setting("scipy product", "exact", 10, ask)


ENGINES = {"lsr": lsr, "sindi": sindi, "seismic": seismic, "scipy": scipy_product}


def _write_seismic(path: Path, documents: SparseMatrix) -> None:
    values = documents.values
    with path.open("wb") as file:
        file.write(np.uint32(len(documents)).tobytes())
        for start, stop in itertools.pairwise(documents.indptr.tolist()):
            file.write(np.uint32(stop - start).tobytes())
            file.write(documents.terms[start:stop].astype(np.uint32).tobytes() + values[start:stop].tobytes())


def read_vectors(path: Path, loader: Path) -> Vectors:
    spec = importlib.util.spec_from_file_location("loader", loader)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{loader} is no Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    documents, queries = module.load(str(path))
    dim = 1 + int(max(documents[1].max(), queries[1].max()))
    scale = 4 / 255
    matrices = [
        SparseMatrix(p.astype(np.int64), t.astype(np.uint16), w, dim, scale) for p, t, w in (documents, queries)
    ]
    return Vectors(matrices[0], matrices[1].slice(0, QUERIES))


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
    """Ask every setting all queries, in turn a chunk of queries at a time, so that drift hits all alike."""
    for setting in settings:
        rows = [np.ravel(setting.ask(i, setting.k)).tolist() for i in range(len(truth))]
        pairs = zip(rows, truth[:, : setting.k].tolist(), strict=True)
        setting.recall = float(np.mean([len(set(a) & set(b)) / setting.k for a, b in pairs]))
        setting.seconds = [[0.0] * len(truth) for _ in range(REPEATS)]
    for repeat, start in itertools.product(range(REPEATS), range(0, len(truth), CHUNK)):
        for setting in settings:
            for i in range(start, min(len(truth), start + CHUNK)):
                started = time.perf_counter()
                setting.ask(i, setting.k)
                setting.seconds[repeat][i] = time.perf_counter() - started


def fastest(settings: list[Setting], engine: str, k: int, target: float) -> Setting | None:
    fit = [s for s in settings if s.engine == engine and s.k == k and s.recall >= target]
    return min(fit, key=lambda s: s.median_us, default=None)


def report(settings: list[Setting]) -> list[dict[str, Any]]:
    rows = []
    table = Table("engine", "k", "recall wanted", "recall", "median us", "p99 us", "lsr is faster by", "setting")
    for k, targets in TARGETS.items():
        for target, engine in itertools.product(targets, dict.fromkeys(s.engine for s in settings)):
            best, ours = fastest(settings, engine, k, target), fastest(settings, "lsr", k, target)
            if best is None or engine in ("lsr exact", "scipy product"):
                continue
            ratio = best.median_us / ours.median_us if ours else float("nan")
            rows.append(
                {"engine": engine, "k": k, "target": target, "recall": best.recall, "median_us": best.median_us}
            )
            rows[-1] |= {"p99_us": best.p99_us, "ratio": ratio, "setting": best.name}
            cells = f"{target}", f"{best.recall:.4f}", f"{best.median_us:.0f}", f"{best.p99_us:.0f}", f"{ratio:.2f}x"
            table.add_row(engine, str(k), *cells, best.name)
    exact = [s for s in settings if s.name == "exact"]
    for s in exact:
        ratio = s.median_us / exact[0].median_us
        rows.append({"engine": s.engine, "k": s.k, "recall": s.recall, "median_us": s.median_us, "ratio": ratio})
        table.add_row(
            s.engine, str(s.k), "exact", f"{s.recall:.4f}", f"{s.median_us:.0f}", f"{s.p99_us:.0f}", f"{ratio:.2f}x", ""
        )
    Console(width=160).print(table)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("--loader", type=Path, required=True)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    vectors = read_vectors(options.vectors, options.loader)
    truth = brute_force(vectors, max(TARGETS))
    notes: dict[str, Any] = {"documents": len(vectors.documents), "nonzeros": vectors.documents.nnz}
    settings = [s for name in options.engines for s in ENGINES[name](vectors, notes)]
    measure(settings, truth)
    rows = report(settings)
    notes["lsr bytes / (u16 + u8)"] = notes["lsr bytes"] / (3 * vectors.documents.nnz) if "lsr bytes" in notes else None
    for name, value in notes.items():
        print(f"{name}: {value:,.2f}" if isinstance(value, float) else f"{name}: {value}")
    if options.json:
        packages = {n: version(n) for n in ("numba", "numpy")}
        head = {"date": time.strftime("%Y-%m-%d"), "machine": platform.processor() or platform.machine(), **packages}
        options.json.write_text(json.dumps({**head, "notes": notes, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
