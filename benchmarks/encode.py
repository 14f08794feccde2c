"""How fast and how large is encoding, beside sentence-transformers, with the same checkpoint and the same texts?

CPU: a masked language model exported for onnxruntime and our kernels, against `SparseEncoder` of sentence-transformers,
each in a process of its own on the same two threads; documents a second, and peak memory over that of the loaded model.
GPU, where there is one: both in bfloat16. Queries: the table of an inference-free encoder, one query at a time.

    pip install '.[dev]'
    python benchmarks/encode.py splade-tiny scifact.zip --documents 256 --json encode.json
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

THREADS = 2
LENGTH = 256
PRUNING_SAMPLE = 1000  # documents that terms are chosen by; not those that are measured


def texts_of(collection: str, limit: int) -> list[str]:
    from lsr.corpus import DocumentReader

    return [d.full_text for d, _ in zip(DocumentReader([collection]), range(limit), strict=False)]


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def peak_mb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1.024e-3


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def measure(encode: Any, texts: list[str], repeats: int) -> dict[str, Any]:
    """Documents a second (best of ``repeats``) and peak memory over what was resident before the first."""
    forget_peak()
    before = resident_mb()
    encode(texts[:8])
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        encode(texts)
        seconds.append(time.perf_counter() - started)
    return {"docs_s": len(texts) / min(seconds), "mb": peak_mb() - before}


def run_worker(name: str, folder: str, texts: list[str], repeats: int) -> dict[str, Any]:
    """What a child process does."""
    if name == "ours-cpu":
        from lsr.encoders import load

        return measure(load(folder, truncate=True).encode_documents, texts, repeats)
    if name == "ours-gpu":
        from lsr.encoders import load

        return measure(load(folder, device="cuda", half=True, truncate=True).encode_documents, texts, repeats)
    import torch
    from sentence_transformers import SparseEncoder

    torch.set_num_threads(THREADS)
    on_gpu = name == "st-gpu"
    kwargs = {"torch_dtype": torch.bfloat16} if on_gpu else {}
    model = SparseEncoder(folder, device="cuda" if on_gpu else "cpu", model_kwargs=kwargs, local_files_only=True)
    model.max_seq_length = LENGTH
    size = 256 if on_gpu else 32
    return measure(lambda part: model.encode_document(part, batch_size=size), texts, repeats)


def child(name: str, folder: Path, arguments: argparse.Namespace, documents: int) -> dict[str, Any]:
    command = [sys.executable, __file__, arguments.model, arguments.collection, "--worker", name, str(folder)]
    command += ["--documents", str(documents), "--repeats", str(arguments.repeats)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    affinity = sorted(os.sched_getaffinity(0))[:THREADS] if name.endswith("cpu") else sorted(os.sched_getaffinity(0))
    command = ["taskset", "-c", ",".join(map(str, affinity)), *command] if shutil.which("taskset") else command
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def prepare(model: Path, collection: str, home: Path) -> dict[str, Path]:
    """The same weights five ways: plain with 256 tokens, exported, exported int8 or pruned, inference-free."""
    from lsr.encoders import load
    from lsr.encoders.convert.export import export_onnx
    from lsr.encoders.convert.prune import choose_rows

    plain = home / "plain"
    shutil.copytree(model, plain)
    (plain / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LENGTH}))
    encoder = load(plain, device="cpu")
    export_onnx(encoder, home / "onnx")  # type: ignore[arg-type]
    export_onnx(encoder, home / "int8", int8=True)  # type: ignore[arg-type]
    sample = texts_of(collection, 4 * PRUNING_SAMPLE)[-PRUNING_SAMPLE:]
    pruning = choose_rows(encoder, sample)
    print(f"pruning: {pruning.rows.size:,} of {encoder.dim:,} rows kept, loss {pruning.loss:.2%} of held-out weight")
    export_onnx(encoder, home / "pruned", pruning=pruning)  # type: ignore[arg-type]
    free = home / "free"
    shutil.copytree(plain, free)
    (free / "idf.json").write_text(json.dumps(idf(encoder, texts_of(collection, 2000))))
    return {"plain": plain, "onnx": home / "onnx", "int8": home / "int8", "pruned": home / "pruned", "free": free}


def idf(encoder: Any, texts: list[str]) -> dict[str, float]:
    """ln(1 + (N - df + .5) / (df + .5)) of the word-pieces of some texts."""
    df: dict[str, int] = {}
    for text in texts:
        for term in {span.term for span in encoder.spans(text)}:
            df[encoder.terms[term]] = df.get(encoder.terms[term], 0) + 1
    n = len(texts)
    return {term: math.log1p((n - count + 0.5) / (count + 0.5)) for term, count in df.items()}


def query_microseconds(folder: Path, texts: list[str]) -> float:
    """Median of single queries: the first sentences' first ten words."""
    from lsr.encoders import load

    encoder = load(folder)
    queries = [" ".join(text.split()[:10]) for text in texts]
    encoder.encode_queries(queries[:1])
    taken = []
    for query in queries * 5:
        started = time.perf_counter()
        encoder.encode_queries([query])
        taken.append(time.perf_counter() - started)
    return 1e6 * statistics.median(taken)


