"""How are many training runs spread over GPUs? One process each, taken up again where they stopped."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from lsr.corpus import DocumentReader
from lsr.eval import load_collection, write_collection
from lsr.training.data.sources import read_data
from lsr.training.distributed import accelerator
from lsr.training.loop.session import Plan, prepare, teacher_of
from lsr.training.recipe import Penalty, Recipe, Teaching
from lsr.training.schedules import Schedule

RESULTS = Path(__file__).parent / "results"
FEW = 40  # documents of a quick run
SAMPLE = Path(__file__).parent.parent / "data" / "sample"


class Job(msgspec.Struct, frozen=True):
    """One run: its name, its recipe, its seed, and where it starts if not where all do."""

    name: str
    recipe: Recipe
    seed: int
    model: str = ""


def options(parser: ArgumentParser) -> None:
    """What every benchmark of several runs asks."""
    parser.add_argument("--model", type=Path, required=True, help="masked language model that students start from")
    parser.add_argument("--data", action="append", required=True, help="Parquet with query and positive; repeated")
    parser.add_argument("--dev", action="append", required=True, help="judged collection, PATH or PATH:SPLIT; repeated")
    parser.add_argument("--work", type=Path, required=True, help="folder of runs; what is there is not done again")
    parser.add_argument("--pairs", type=int, default=200_000, help="pairs drawn from the data")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--length", type=int, default=128, help="word-pieces of a document")
    parser.add_argument("--per-gpu", type=int, default=2, help="runs at a time on one GPU")
    parser.add_argument("--quick", action="store_true", help="a few steps of each run, on data/sample")


def student_options(parser: ArgumentParser) -> None:
    """What benchmarks ask whose runs are students."""
    options(parser)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--seeds", type=int, default=2)


def student(arguments: Namespace, title: str, paper: str, system: str, penalty: Penalty, teaching: Teaching) -> Recipe:
    """A student with a frozen query table that only copies its teachers, measured at the last step."""
    return Recipe(
        title,
        paper,
        system,
        {"kl": 1.0},
        arguments.steps,
        arguments.batch,
        Schedule(arguments.rate, "warmup-decay", 0.05),
        document=penalty,
        teaching=teaching,
        freeze=("parts.table",),
        dropout=False,
        document_length=arguments.length,
        evaluate_every=arguments.steps,
        checkpoint_every=max(1, arguments.steps // 4),
    )


def parsed(parser: ArgumentParser) -> Namespace:
    """The arguments; ``--quick`` makes everything small."""
    arguments = parser.parse_args()
    if arguments.quick:
        small = {"pairs": 48, "steps": 2, "batch": 8, "length": 32, "seeds": 1, "work": arguments.work / "quick"}
        vars(arguments).update(small, dev=[str(_small_dev(arguments.work / "quick" / "dev"))])
    arguments.work.mkdir(parents=True, exist_ok=True)
    return arguments


def _small_dev(folder: Path) -> Path:
    """The first documents of data/sample, and their queries."""
    if not folder.exists():
        documents, whole = list(DocumentReader([SAMPLE]))[:FEW], load_collection(SAMPLE)
        names = {document.id for document in documents}
        qrels = {query: {n: g for n, g in graded.items() if n in names} for query, graded in whole.qrels.items()}
        qrels = {query: graded for query, graded in qrels.items() if graded}
        write_collection(folder, documents, {query: whole.queries[query] for query in qrels}, qrels)
    return folder


def drawn_pairs(arguments: Namespace) -> Path:
    """The pairs of all runs in one file, drawn once; a training folder is taken whole."""
    import pyarrow.parquet as pq

    if Path(arguments.data[0]).is_dir():
        return Path(arguments.data[0])
    path = arguments.work / f"pairs-{arguments.pairs}.jsonl"
    if not path.is_file():
        tables = [pq.read_table(source, columns=["query", "positive"]).to_pylist() for source in arguments.data]
        pairs = [pair for table in tables for pair in table]
        chosen = random.Random(0).sample(pairs, min(arguments.pairs, len(pairs)))
        path.write_text("".join(json.dumps(pair) + "\n" for pair in chosen))
    return path


def run_jobs(jobs: Sequence[Job], arguments: Namespace) -> dict[str, dict[str, float]]:
    """What the dev sets said at the last step of every job, by name; jobs that are done are not done again."""
    pairs = drawn_pairs(arguments)
    gpus = torch.cuda.device_count()
    waiting = [job for job in jobs if not _result(job, arguments).is_file()]
    _make_vectors(waiting, pairs, arguments)
    if not gpus:
        for job in waiting:
            work(job, pairs, arguments)
    places = [gpu for gpu in range(gpus) for _ in range(arguments.per_gpu)]
    running: dict[int, tuple[Job, subprocess.Popen[str]]] = {}
    while gpus and (waiting or running):
        for place in range(len(places)):
            if place not in running and waiting:
                running[place] = waiting[0], _start(waiting.pop(0), places[place])
        time.sleep(0.5)
        for place, (job, process) in list(running.items()):
            if process.poll() is not None:
                _require_done(job, arguments, process)
                del running[place]
    return {job.name: json.loads(_result(job, arguments).read_text()) for job in jobs}


def work(job: Job, pairs: Path, arguments: Namespace) -> None:
    """Do one job, from its last checkpoint if there is one."""
    out = _result(job, arguments).with_suffix("")
    model = Path(job.model) if job.model else arguments.model
    plan = Plan(model, (str(pairs),), tuple(arguments.dev), out, (), None, job.seed, arguments.work / "cache")
    started, latest = time.perf_counter(), dict[str, float]()

    def note(step: int, values: dict[str, float]) -> None:
        latest.update({name: value for name, value in values.items() if name.startswith("dev ") or name == "loss"})

    resume = any((out / "checkpoints").glob("step-*"))
    if not resume and out.exists():
        out.rename(out.with_name(f"{out.name}.left-{time.time_ns()}"))
    prepare(job.recipe, plan, resume).run(note)
    latest["seconds"] = time.perf_counter() - started
    _result(job, arguments).write_text(json.dumps(latest))
    print(f"{job.name}: nDCG@10 {latest['dev ndcg']:.4f}, {latest['seconds']:.0f} s", flush=True)


def _make_vectors(jobs: Sequence[Job], pairs: Path, arguments: Namespace) -> None:
    """Vectors of all teachers, on disk before the jobs that share them start."""
    data, done = read_data([pairs]) if jobs else None, set[str]()
    for job in jobs:
        teaching = job.recipe.teaching
        for name in () if teaching is None else teaching.teachers:
            if data and teaching and name not in done:
                one = msgspec.structs.replace(teaching, teachers=(name,), weights=None)
                recipe = msgspec.structs.replace(job.recipe, losses={"kl": 1.0}, teaching=one)
                teacher_of(recipe, data, accelerator().device, arguments.work / "cache")
                done.add(name)
    torch.cuda.empty_cache()


def _result(job: Job, arguments: Namespace) -> Path:
    """Named by all that decides it, so that no other run's result is taken for it."""
    setting = [job, arguments.data, arguments.dev, arguments.pairs, str(arguments.model)]
    digest = hashlib.sha256(msgspec.json.encode(setting)).hexdigest()[:8]
    return Path(arguments.work / f"{job.name}-{digest}.json")


