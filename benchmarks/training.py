"""How long does a training step take, and how much memory, beside sentence-transformers' trainer on the same work?

Both train one masked language model as SPLADE on the same pairs with the same drawn negatives: InfoNCE over the
documents of the batch, FLOPS with one weight on queries and documents, AdamW, gradients clipped, bfloat16 where there
is a GPU. Rounds take turns, each worker in a process of its own; milliseconds are between two steps of one run, with
everything a trainer does (drawing, tokens, logs), medians of the rounds. `--profile` shows what the device did in
steps of ours.

    pip install '.[dev]' datasets
    python benchmarks/training.py splade-tiny --data pairs.parquet
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results"
PENALTY = 1e-3
RATE = 2e-5
EVERY = 20  # steps between two looks at the clock


def read_pairs(path: Path, batches: int, batch: int, negatives: int) -> list[list[str]]:
    """Query, positive and drawn negatives, as many as the steps need."""
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=["query", "positive"]).slice(0, 50_000)
    queries, positives = (table[name].to_pylist() for name in ("query", "positive"))
    rng = random.Random(0)
    rows = rng.sample(range(len(queries)), min(len(queries), batches * batch))
    return [[queries[row], positives[row], *rng.choices(positives, k=negatives)] for row in rows]


def ours(folder: Path, arguments: argparse.Namespace, watch: Any) -> None:
    """Call ``watch`` with the step whenever the trainer has read its numbers."""
    from lsr.training.data.sources import read_data
    from lsr.training.loop.batches import Drawer
    from lsr.training.loop.run_folder import RunFolder
    from lsr.training.loop.trainer import Trainer
    from lsr.training.loop.validation import DevMeter, DevSet
    from lsr.training.recipe import Penalty, Recipe
    from lsr.training.schedules import Schedule
    from lsr.training.student.student import start

    penalty = Penalty(Schedule(PENALTY))
    recipe = Recipe(
        "Step",
        "none",
        "splade-v2",
        {"info_nce": 1.0},
        arguments.steps,
        arguments.batch,
        Schedule(RATE),
        negatives=arguments.negatives,
        document=penalty,
        query=penalty,
        document_length=arguments.length,
        evaluate_every=arguments.steps,
        checkpoint_every=arguments.steps,
    )
    student = start(recipe, Path(arguments.model))
    drawer = Drawer(read_data([folder / "pairs.jsonl"]), student, recipe, cache=folder / "tokens")
    meter = DevMeter(DevSet({"q": "a"}, {"d": "a"}, {"q": {"d": 1}}), student)
    with tempfile.TemporaryDirectory() as out:
        run = RunFolder(Path(out, "run"), recipe, {})
        Trainer(recipe, student, drawer, meter, run).run(lambda step, values: watch(step))


def theirs(folder: Path, arguments: argparse.Namespace, watch: Any) -> None:
    """The same with `SparseEncoderTrainer`, or, where `datasets` is missing, a plain loop over its model and loss."""
    from sentence_transformers import SparseEncoder
    from sentence_transformers.sparse_encoder import losses

    rows = [json.loads(line) for line in (folder / "pairs.jsonl").read_text().splitlines()]
    texts = [[row["query"], row["positive"], *row["negatives"]] for row in rows]
    model = SparseEncoder(arguments.model, local_files_only=True)
    model.max_seq_length = arguments.length
    loss = losses.SpladeLoss(model, losses.SparseMultipleNegativesRankingLoss(model), PENALTY, PENALTY)
    run = their_trainer if find_spec("datasets") else their_parts
    run(model, loss, texts, arguments, watch)


def their_trainer(model: Any, loss: Any, texts: list[list[str]], arguments: argparse.Namespace, watch: Any) -> None:
    """Their trainer."""
    import datasets
    from sentence_transformers import SparseEncoderTrainer, SparseEncoderTrainingArguments
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_step_end(self, _: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % EVERY == 0:
                watch(state.global_step)

    names = ["query", "positive", *(f"negative_{i}" for i in range(arguments.negatives))]
    columns = dict(zip(names, map(list, zip(*texts, strict=True)), strict=True))
    with tempfile.TemporaryDirectory() as out:
        settings = SparseEncoderTrainingArguments(
            output_dir=out,
            max_steps=arguments.steps,
            per_device_train_batch_size=arguments.batch,
            learning_rate=RATE,
            bf16=torch.cuda.is_available(),
            save_strategy="no",
            logging_steps=EVERY,
            report_to="none",
            disable_tqdm=True,
            dataloader_num_workers=arguments.loaders,
        )
        data = datasets.Dataset.from_dict(columns)
        SparseEncoderTrainer(model=model, args=settings, train_dataset=data, loss=loss, callbacks=[Watch()]).train()


def their_parts(model: Any, loss: Any, texts: list[list[str]], arguments: argparse.Namespace, watch: Any) -> None:
    """Their model and loss without their trainer, which has less to do: texts are tokenised by other processes."""
    from torch.utils.data import DataLoader

    def together(rows: list[list[str]]) -> list[dict[str, torch.Tensor]]:
        return [tokens(list(column)) for column in zip(*rows, strict=True)]

    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokens = getattr(model, "preprocess", model.tokenize)  # the older name below version 6
    model.to(device).train()
    optimiser = torch.optim.AdamW(model.parameters(), RATE, fused=True)
    batches = DataLoader(texts, arguments.batch, True, collate_fn=together, num_workers=arguments.loaders)
    for step, batch in enumerate(batches, 1):
        there = [{k: v.to(device) if hasattr(v, "to") else v for k, v in column.items()} for column in batch]
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            found = loss(there, None)
        torch.stack(list(found.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
        watch(step)


def peak_mb() -> float:
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1.024e-3


class Clock:
    """Takes the time at looks."""

    def __init__(self) -> None:
        self.looks: list[tuple[int, float]] = []

    def __call__(self, step: int) -> None:
        """Look, where ``step`` is one to look at."""
        if step and step % EVERY == 0 and (not self.looks or step > self.looks[-1][0]):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.looks.append((step, time.perf_counter()))

    def result(self) -> dict[str, float]:
        """Milliseconds a step between the first look and the last, and peak memory."""
        (first, start), (last, end) = self.looks[0], self.looks[-1]
        return {"ms": 1e3 * (end - start) / (last - first), "peak_mb": peak_mb()}


class Profile:
    """What the device did from the second look to the third, and how often the host waited for it."""

    def __init__(self) -> None:
        kinds = [torch.profiler.ProfilerActivity.CPU]
        kinds += [torch.profiler.ProfilerActivity.CUDA] if torch.cuda.is_available() else []
        self._profiler, self._caught = torch.profiler.profile(activities=kinds), warnings.catch_warnings(record=True)
        self._started, self.report = 0.0, {"busy": 0.0, "waits a step": 0.0}

    def __call__(self, step: int) -> None:
        """Start and stop at steps 40, 60 and 80."""
        if step == 2 * EVERY:
            self._waits = self._caught.__enter__()
            warnings.simplefilter("always")
            _debug("warn")
        if step == 3 * EVERY:
            _debug("default")
            self._caught.__exit__(None, None, None)
            self.report["waits a step"] = sum("synchroniz" in str(w.message) for w in self._waits) / EVERY
            self._profiler.start()
            self._started = time.perf_counter()
        if step == 4 * EVERY:
            wall = time.perf_counter() - self._started
            self._profiler.stop()
            events = self._profiler.key_averages()
            key = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
            self.report["busy"] = sum(getattr(event, key) for event in events) / 1e6 / wall
            print(events.table(sort_by=key, row_limit=25, max_name_column_width=60))


def _debug(mode: str) -> None:
    if torch.cuda.is_available():
        torch.cuda.set_sync_debug_mode(mode)


def child(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, float]:
    command = [sys.executable, __file__, arguments.model, "--worker", name, str(folder), "--data", str(arguments.data)]
    for option in ("steps", "batch", "negatives", "length", "loaders"):
        command += [f"--{option}", str(getattr(arguments, option))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Rounds in turn; medians and ratios."""
    found: dict[str, list[dict[str, float]]] = {"ours": [], "sentence-transformers": []}
    for number in range(arguments.rounds):
        names = list(found) if number % 2 == 0 else list(found)[::-1]
        for name in names:
            found[name].append(child(name, folder, arguments))
            print(f"round {number + 1}, {name}: {found[name][-1]['ms']:.1f} ms a step", flush=True)
    middle = {
        name: {key: statistics.median(one[key] for one in rounds) for key in ("ms", "peak_mb")}
        for name, rounds in found.items()
    }
    one, other = middle["ours"], middle["sentence-transformers"]
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "setting": {key: getattr(arguments, key) for key in ("batch", "negatives", "length", "steps", "rounds")},
        "model": Path(arguments.model).name,
        "theirs": "SparseEncoderTrainer" if find_spec("datasets") else "their model and loss in a plain loop",
        "rounds": found,
        **middle,
        "times faster": other["ms"] / one["ms"],
        "times less memory": other["peak_mb"] / one["peak_mb"],
    }


