"""What does a call cost around the kernels? Overhead, threads, the first search of a process, compiling.

python benchmarks/calls.py [--vectors FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit
from rich.console import Console
from rich.table import Table
from vectors import read_vectors

from lsr.index import WindowedIndex
from lsr.index.windowed.kernels import search_windows
from lsr.sparse import SparseMatrix

SAMPLE = Path(__file__).parent.parent / "data" / "sample"
COMPILE = """
import time
import numpy as np
from lsr.index import ExactIndex, SeismicIndex, WindowedIndex
from lsr.sparse import SparseMatrix
documents = SparseMatrix.from_dicts([{i % 7: 1.0, 9 + i: 2.0} for i in range(300)], 400)
started = time.perf_counter()
index = WindowedIndex.build(documents)
index.search(documents.slice(0, 1), 3)
index.search(documents.slice(0, 1), 3, exact=True)
print(time.perf_counter() - started)
started = time.perf_counter()
SeismicIndex.build(documents).search(documents.slice(0, 1), 3)
ExactIndex(documents).search(documents.slice(0, 1), 3)
print(time.perf_counter() - started)
"""


def medians_us(*calls: Callable[[], Any], times: int = 5000) -> list[float]:
    """Median of many calls of each, taking turns."""
    seconds = np.zeros((times, len(calls)))
    for turn in range(times):
        for number, call in enumerate(calls):
            started = time.perf_counter()
            call()
            seconds[turn, number] = time.perf_counter() - started
    return [1e6 * float(median) for median in np.median(seconds, axis=0)]


def overhead(index: WindowedIndex, dim: int) -> list[float]:
    """Microseconds of `search` for a query without terms, and of the kernel alone for the same."""
    query = SparseMatrix.from_dicts([{}], dim)
    group = index._alone
    limits, scratch = group._limits(10, False, index.settings), group._take_scratch("uint8")
    found, arrays = group._room(1, 10), group._of(query)

    def kernel() -> None:
        search_windows((0, 1), arrays, group.table, group._like, limits, scratch, found)

    return medians_us(lambda: index.search(query, 10), kernel)


@njit(nogil=True)
def arithmetic(steps: int) -> float:
    """Work that needs no memory: what more threads can give at best on this machine."""
    x = 1.0
    for _ in range(steps):
        x = x * 1.0000001 + 1e-9
    return x


def seconds_of(work: Callable[[], Any]) -> float:
    """Of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def scaling(index: WindowedIndex, queries: SparseMatrix, threads: int) -> tuple[float, float, float]:
    """Queries a second on 1 thread; how many times as many, and as much arithmetic, on ``threads``; medians."""
    steps = [2**23] * (4 * threads)
    alone, searching, computing = [], [], []
    index.search(queries, 10, threads=threads)
    arithmetic(1)
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(9):
            alone.append(seconds_of(lambda: index.search(queries, 10)))
            searching.append(alone[-1] / seconds_of(lambda: index.search(queries, 10, threads=threads)))
            one = seconds_of(lambda: list(map(arithmetic, steps)))
            computing.append(one / seconds_of(lambda: list(pool.map(arithmetic, steps))))
    return len(queries) / float(np.median(alone)), float(np.median(searching)), float(np.median(computing))


def first_search(folder: Path) -> float:
    """Seconds of `lsr search` as a new process whose kernels are cached; the least of some."""
    command = [sys.executable, "-c", "from lsr.cli import main; main()", "search", str(folder), "bees"]
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    return float(np.median(taken[1:]))


def compiling() -> list[float]:
    """Seconds of build and search of each engine in a new process without a cache of kernels."""
    with tempfile.TemporaryDirectory() as cache:
        environment = {**os.environ, "NUMBA_CACHE_DIR": cache}
        done = subprocess.run(
            [sys.executable, "-c", COMPILE], env=environment, check=True, capture_output=True, text=True
        )
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path)
    options = parser.parse_args()
    vectors = read_vectors(options.vectors, 1000)
    index = WindowedIndex.build(vectors.documents)
    whole, kernel = overhead(index, vectors.documents.dim)
    threads = os.cpu_count() or 1
    rate, searching, computing = scaling(index, vectors.queries, threads)
    with tempfile.TemporaryDirectory() as folder:
        index_sample = [sys.executable, "-c", "from lsr.cli import main; main()", "index", str(SAMPLE), "--out"]
        subprocess.run([*index_sample, f"{folder}/index"], check=True, capture_output=True)
        first = first_search(Path(folder, "index"))
    windowed, seismic = compiling()
    table = Table("what", "measured")
    table.add_row("search() of a query without terms", f"{whole:.1f} us")
    table.add_row("the kernel's call alone, for the same", f"{kernel:.1f} us")
    table.add_row("overhead of search() over the kernel", f"{whole - kernel:.1f} us")
    table.add_row("queries a second on 1 thread", f"{rate:,.0f}")
    table.add_row(f"on {threads} threads", f"{searching:.2f}x")
    table.add_row(f"arithmetic without memory on {threads} threads", f"{computing:.2f}x")
    table.add_row("lsr search, a new process, kernels cached", f"{first:.2f} s")
    table.add_row("compiling, windowed engine: build, approximate and exact search", f"{windowed:.1f} s")
    table.add_row("compiling, seismic engine and oracle besides", f"{seismic:.1f} s")
    print(vectors.source)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
