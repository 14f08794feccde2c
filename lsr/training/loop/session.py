"""How does a recipe become a run? Data, student, teacher, dev set and folder put together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch

from lsr.encoders import load
from lsr.encoders.declaration import read_system
from lsr.errors import TrainingError
from lsr.training.data.sources import TrainingData, read_data
from lsr.training.distributed import accelerator
from lsr.training.loop.batches import Drawer
from lsr.training.loop.pretraining import pretrained
from lsr.training.loop.run_folder import RunFolder
from lsr.training.loop.trainer import Trainer
from lsr.training.loop.validation import DevMeter, read_devs
from lsr.training.recipe import Recipe, TargetChoice
from lsr.training.student.stem_initialisation import write_start
from lsr.training.student.student import set_idf, start
from lsr.training.teachers.scores import Ensemble, ScoredLists, Teacher, stored
from lsr.training.teachers.stem_targets import StemTargets, stem_targets, word_norms
from lsr.training.teachers.vector_cache import Vectors, both_vectors


@dataclass(frozen=True)
class Plan:
    """What a run needs beside its recipe.

    Attributes:
        model: weights to start from.
        data: sources of pairs.
        dev: judged collection to measure on, or several as PATH or PATH:SPLIT; their mean decides.
        out: folder of the run.
        teachers: they take the place of those in the recipe, where given.
        mixing: weight of each source; None goes by size.
        seed: of order, dropout and new parts.
        cache: folder for tokens, states and teachers' vectors; None means a folder inside ``out``.
    """

    model: Path
    data: tuple[str, ...]
    dev: Path | tuple[str, ...]
    out: Path
    teachers: tuple[str, ...] = ()
    mixing: tuple[float, ...] | None = None
    seed: int = 0
    cache: Path | None = None


def prepare(recipe: Recipe, plan: Plan, resume: bool = False) -> Trainer:
    """A trainer that can run, or that goes on where it stopped.

    Raises:
        InputError: data that cannot be read.
        EncoderError: a model or teacher that cannot be read.
        TrainingError: parts that do not fit together.
    """
    recipe, place = _with_teachers(recipe, plan.teachers), accelerator()
    data = read_data(plan.data)
    dev = read_devs([plan.dev] if isinstance(plan.dev, Path) else plan.dev)
    cache = plan.cache or plan.out / "cache"
    with place.main_process_first():
        student = start(recipe, _model(recipe, plan, data), plan.seed, cache)
        folder = RunFolder(plan.out, recipe, _facts(plan, data), resume, place.is_main_process)
        drawer = Drawer(data, student, recipe, plan.seed, plan.mixing, cache)
        teacher = teacher_of(recipe, data, place.device, cache, drawer)
    if student.query.side.table == "idf" and not (plan.model / "encoder.toml").is_file():
        set_idf(student, drawer.store(False))
    trainer = Trainer(recipe, student, drawer, DevMeter(dev, student), folder, plan.seed, teacher, place)
    if resume:
        trainer.resume()
    return trainer


def _model(recipe: Recipe, plan: Plan, data: TrainingData) -> Path:
    """Where training starts: a language model is pretrained first, a system of stems gets its vocabulary."""
    declaration, folder = read_system(recipe.system), plan.out / "start"
    if (plan.model / "encoder.toml").is_file():
        return plan.model
    if recipe.pretraining:
        return pretrained(plan.model, data.documents, recipe.pretraining, plan.out / "pretrained", plan.seed)
    if declaration.document.stems and not (folder / "lsr.json").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        write_start(declaration, plan.model, data.documents, recipe.stems, folder)
    return folder if declaration.document.stems else plan.model


def _with_teachers(recipe: Recipe, teachers: Sequence[str]) -> Recipe:
    if not teachers:
        return recipe
    if recipe.teaching is None:
        raise TrainingError(f"recipe {recipe.title!r} learns from no teacher: leave out --teacher")
    weights = recipe.teaching.weights if len(teachers) == len(recipe.teaching.teachers) else None
    teaching = msgspec.structs.replace(recipe.teaching, teachers=tuple(teachers), weights=weights)
    return msgspec.structs.replace(recipe, teaching=teaching)


def teacher_of(
    recipe: Recipe,
    data: TrainingData,
    device: torch.device,
    cache: Path | None = None,
    drawer: Drawer | None = None,
) -> Teacher | None:
    """Who teaches, ready to score; vectors are taken from ``cache`` or put there.

    ``drawer`` knows the terms of a student of stems that learns targets; None where there are none.
    """
    if (teaching := recipe.teaching) is None:
        return None
    encoders = [
        None if name == "scores" else load(name, device=str(device), truncate=True) for name in teaching.teachers
    ]
    given = [
        None if encoder is None else both_vectors(encoder, data.documents, data.queries, cache) for encoder in encoders
    ]
    made = [ScoredLists(data, device) if pair is None else stored(*pair, device) for pair in given]
    targets = None
    if drawer and drawer.student.learns_targets and teaching.targets:
        targets = _stem_targets(teaching.targets, given, drawer, device)
    return Ensemble(made, teaching.weights, teaching.normaliser, targets)


def _stem_targets(
    chosen: Sequence[TargetChoice],
    given: Sequence[tuple[Vectors, Vectors] | None],
    drawer: Drawer,
    device: torch.device,
) -> StemTargets:
    """What a student of stems learns from the vectors of its teachers."""
    rows = drawer.student.document.parts["vocabulary_bias"].numel()
    return stem_targets(given, chosen, drawer.query_vectors(), word_norms(drawer.store(False)), rows, device)


def _facts(plan: Plan, data: TrainingData) -> dict[str, object]:
    return {
        "seed": plan.seed,
        "model": str(plan.model),
        "data": plan.data,
        "mixing": plan.mixing,
        "dev": str(plan.dev) if isinstance(plan.dev, Path) else plan.dev,
        "examples": [len(source) for source in data.examples],
        "queries": len(data.queries),
        "documents": len(data.documents),
    }