def show(report: dict[str, Any]) -> None:
    table = Table("", "ms a step", "peak MB", box=None, padding=(0, 2, 0, 0))
    for name in ("ours", "sentence-transformers"):
        table.add_row(name, f"{report[name]['ms']:.1f}", f"{report[name]['peak_mb']:,.0f}")
    Console().print(table)
    print(f"{report['times faster']:.2f} times faster, {report['times less memory']:.2f} times less memory")


def work(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    clock = Clock()
    {"ours": ours, "sentence-transformers": theirs}[name](folder, arguments, clock)
    print(json.dumps(clock.result()))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder of a masked language model")
    parser.add_argument("--data", type=Path, required=True, help="Parquet with query and positive")
    parser.add_argument("--steps", type=int, default=6 * EVERY)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--negatives", type=int, default=1)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--loaders", type=int, default=4, help="processes that load data for sentence-transformers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a few small steps")
    parser.add_argument("--profile", action="store_true", help="steps of ours only, and what they are made of")
    parser.add_argument("--json", type=Path, help="default: results/training-BATCH-LENGTH.json beside this file")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        small = {"steps": 2 * EVERY, "batch": 2, "length": 16, "rounds": 1, "loaders": 0}
        vars(arguments).update(small)
    return arguments


def main() -> None:
    arguments = parse()
    if arguments.worker:
        work(arguments.worker[0], Path(arguments.worker[1]), arguments)
        return
    with tempfile.TemporaryDirectory(prefix="lsr-training-") as home:
        pairs = read_pairs(arguments.data, arguments.steps, arguments.batch, arguments.negatives)
        lines = [json.dumps({"query": q, "positive": p, "negatives": n}) + "\n" for q, p, *n in pairs]
        Path(home, "pairs.jsonl").write_text("".join(lines))
        if arguments.profile:
            profile = Profile()
            ours(Path(home), arguments, profile)
            print({key: round(value, 3) for key, value in profile.report.items()})
            return
        report = compare(Path(home), arguments)
    show(report)
    name = f"training-{arguments.batch}-{arguments.length}{'-quick' if arguments.quick else ''}.json"
    (arguments.json or RESULTS / name).write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
