"""Which teacher makes the best inference-free student? BM25, a sparse and a dense encoder, or all of them together.

The same student (documents by a small network, queries by a table of IDF), pairs, batches and steps; the only loss is
the divergence from the teacher's distribution over the documents of a batch (arXiv 2411.04403, section 3.3: every
teacher scaled to [0, 1] a query, their mean times S = 30). A controller brings all students to about the same number
of terms a document. Figures are those of the last step, means over dev sets and seeds.

    python benchmarks/teachers.py --model splade-tiny --sparse splade-tiny --dense all-MiniLM-L6-v2
        --data pairs.parquet --dev scifact.zip:train --dev nfcorpus.zip:train --work runs
"""

from __future__ import annotations

import statistics
from argparse import ArgumentParser, Namespace

from jobs import Job, did_one_job, markdown, parsed, run_jobs, student, student_options, worker_option, write

from lsr.training.recipe import Penalty, Recipe, Teaching
from lsr.training.schedules import Schedule

SCALE = 30.0


def recipe(name: str, teachers: tuple[str, ...], arguments: Namespace) -> Recipe:
    """The student of some teachers."""
    return student(
        arguments,
        f"Taught by {name}",
        "Geng et al., 2024, arXiv 2411.04403, section 3.3",
        arguments.system,
        Penalty(Schedule(arguments.penalty, "quadratic"), target=arguments.terms),
        Teaching(teachers, None, "minmax", SCALE),
    )


def jobs_of(arguments: Namespace) -> list[Job]:
    names = {"bm25": ("bm25",), "sparse": (arguments.sparse,), "dense": (arguments.dense,)}
    names["ensemble"] = tuple(teacher for teachers in names.values() for teacher in teachers)
    made = {name: recipe(name, teachers, arguments) for name, teachers in names.items()}
    return [Job(f"{name}-{seed}", one, seed) for name, one in made.items() for seed in range(arguments.seeds)]


def summary(found: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    """Means over seeds by teacher."""
    rows: dict[str, list[dict[str, float]]] = {}
    for name, values in found.items():
        rows.setdefault(name.rpartition("-")[0], []).append(values)
    return {name: {key: statistics.fmean(one[key] for one in many) for key in many[0]} for name, many in rows.items()}


def show(found: dict[str, dict[str, float]], means: dict[str, dict[str, float]]) -> str:
    sets = [key for key in means["ensemble"] if key.startswith("dev ndcg ")]
    head = ["teacher", "nDCG@10", *(key.removeprefix("dev ndcg ") for key in sets), "terms a document", "by seed"]
    rows = []
    for name, values in means.items():
        seeds = [one["dev ndcg"] for key, one in found.items() if key.rpartition("-")[0] == name]
        columns = [f"{values['dev ndcg']:.4f}", *(f"{values[key]:.4f}" for key in sets)]
        rows.append([name, *columns, f"{values['dev document_terms']:.0f}", " ".join(f"{s:.4f}" for s in seeds)])
    best = max((name for name in means if name != "ensemble"), key=lambda name: means[name]["dev ndcg"])
    gain = means["ensemble"]["dev ndcg"] - means[best]["dev ndcg"]
    return markdown(head, rows) + f"\nThe ensemble less the best single teacher ({best}): {gain:+.4f}\n"


def main() -> None:
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    student_options(parser)
    worker_option(parser)
    parser.add_argument("--sparse", required=True, help="folder of a sparse teacher")
    parser.add_argument("--dense", required=True, help="folder of a dense teacher")
    parser.add_argument("--system", default="opensearch-doc-v2")
    parser.add_argument("--penalty", type=float, default=0.01, help="weight of FLOPS, before the controller")
    parser.add_argument("--terms", type=float, default=200.0, help="terms a document that the controller aims at")
    arguments = parsed(parser)
    if did_one_job(arguments):
        return
    found = run_jobs(jobs_of(arguments), arguments)
    means = summary(found)
    write("teachers", {"means": means, "runs": found}, show(found, means), arguments)


if __name__ == "__main__":
    main()
