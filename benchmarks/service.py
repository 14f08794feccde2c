"""How many requests a second does `lsr serve` answer on one kept connection?

    python benchmarks/service.py [INDEX] [--requests 3000] [--k 10] [--package FOLDER]

Starts `lsr serve` as its own process (on an index of data/sample unless one is named), asks real queries one after the
other over one connection, and prints requests a second and the latency a client sees. ``--package`` serves with the lsr
of another checkout, to compare two versions.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import lsr

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
WARM = 200  # requests that are not counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", nargs="?", type=Path)
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--package", type=Path, default=ROOT)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = options.index or Path(folder, "index")
        if options.index is None:
            lsr.index_documents(lsr.DocumentReader([SAMPLE]), lsr.load_encoder("bm25"), index)
        server, port = started(index, options.package)
        try:
            print(line(asked(port, options.requests, options.k)))
        finally:
            server.terminate()
            server.wait()


def started(index: Path, package: Path) -> tuple[subprocess.Popen[str], int]:
    command = [sys.executable, "-c", "from lsr.cli import main; main()", "serve", str(index), "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(package.resolve())}
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=package, env=environment
    )
    assert server.stdout is not None
    for text in server.stdout:
        if found := re.search(r":(\d+)\s+\(API", text):
            return server, int(found[1])
    raise SystemExit("lsr serve did not start")


def asked(port: int, requests: int, k: int) -> list[float]:
    """Seconds of each request."""
    queries = [json.loads(text)["text"] for text in (SAMPLE / "queries.jsonl").read_text("utf-8").splitlines()]
    bodies = [json.dumps({"query": query, "k": k}) for query in queries]
    connection = http.client.HTTPConnection("127.0.0.1", port)
    seconds = []
    for number in range(WARM + requests):
        started = time.perf_counter()
        connection.request("POST", "/v1/search", bodies[number % len(bodies)], {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        seconds.append(time.perf_counter() - started)
    return seconds[WARM:]


def line(seconds: list[float]) -> str:
    micro = sorted(1e6 * second for second in seconds)
    p99 = micro[int(0.99 * len(micro))]
    rate = len(seconds) / sum(seconds)
    return f"{rate:,.0f} requests/s on one connection; median {statistics.median(micro):,.0f} us, p99 {p99:,.0f} us"


if __name__ == "__main__":
    main()
