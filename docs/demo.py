"""The tour: index the sample, search it, ask it over HTTP, measure it. Run by `make demo`."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LSR = str(Path(sys.executable).with_name("lsr"))
SAMPLE = "data/sample"
KEPT = Path(".cache", "demo")  # to go on with afterwards
QUERY = "rotten teeth from eating sweets"
ASKED = "ways to bring down castle walls in a siege"


def say(text: str) -> None:
    """A line of the guide."""
    print(f"\n\n# {text}", flush=True)


def show(*args: str) -> None:
    """Print a command, run it, stop where it fails."""
    print(f"\n$ {shlex.join(('lsr', *args))}", flush=True)
    subprocess.run([LSR, *args], cwd=ROOT, check=True)


def serve(index: str) -> subprocess.Popen[str]:
    """Start a server on a free port; it gets ready while other things are shown."""
    print(f"\n$ lsr serve {index} --port 0 &", flush=True)
    return subprocess.Popen([LSR, "serve", index, "--port", "0"], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def ask_over_http(server: subprocess.Popen[str]) -> None:
    """Wait until the server is ready, ask it once."""
    address = ""
    for line in server.stderr or ():
        print(line, end="")
        if "http://" in line:
            address = line.split(" at ")[1].split()[0]
            break
    body = json.dumps({"query": ASKED, "k": 1})
    print(f"\n$ curl {address}/v1/search --json '{body}'", flush=True)
    request = urllib.request.Request(f"{address}/v1/search", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(json.dumps(json.load(answer), indent=2))


def main() -> None:
    """Everything, in order."""
    started = time.perf_counter()
    shutil.rmtree(ROOT / KEPT, ignore_errors=True)
    (ROOT / KEPT).mkdir(parents=True)
    index, words, report = (str(KEPT / name) for name in ("sample.index", "bm25.index", "report.html"))
    runs = {name: str(KEPT / f"{name}.run") for name in ("bm25", "lsr")}

    say("A small model that comes with lsr reads 240 passages and says in weighted terms what each is about.")
    show("index", SAMPLE, "--out", index)
    say("A service of it, in the background.")
    server = serve(index)
    try:
        say("The passage that answers has no word of this query in it; the terms that found it were learned.")
        show("search", index, QUERY, "-k", "1", "--explain")
        say("BM25 knows the words alone.")
        show("index", SAMPLE, "--encoder", "bm25", "--out", words)
        show("search", words, QUERY, "-k", "1")
        say("One query is an anecdote: the sample has 90 that people judged. BM25 first.")
        show("eval", SAMPLE, "--encoder", "bm25", "--run", runs["bm25"])
        say("Another question, over HTTP.")
        ask_over_http(server)
    finally:
        server.terminate()
        server.wait(30)
    say("The index on all 90, as it is served; and the differences, tested.")
    show("eval", SAMPLE, "--index", index, "--run", runs["lsr"], "--report", report, "--baseline", runs["bm25"])
    show("compare", runs["bm25"], runs["lsr"], "--qrels", SAMPLE)
    say(f"The tour took {time.perf_counter() - started:.0f} s. Open {report}, or go on:")
    print(
        f"\n$ .venv/bin/lsr search {index} 'your own words'\n$ .venv/bin/lsr index YOUR.jsonl --out your-index",
        flush=True,
    )


if __name__ == "__main__":
    main()
