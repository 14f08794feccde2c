"""Does a penalty that knows the IDF keep better terms? nDCG@10 over FLOPS and over terms a document, by lambda.

Inference-free students that differ in the penalty alone: one network, start, pairs, teachers, batches and steps, and
query terms that weigh their IDF. IDF-aware: FLOPS is taken on document weights without the IDF, so that rare terms are
cheap for what they bring (arXiv 2411.04403, eq. 5 to 7). Plain: FLOPS is taken on what counts in scores, which is
document weight times IDF, as if queries were binary and documents held the IDF. Figures are those of the last step,
means over dev sets and seeds; FLOPS is the mean number of terms that a query and a document share.

    python benchmarks/idf_flops.py --model splade-tiny --teacher bm25 --teacher splade-tiny --teacher MiniLM
        --data pairs.parquet --dev scifact.zip:train --dev nfcorpus.zip:train --work runs
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import numpy as np
from jobs import RESULTS, Job, did_one_job, markdown, parsed, run_jobs, student, student_options, worker_option, write

from lsr.training.recipe import Penalty, Recipe, Teaching
from lsr.training.schedules import Schedule

SYSTEM = "opensearch-doc-v2"
LAMBDAS = {"idf-aware": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0), "plain": (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03)}
SHOWN = ("dev ndcg", "dev document_terms", "dev flops")


def recipe(kind: str, weight: float, arguments: Namespace) -> Recipe:
    """One student."""
    return student(
        arguments,
        f"{kind}, lambda {weight:g}",
        "Geng et al., 2024, arXiv 2411.04403, section 3.2",
        SYSTEM,
        Penalty(Schedule(weight, "quadratic"), scored=kind == "plain"),
        Teaching(tuple(arguments.teacher)),
    )


def jobs_of(arguments: Namespace) -> list[Job]:
    return [
        Job(f"{kind}-{weight:g}-seed{seed}", recipe(kind, weight, arguments), seed)
        for kind in LAMBDAS
        for weight in chosen(kind, arguments)
        for seed in range(arguments.seeds)
    ]


def chosen(kind: str, arguments: Namespace) -> tuple[float, ...]:
    given = arguments.idf_lambdas if kind == "idf-aware" else arguments.plain_lambdas
    return tuple(given or LAMBDAS[kind][:: 4 if arguments.quick else 1])


def curves(found: dict[str, dict[str, float]], arguments: Namespace) -> dict[str, list[dict[str, float]]]:
    """Means over seeds, a point a lambda."""
    return {
        kind: [
            {"lambda": weight}
            | {
                key: statistics.fmean(found[f"{kind}-{weight:g}-seed{seed}"][key] for seed in range(arguments.seeds))
                for key in SHOWN
            }
            for weight in chosen(kind, arguments)
        ]
        for kind in LAMBDAS
    }


def advantage(lines: dict[str, list[dict[str, float]]], axis: str) -> dict[str, Any]:
    """nDCG@10 of IDF-aware less plain at equal ``axis``, on a logarithmic grid where both curves have points."""
    logs = {kind: np.log([max(point[axis], 1e-9) for point in points]) for kind, points in lines.items()}
    low, high = max(x.min() for x in logs.values()), min(x.max() for x in logs.values())
    if low >= high:
        return {"range": None, "difference": None}
    at, sides = np.linspace(low, high, 50), []
    for kind in ("idf-aware", "plain"):
        order = np.argsort(logs[kind])
        sides.append(np.interp(at, logs[kind][order], np.array([p["dev ndcg"] for p in lines[kind]])[order]))
    gap = sides[0] - sides[1]
    return {
        "range": [float(np.exp(low)), float(np.exp(high))],
        "difference": float(gap.mean()),
        "least": float(gap.min()),
    }


def saving(lines: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """By what factor plain needs more FLOPS than IDF-aware for the same nDCG@10, where both curves reach it."""
    best = {kind: reached(points) for kind, points in lines.items()}
    low, high = max(levels[0] for levels, _ in best.values()), min(levels[-1] for levels, _ in best.values())
    if low >= high:
        return {"range": None, "factor": None}
    at = np.linspace(low, high, 50)
    logs = {kind: np.interp(at, *curve) for kind, curve in best.items()}
    factors = np.exp(logs["plain"] - logs["idf-aware"])
    return {"range": [float(low), float(high)], "factor": float(np.median(factors)), "least": float(factors.min())}


def reached(points: list[dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """nDCG@10 in rising order and the log of the fewest FLOPS that reach it, points left out that others surpass."""
    kept: list[dict[str, float]] = []
    for point in sorted(points, key=lambda point: point["dev flops"]):
        if not kept or point["dev ndcg"] > kept[-1]["dev ndcg"]:
            kept.append(point)
    return np.array([p["dev ndcg"] for p in kept]), np.log([p["dev flops"] for p in kept])


def show(lines: dict[str, list[dict[str, float]]], gains: dict[str, dict[str, Any]], saved: dict[str, Any]) -> str:
    rows = [
        [kind, *(f"{point[key]:.4g}" for key in ("lambda", *SHOWN))]
        for kind, points in lines.items()
        for point in points
    ]
    table = markdown(["penalty", "lambda", "nDCG@10", "terms a document", "FLOPS"], rows)
    for axis, gain in gains.items():
        name = {"dev document_terms": "terms a document", "dev flops": "FLOPS"}[axis]
        if gain["range"] is None:
            table += f"\nNo range of {name} that both curves cover: choose other lambdas.\n"
        else:
            low, high = gain["range"]
            table += (
                f"\nIDF-aware less plain at equal {name} ({low:.3g} to {high:.3g}): mean {gain['difference']:+.4f}, "
            )
            table += f"least {gain['least']:+.4f}\n"
    if saved["range"]:
        low, high = saved["range"]
        table += f"\nAt equal nDCG@10 ({low:.4f} to {high:.4f}) plain takes {saved['factor']:.1f} times the FLOPS, "
        table += f"least {saved['least']:.1f}\n"
    return table


def plot(lines: dict[str, list[dict[str, float]]], path: Path) -> None:
    """Both curves over FLOPS and over terms, as SVG."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    mpl.rcParams["svg.hashsalt"] = "lsr"
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasSVG(figure)
    for place, (key, name) in enumerate((("dev flops", "FLOPS"), ("dev document_terms", "terms a document")), 1):
        axes = figure.add_subplot(1, 2, place)
        for kind, points in lines.items():
            ordered = sorted(points, key=lambda point: point[key])
            axes.plot([p[key] for p in ordered], [p["dev ndcg"] for p in ordered], marker="o", label=kind)
        axes.set(xscale="log", xlabel=name, ylabel="nDCG@10")
        axes.legend()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    student_options(parser)
    worker_option(parser)
    parser.add_argument("--teacher", action="append", required=True, help="bm25 or a folder of an encoder; repeated")
    parser.add_argument("--idf-lambdas", type=float, nargs="+")
    parser.add_argument("--plain-lambdas", type=float, nargs="+")
    arguments = parsed(parser)
    if did_one_job(arguments):
        return
    found = run_jobs(jobs_of(arguments), arguments)
    lines = curves(found, arguments)
    gains = {axis: advantage(lines, axis) for axis in SHOWN[1:]}
    saved = saving(lines)
    report = {"curves": lines, "advantage": gains, "saving": saved, "runs": found}
    write("idf-flops", report, show(lines, gains, saved), arguments)
    plot(lines, RESULTS / f"idf-flops{'-quick' * arguments.quick}.svg")


if __name__ == "__main__":
    main()
