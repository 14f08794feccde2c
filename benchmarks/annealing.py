r"""What do k-annealing and supervised contrast give sparse codes of dense vectors? (CSRv2, arXiv 2602.05735, section 3)

Codes of few latents for a frozen dense encoder, trained by `lsr train`'s own recipes: `csr` (no annealing, unsupervised
contrast), `csrv2` (both), and one change at a time. nDCG@10 by exact search of our index: on held-out pairs, and on
judgements that are not test judgements. A latent is dead if it is never among a text's k in a pass over all texts that
are measured on; beside it the share of latents idle for over 30 steps when training ended. Everything slow is kept in
--cache: vectors of the frozen encoder in parts, finished runs; a killed command goes on where it stopped.

    python benchmarks/annealing.py all-MiniLM-L6-v2 --cache cache --pairs papers_title_abstract.parquet:8700 \
        --dev scifact.zip:train --json benchmarks/results/annealing.json --plot benchmarks/results/annealing.svg
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow.parquet as pq
from scipy.sparse import csr_array

from lsr.corpus import Document
from lsr.encoders.parts.scorers import unit_rows
from lsr.eval.collections.writer import write_collection
from lsr.sparse import SparseMatrix
from lsr.training.loop.session import Plan, prepare
from lsr.training.loop.validation import DevMeter, Tokenised, read_dev, read_devs
from lsr.training.recipe import Recipe, read_recipe
from lsr.training.student.student import Student, start

SAMPLE_SEED = 7
HELD_OUT = 4  # one pair of so many is not trained on
SIZES = (2, 4, 8, 16, 32)
SEEDS = {2: (0, 1), 4: (0, 1)}  # the others: one
WHOLE = ("untrained", "CSR", "all three (csrv2)")  # at every k, with all seeds; the others at the smallest, with one
LENGTH = 64  # word-pieces
VARIANTS = {  # which recipe gives the contrast, the course of k, and the auxiliary loss
    "untrained": ("csr", "csr", "csr"),
    "CSR": ("csr", "csr", "csr"),
    "+ annealing": ("csr", "csrv2", "csr"),
    "+ supervised contrast": ("csrv2", "csr", "csr"),
    "+ narrow auxiliary": ("csr", "csr", "csrv2"),
    "+ annealing + contrast": ("csrv2", "csrv2", "csr"),
    "all three (csrv2)": ("csrv2", "csrv2", "csrv2"),
}


@dataclass(frozen=True)
class Setting:
    """What is the same for every run."""

    model: Path
    cache: Path
    steps: int
    dev: tuple[str, ...]

    @property
    def pairs(self) -> Path:
        """What is trained on."""
        return self.cache / "pairs.jsonl"

    @property
    def held_out(self) -> Path:
        """A collection of other pairs of the same sources."""
        return self.cache / "held-out"

    def recipe(self, variant: str, k: int) -> Recipe:
        """The profile for a CPU, with its own k and number of steps."""
        recipe, course, aux = (read_recipe(name, "tiny") for name in VARIANTS[variant])
        assert recipe.codes
        assert course.codes
        assert aux.codes
        changes = {"k": msgspec.structs.replace(course.codes.k, value=k), "aux_k": aux.codes.aux_k}
        codes = msgspec.structs.replace(recipe.codes, auxiliary=aux.codes.auxiliary, **changes)
        rare = {"evaluate_every": self.steps, "checkpoint_every": self.steps}
        return msgspec.structs.replace(recipe, codes=codes, steps=self.steps, document_length=LENGTH, **rare)

    def sets(self, student: Student) -> dict[str, Tokenised]:
        """What nDCG@10 is measured on, by name."""
        return DevMeter({"held-out pairs": read_dev(self.held_out), **read_devs(self.dev)}, student).sets


def sample(sources: list[str], setting: Setting) -> None:
    """Write some pairs of each PATH:COUNT, and others as a collection; no held-out text is trained on."""
    if setting.pairs.exists():
        return
    train, held = [], []
    for source in sources:
        path, _, count = source.rpartition(":")
        table = pq.read_table(path, columns=["query", "positive"])
        rows = np.random.default_rng(SAMPLE_SEED).permutation(table.num_rows)[: int(count)]
        pairs = [(record["query"], record["positive"]) for record in table.take(rows).to_pylist()]
        held += pairs[::HELD_OUT]
        train += [pair for i, pair in enumerate(pairs) if i % HELD_OUT]
    known = {text for pair in held for text in pair}
    hold_out(held, setting.held_out)
    kept = ({"query": q, "positive": p} for q, p in train if q not in known and p not in known)
    setting.pairs.write_text("".join(json.dumps(record) + "\n" for record in kept))


def hold_out(pairs: list[tuple[str, str]], folder: Path) -> None:
    """Every query finds its text among all held-out texts."""
    documents = {text: f"d{i}" for i, text in enumerate(dict.fromkeys(text for _, text in pairs))}
    queries = {text: f"q{i}" for i, text in enumerate(dict.fromkeys(text for text, _ in pairs))}
    qrels: dict[str, dict[str, int]] = {}
    for query, text in pairs:
        qrels.setdefault(queries[query], {})[documents[text]] = 1
    shutil.rmtree(folder, ignore_errors=True)
    texts = (Document(name, "", text) for text, name in documents.items())
    write_collection(folder, texts, {name: text for text, name in queries.items()}, qrels, "dev")


def measured(student: Student, sets: dict[str, Tokenised], k: int) -> dict[str, Any]:
    """nDCG@10 of each dev set, and the share of latents that no text of theirs has among its k."""
    used = np.zeros(student.document.terms, bool)
    ndcg = {}
    for name, one in sets.items():
        documents, queries = student.vectors(one.documents, False, k), student.vectors(one.queries, True, k)
        used[documents.terms] = used[queries.terms] = True
        ndcg[name] = one.judge(documents, queries).ndcg
    return {"ndcg": ndcg, "dead": 1 - float(used.mean())}


def dense(setting: Setting) -> dict[str, float]:
    """nDCG@10 by cosine of what the codes stand for, whole; the first to ask for them, so it makes the cache."""
    student = start(setting.recipe("CSR", 32), setting.model, 0, setting.cache)
    ndcg = {}
    for name, one in setting.sets(student).items():
        vectors = []
        for store, query in ((one.documents, False), (one.queries, True)):
            assert student.frozen
            source = student.source.query_side if query else student.source.document
            states = student.frozen.of(store, student.side(query), source)
            vectors.append(unit_rows(SparseMatrix.from_scipy(csr_array(states.numpy()))))
        ndcg[name] = one.judge(vectors[0], vectors[1]).ndcg
    return ndcg


def run(variant: str, k: int, seed: int, setting: Setting) -> dict[str, Any]:
    """Train and measure once; the outcome is kept."""
    recipe = setting.recipe(variant, k)
    key = hashlib.sha256(msgspec.json.encode([variant, recipe, seed, setting.dev])).hexdigest()[:16]
    out, kept = setting.cache / "runs" / key, setting.cache / "runs" / f"{key}.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text()))
    shutil.rmtree(out, ignore_errors=True)
    found: dict[str, Any] = {"variant": variant, "k": k, "seed": seed, "seconds": 0.0, "idle": None, "course": []}
    if variant == "untrained":
        student = start(recipe, setting.model, seed, setting.cache)
    else:
        plan = Plan(setting.model, (str(setting.pairs),), setting.held_out, out, seed=seed, cache=setting.cache)
        trainer, started = prepare(recipe, plan), time.perf_counter()
        trainer.run()
        lines = [line for line in trainer.folder.lines() if "dead" in line]
        found |= {"seconds": time.perf_counter() - started, "idle": lines[-1]["dead"]}
        found["course"] = [(int(line["step"]), line["dead"]) for line in lines if line["step"] % 10 == 0]
        student = trainer.student
    found |= measured(student, setting.sets(student), k)
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(found))
    return found


def planned(sizes: Sequence[int]) -> list[tuple[str, int, int]]:
    """Variant, k and seed of every run, those that matter most first."""
    whole = [(variant, k, seed) for k in sizes for variant in WHOLE for seed in SEEDS.get(k, (0,))]
    changes = [(variant, min(sizes), 0) for variant in VARIANTS if variant not in WHOLE]
    return whole + changes


def rows_of(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds, and half the distance between the lowest and the highest."""
    found = []
    for variant, k in dict.fromkeys((r["variant"], r["k"]) for r in runs):
        same = [r for r in runs if (r["variant"], r["k"]) == (variant, k)]
        row = {"variant": variant, "k": k, "seeds": len(same)}
        for name in same[0]["ndcg"]:
            values = [r["ndcg"][name] for r in same]
            row[name], row[f"{name} spread"] = float(np.mean(values)), (max(values) - min(values)) / 2
        for name in ("dead", "idle", "seconds"):
            row[name] = None if same[0][name] is None else float(np.mean([r[name] for r in same]))
        found.append(row)
    return found