def _start(job: Job, gpu: int) -> subprocess.Popen[str]:
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": str(gpu)}
    command = [sys.executable, *sys.argv, "--worker", msgspec.json.encode(job).decode()]
    return subprocess.Popen(command, env=environment, text=True)


def _require_done(job: Job, arguments: Namespace, process: subprocess.Popen[str]) -> None:
    if process.returncode or not _result(job, arguments).is_file():
        raise SystemExit(f"{job.name} failed with status {process.returncode}; start again to go on")


def worker_option(parser: ArgumentParser) -> None:
    """How a process hears that it shall do one job."""
    parser.add_argument("--worker", help="a job as JSON; for processes of this program itself")


def did_one_job(arguments: Namespace) -> bool:
    """Do the job of ``--worker``, if there is one."""
    if arguments.worker:
        work(msgspec.json.decode(arguments.worker, type=Job), drawn_pairs(arguments), arguments)
    return bool(arguments.worker)


def write(name: str, report: dict[str, Any], table: str, arguments: Namespace) -> None:
    """Put a report beside the others, as JSON and as a table."""
    setting = ("pairs", "steps", "batch", "length", "rate", "seeds", "dev")
    facts = {key: getattr(arguments, key) for key in setting if hasattr(arguments, key)}
    facts["model"] = arguments.model.name
    facts["dev"] = [Path(place).name for place in arguments.dev]
    if drawn_pairs(arguments).is_dir():
        facts["pairs"] = "all"
    facts["device"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    name += "-quick" * arguments.quick
    (RESULTS / f"{name}.json").write_text(json.dumps({"setting": facts, **report}, indent=2) + "\n")
    (RESULTS / f"{name}.md").write_text(f"{json.dumps(facts)}\n\n{table}")
    print(table)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
