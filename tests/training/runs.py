"""A small run that takes seconds: a random BERT of two layers on sentences about bees and castles."""

from __future__ import annotations

import json
import os
from pathlib import Path

from lsr.training.data.sources import TrainingData, read_data
from lsr.training.loop.batches import Drawer
from lsr.training.loop.run_folder import RunFolder
from lsr.training.loop.session import Plan, prepare
from lsr.training.loop.trainer import Trainer
from lsr.training.loop.validation import DevMeter, DevSet
from lsr.training.recipe import Recipe, parse_recipe
from lsr.training.student.student import start
from tests.encoders.models import WORDS, bert, llama

SAMPLE = Path(__file__).parents[2] / "data" / "sample"

TOML = """
title = "Small"
paper = "none"
system = "{system}"
steps = 8
batch = 4
negatives = 1
rate = {{ value = 1e-2, kind = "warmup-decay", share = 0.25 }}
average = 0.9
losses = {{ info_nce = 1.0 }}
evaluate_every = 4
checkpoint_every = 4
{more}
"""
COPYING = """
title = "Stems that copy"
paper = "none"
system = "{system}"
losses = {{ kl = 0.1, sparse_mse = 1.0 }}
steps = 40
batch = 4
rate = {{ value = 1e-2 }}
dropout = false
evaluate_every = 40
document_length = 32
stems = {{ named = 40, buckets = 8, rows = 30 }}
[teaching]
{teaching}
"""
DECODERS = ("csplade", "echo-splade", "prosper")
ADAPTER = """
freeze = ["body", "vocabulary"]
[adapter]
rank = 2
layers = ["q_proj", "down_proj"]
"""
PENALTY = """
[document]
weight = { value = 1e-3, kind = "quadratic" }
frequency = true
target = 5
"""
CODES = """
temperature = 0.2
freeze = ["body"]
[codes]
k = { value = 2, kind = "anneal", start = 6, share = 0.7 }
aux_k = 4
dead_after = 1
contrast = 0.1
"""


def recipe(system: str = "splade-v2", more: str = PENALTY, **changes) -> Recipe:
    import msgspec

    return msgspec.structs.replace(parse_recipe(TOML.format(system=system, more=more), "test"), **changes)


def pairs(folder: Path) -> TrainingData:
    texts = [f"{WORDS[i % 19]} {WORDS[(i * 7 + 3) % 19]} {WORDS[(i * 5 + 1) % 19]}" for i in range(12)]
    records = [
        {"query": text.split()[0] + f" {WORDS[i % 5]}", "positive": text, "negatives": [texts[(i + 5) % 12]]}
        for i, text in enumerate(texts)
    ]
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return read_data([path])


def trainer(
    folder: Path, chosen: Recipe | None = None, name: str = "run", resume: bool = False, teacher=None
) -> Trainer:
    chosen = chosen or recipe()
    data = pairs(folder)
    make = llama if chosen.system in DECODERS else bert
    if not (folder / make.__name__).exists():
        make(folder / make.__name__)
    student = start(chosen, folder / make.__name__)
    drawer = Drawer(data, student, chosen)
    dev = DevSet({"q": "bees dance"}, {"a": "bees dance to tell", "b": "a castle had walls"}, {"q": {"a": 1}})
    run = RunFolder(folder / name, chosen, {"seed": 0}, resume, writes=os.environ.get("RANK", "0") == "0")
    made = Trainer(chosen, student, drawer, DevMeter(dev, student), run, teacher=teacher)
    if resume:
        made.resume()
    return made


def copying(folder: Path, teaching: str, system: str) -> Trainer:
    """A trainer of a student of stems that learns targets; ``%s`` in ``teaching`` is the folder of a BERT."""
    teaching %= bert(folder / "teacher", seed=1)
    recipe = parse_recipe(COPYING.format(system=system, teaching=teaching), "test")
    pairs(folder)
    plan = Plan(bert(folder / "model"), (str(folder / "pairs.jsonl"),), SAMPLE, folder / "run")
    return prepare(recipe, plan)