def agreement(one: Path, other: Path, texts: list[str]) -> dict[str, float]:
    """Largest difference of a weight, and mean overlap of the 20 heaviest terms."""
    from lsr.encoders import load

    a, b = (load(folder, truncate=True).encode_documents(texts) for folder in (one, other))
    dense_a, dense_b = (m.to_scipy().toarray() for m in (a, b))
    top_a, top_b = (np.argsort(-m, axis=1)[:, :20] for m in (dense_a, dense_b))
    overlap = [np.intersect1d(x, y).size / 20 for x, y in zip(top_a, top_b, strict=True)]
    return {"largest_difference": float(np.abs(dense_a - dense_b).max()), "overlap_20": float(np.mean(overlap))}


def compare(home: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    folders = prepare(Path(arguments.model), arguments.collection, home)
    texts = texts_of(arguments.collection, arguments.documents)
    report: dict[str, Any] = {"gpu": None}
    st = child("st-cpu", folders["plain"], arguments, arguments.documents)
    for key, name in (("cpu", "onnx"), ("cpu_int8", "int8"), ("cpu_pruned", "pruned")):
        report[key] = side_by_side(child("ours-cpu", folders[name], arguments, arguments.documents), st)
        report[key] |= agreement(folders["plain"], folders[name], texts[:64])
    report["query_us"] = query_microseconds(folders["free"], texts)
    if has_gpu():
        many = max(arguments.documents, 4096)
        ours, theirs = (child(name, folders["plain"], arguments, many) for name in ("ours-gpu", "st-gpu"))
        report["gpu"] = side_by_side(ours, theirs)
    return report


def side_by_side(ours: dict[str, float], st: dict[str, float]) -> dict[str, float]:
    return {
        "ours_docs_s": ours["docs_s"],
        "st_docs_s": st["docs_s"],
        "ratio": ours["docs_s"] / st["docs_s"],
        "ours_mb": ours["mb"],
        "st_mb": st["mb"],
    }


def has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def show(report: dict[str, Any]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for name in ("", "docs/s", "sentence-transformers", "ratio", "peak MB", "sentence-transformers"):
        table.add_column(name, justify="right")
    for key in ("cpu", "cpu_int8", "cpu_pruned", "gpu"):
        if row := report[key]:
            values = (row[name] for name in ("ours_docs_s", "st_docs_s", "ratio", "ours_mb", "st_mb"))
            table.add_row(key, *(f"{value:,.1f}" for value in values))
    Console().print(table)
    print(f"inference-free query: {report['query_us']:.1f} us")
    for key in ("cpu", "cpu_int8", "cpu_pruned"):
        gap, overlap = report[key]["largest_difference"], report[key]["overlap_20"]
        print(f"{key}: largest difference of a weight {gap:.2g}, overlap of the 20 heaviest terms {overlap:.3f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a masked language model")
    parser.add_argument("collection", help="BEIR folder or zip, or JSONL")
    parser.add_argument("--documents", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        texts = texts_of(arguments.collection, arguments.documents)
        print(json.dumps(run_worker(*arguments.worker, texts, arguments.repeats)))
        return
    with tempfile.TemporaryDirectory(prefix="lsr-encode-") as home:
        report = compare(Path(home), arguments)
    show(report)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
