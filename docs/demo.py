"""The tour: index the sample, search it, ask it over HTTP, measure it. Run by `make demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LSR = str(Path(sys.executable).with_name("lsr"))
SAMPLE = "data/sample"
QUERIES = ["what does the waggle dance of bees say", "which fungi help trees", "why do volcanoes explode"]


def show(*args: str) -> None:
    """Print a command, run it, stop where it fails."""
    print(f"\n$ {shlex.join(('lsr', *args))}", flush=True)
    subprocess.run([LSR, *args], cwd=ROOT, check=True)


def ask_over_http(index: str) -> None:
    """Serve the index on a free port, ask it once, stop it."""
    print(f"\n$ lsr serve {index} --port 0", flush=True)
    server = subprocess.Popen([LSR, "serve", index, "--port", "0"], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        address = ""
        for line in server.stderr or ():
            print(line, end="")
            if "http://" in line:
                address = line.split(" at ")[1].split()[0]
                break
        body = json.dumps({"query": QUERIES[0], "k": 2})
        print(f"\n$ curl {address}/v1/search --json '{body}'", flush=True)
        request = urllib.request.Request(f"{address}/v1/search", body.encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            print(json.dumps(json.load(answer), indent=2))
    finally:
        server.terminate()
        server.wait(30)
    print("server stopped")


def main() -> None:
    """Everything, in order."""
    started = time.perf_counter()
    folder = Path(tempfile.mkdtemp(prefix="lsr-demo-"))
    index = str(folder / "sample.index")
    try:
        show("index", SAMPLE, "--out", index)
        for query in QUERIES:
            show("search", index, query, "-k", "2", "--explain")
        ask_over_http(index)
        runs = {encoder: str(folder / f"{encoder}.run") for encoder in ("bm25", "default")}
        for encoder, run in runs.items():
            show("eval", SAMPLE, "--encoder", encoder, "--run", run)
        show("compare", runs["bm25"], runs["default"], "--qrels", SAMPLE)
    finally:
        shutil.rmtree(folder)
    print(f"\nthe tour took {time.perf_counter() - started:.0f} s; try your own: lsr index FILE --out DIR")


if __name__ == "__main__":
    main()