def markdown(best: dict[str, float], rows: list[dict[str, Any]]) -> str:
    sets = list(best)
    lines = [f"| k | variant | {' | '.join(sets)} | dead % | idle % | seconds |", "|" + "---|" * (len(sets) + 5)]
    lines.append(f"| | dense | {' | '.join(f'{best[name]:.3f}' for name in sets)} | | | |")
    for row in sorted(rows, key=lambda row: row["k"]):
        spread = row["seeds"] > 1
        cells = [str(row["k"]), row["variant"]]
        cells += [f"{row[n]:.3f}" + (f" ± {row[f'{n} spread']:.3f}" if spread else "") for n in sets]
        cells += [f"{100 * row['dead']:.1f}", "" if row["idle"] is None else f"{100 * row['idle']:.1f}"]
        lines.append(f"| {' | '.join(cells)} | {row['seconds']:.0f} |")
    return "\n".join(lines)


def plot(best: dict[str, float], rows: list[dict[str, Any]], runs: list[dict[str, Any]], path: Path) -> None:
    """nDCG@10 on the held-out pairs over k; latents idle for over 30 steps, over the steps, for the two smallest k."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.8), layout="constrained")
    axes = figure.subplots(1, 3)
    name = next(iter(best))
    axes[0].axhline(best[name], color="black", linestyle=":", label="dense")
    for i, variant in enumerate(VARIANTS):
        chosen = sorted((row["k"], row[name]) for row in rows if row["variant"] == variant)
        axes[0].plot([k for k, _ in chosen], [ndcg for _, ndcg in chosen], f"C{i}", marker="o", label=variant)
        for axis, k in zip(axes[1:], SEEDS, strict=True):
            course = next((r["course"] for r in runs if (r["variant"], r["k"]) == (variant, k)), [])
            axis.plot([step for step, _ in course], [share for _, share in course], f"C{i}")
            axis.set(title=f"k = {k}", xlabel="step", ylabel="latents idle for over 30 steps", ylim=(0, 1))
    axes[0].set(title=name, xlabel="k", ylabel="nDCG@10", xscale="log", xticks=SIZES, xticklabels=SIZES)
    axes[0].minorticks_off()
    axes[0].legend(fontsize=8)
    for axis in axes:
        axis.grid(alpha=0.3)
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a dense encoder whose states are pooled by their mean")
    parser.add_argument("--pairs", nargs="+", required=True, metavar="PARQUET:COUNT")
    parser.add_argument("--dev", nargs="*", default=[], metavar="COLLECTION:SPLIT")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--k", type=int, nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    setting = Setting(options.model, options.cache, options.steps, tuple(options.dev))
    setting.cache.mkdir(parents=True, exist_ok=True)
    sample(options.pairs, setting)
    best, runs = dense(setting), []
    for variant, k, seed in planned(options.k):
        runs.append(run(variant, k, seed, setting))
        print(f"k {k}, {variant}, seed {seed}: {runs[-1]['ndcg']}, dead {runs[-1]['dead']:.3f}", flush=True)
    rows = rows_of(runs)
    print(markdown(best, rows))
    if options.json:
        options.json.write_text(json.dumps({"steps": options.steps, "dense": best, "rows": rows}, indent=1) + "\n")
    if options.plot:
        plot(best, rows, runs, options.plot)


if __name__ == "__main__":
    main()
