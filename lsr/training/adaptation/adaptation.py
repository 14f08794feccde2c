"""How does an encoder learn a corpus that nobody labelled? From questions that the corpus asks of itself.

::

    OUT/before/   the encoder as it was, in lsr's layout
    OUT/data/     questions, their documents and mined negatives: a training folder
    OUT/dev/      questions kept back that choose among checkpoints
    OUT/run/      the run, as lsr train leaves it
    OUT/report.json
    OUT/encoder/  the adapted encoder, only where it is better
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import torch

from lsr.corpus import Document
from lsr.encoders import expanded, load
from lsr.encoders.declaration import Declaration, read_system, system_names
from lsr.encoders.expanded import ExpandedEncoder
from lsr.encoders.neural import NeuralEncoder
from lsr.encoders.storage.reader import read_source
from lsr.errors import InputError, LsrError, TrainingError
from lsr.eval import Difference, write_collection
from lsr.training.adaptation.paired_comparison import Conclusion, Outcome, by_kind, conclusion, differences, measure
from lsr.training.adaptation.pseudo_queries import Question
from lsr.training.adaptation.split import Split, kind_of, split
from lsr.training.data.sources import Raw, TrainingData
from lsr.training.data.token_store import TokenStore
from lsr.training.data.training_folder import write_row_folder
from lsr.training.loop.session import Plan, prepare
from lsr.training.loop.validation import DevSet
from lsr.training.mining.mining import MiningSettings, Progress, mine
from lsr.training.recipe import Recipe, Teaching, read_recipe, recipe_names
from lsr.training.schedules import Schedule
from lsr.training.student.student import start

STEPS = 60
TIMED = 0.5  # of the minutes allowed are for the steps; the rest goes to vectors of teachers and measuring
MEASURED = 2  # times on the dev set, beside the start
JUDGE = "nDCG@10"


@dataclass(frozen=True)
class Adaptation:
    """How to adapt.

    Attributes:
        recipe: name or file; None takes what suits the encoder's system.
        steps: of training.
        minutes: fewer steps where these would take longer, about.
        seed: of questions, order and choice.
        force: whether an encoder that is neither better nor worse is written.
    """

    recipe: str | None = None
    steps: int = STEPS
    minutes: float | None = None
    seed: int = 0
    force: bool = False


class Compared(msgspec.Struct, frozen=True):
    """Before and after on one set of queries, BM25 beside them.

    Attributes:
        queries: how many.
        documents: how many.
        before, after, bm25: what each gave.
        differences: after less before, by measure.
        kinds: mean nDCG@10 before and after, by kind of query.
    """

    queries: int
    documents: int
    before: Outcome
    after: Outcome
    bm25: Outcome
    differences: dict[str, Difference]
    kinds: dict[str, tuple[float, float]] = {}


class Report(msgspec.Struct, frozen=True):
    """What came of it; ``judged`` only where judgements were given."""

    conclusion: Conclusion
    written: bool
    steps: int
    pairs: int
    seconds: float
    held_out: Compared
    judged: Compared | None = None


def adapt(
    documents: Sequence[Document],
    encoder: Path,
    out: Path,
    settings: Adaptation,
    judged: DevSet | None = None,
    progress: Progress = lambda stage, done, total: None,
) -> Report:
    """Train ``encoder`` on ``documents`` and keep the result if it is better on questions kept back.

    Args:
        documents: the corpus, without labels.
        encoder: folder of a sparse encoder.
        out: new folder for everything.
        settings: how.
        judged: real queries to report on; they decide nothing.
        progress: told of every step.

    Raises:
        InputError: ``out`` is in use.
        EncoderError: an encoder that cannot be read.
        TrainingError: no sparse network, too few documents, or what training raises.
    """
    try:
        return _adapt(documents, encoder, out, settings, judged, progress)
    except LsrError:
        if out.is_dir() and not (out / "run").exists():  # nothing in it is worth keeping
            shutil.rmtree(out)
        raise


def _adapt(
    documents: Sequence[Document],
    encoder: Path,
    out: Path,
    settings: Adaptation,
    judged: DevSet | None,
    progress: Progress,
) -> Report:
    started = time.perf_counter()
    before, recipe = _begin(encoder, out, settings)
    parts = split(documents, settings.seed)
    recipe = _within(recipe, before, settings, parts.train)
    pairs = _write_data(parts, out, recipe, settings.seed, progress)
    plan = Plan(before, (str(out / "data"),), out / "dev", out / "run", seed=settings.seed)
    result = prepare(recipe, plan).run(lambda step, values: progress("train", step, recipe.steps))
    before, after = _whole(encoder, before, _uncut(out / "run" / "encoder", before, out / "adapted"))
    held_out = _compared(parts.held_out, before, after, progress, kind_of)
    found = conclusion(held_out.differences[JUDGE])
    written = is_written(found, settings.force)
    report = Report(
        found,
        written,
        result.steps,
        pairs,
        time.perf_counter() - started,
        held_out,
        _compared(judged, before, after, progress) if judged else None,
    )
    (out / "report.json").write_bytes(msgspec.json.format(msgspec.json.encode(report)))
    if written:
        after.rename(out / "encoder")
    else:
        shutil.rmtree(after)
    return report


def is_written(found: Conclusion, force: bool) -> bool:
    """Whether an encoder takes its place: a better one always, a worse one never."""
    return found == "better" or (force and found != "worse")


def _begin(encoder: Path, out: Path, settings: Adaptation) -> tuple[Path, Recipe]:
    """The encoder in lsr's layout, and how to train it."""
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is in use: choose a new folder for --out")
    found = load(encoder)
    found = found.base if isinstance(found, ExpandedEncoder) else found  # the second encoder stays what it is
    if not isinstance(found, NeuralEncoder) or found.declaration.dense:
        raise TrainingError(f"{encoder} is no sparse network, the only kind that adapts: give --encoder one")
    before = out / "before"
    before.mkdir(parents=True)
    found.save(before)
    return before, _recipe(found.declaration, settings, before)


def _recipe(declaration: Declaration, settings: Adaptation, before: Path) -> Recipe:
    system = next((name for name in system_names() if read_system(name).title == declaration.title), None)
    if system is None:
        raise TrainingError(f"no declared system is called {declaration.title!r}: see lsr encoders list")
    every = max(1, settings.steps // MEASURED)
    name = settings.recipe or _shipped(system, declaration)
    recipe = read_recipe(name) if name else own_recipe(system, declaration)
    teaching = recipe.teaching and msgspec.structs.replace(
        recipe.teaching, teachers=(str(before), "bm25"), weights=None
    )
    return msgspec.structs.replace(
        recipe, steps=settings.steps, evaluate_every=every, checkpoint_every=settings.steps, teaching=teaching
    )


def _shipped(system: str, declaration: Declaration) -> str | None:
    """Autoencoders need losses of their own: those of their recipe."""
    if declaration.document.head != "autoencoder":
        return None
    return next((name for name in recipe_names() if read_recipe(name).system == system), None)


def own_recipe(system: str, declaration: Declaration) -> Recipe:
    """Contrast with mined negatives, and what the encoder itself and BM25, brought to its scale, say of every pair."""
    return Recipe(
        title=f"Adaptation of {declaration.title}",
        paper="questions: arXiv 1906.00300, section 3; ensemble of teachers: arXiv 2411.04403, section 3.3",
        system=system,
        losses={"info_nce": 0.5, "kl": 1.0},
        steps=STEPS,
        batch=16,
        negatives=1,
        rate=Schedule(2e-5, "warmup-decay", 0.1),
        teaching=Teaching(("bm25",), normaliser="affine", scale=1.0),
        dropout=False,
        document_length=96,
    )


def _within(recipe: Recipe, before: Path, settings: Adaptation, questions: Sequence[Question]) -> Recipe:
    """As many steps as the minutes allow, by the time that two of them take."""
    if settings.minutes is None:
        return recipe
    student = start(recipe, before, settings.seed)
    size = recipe.batch * (1 + recipe.negatives)
    texts = [question.left for question in questions[:size]]
    store = TokenStore(texts, student.source.document.tokenizer, student.document.side)
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        torch.autograd.backward(student.encode(store.batch(range(len(store))), False).base.sum())
        seconds.append((time.perf_counter() - started) * size / len(store))
    steps = max(1, min(recipe.steps, int(TIMED * 60 * settings.minutes / seconds[-1])))
    return msgspec.structs.replace(
        recipe, steps=steps, evaluate_every=max(1, steps // MEASURED), checkpoint_every=steps
    )


def _write_data(parts: Split, out: Path, recipe: Recipe, seed: int, progress: Progress) -> int:
    """The training folder and the dev set; how many pairs there are."""
    questions = parts.train[: recipe.steps * recipe.batch]
    data = TrainingData()
    data.add((Raw(question.text, [question.left]) for question in questions), "the corpus")
    origin = {question.left: question.document for question in questions}
    origins = np.array([origin[text] for text in data.documents], np.int64)
    negatives = MiningSettings(negatives=max(1, recipe.negatives), seed=seed)
    mined = mine(data, negatives, progress, origins)
    write_row_folder(out / "data", data.queries, data.documents, mined.examples)
    texts = (Document(name, "", text) for name, text in parts.dev.documents.items())
    write_collection(out / "dev", texts, parts.dev.queries, parts.dev.qrels)
    return mined.report.pairs


def _uncut(trained: Path, before: Path, out: Path) -> Path:
    """The trained encoder, reading documents as long as the one before did, in ``out``."""
    source, length = read_source(trained), read_source(before).declaration.document.max_length
    side = msgspec.structs.replace(source.declaration.document, max_length=length)
    declaration = source.declaration.replace(document=side)
    out.mkdir()
    whole = replace(source, document=replace(source.document, side=side), declaration=declaration, stated=None)
    NeuralEncoder(whole, "cpu").save(out)
    return out


def _whole(encoder: Path, before: Path, after: Path) -> tuple[Path, Path]:
    """Both with what a second encoder adds to documents, where ``encoder`` has one."""
    if not (encoder / expanded.FILE).is_file():
        return before, after
    target = after.with_name("whole")
    shutil.copytree(encoder, target, ignore=shutil.ignore_patterns(expanded.BASE))
    return encoder, after.rename(target / expanded.BASE).parent


def _compared(
    task: DevSet, before: Path, after: Path, progress: Progress, kind: Callable[[str], str] | None = None
) -> Compared:
    outcomes = {
        name: measure(load(place), task, lambda done, total, name=name: progress(f"measure {name}", done, total))  # type: ignore[misc]
        for name, place in (("before", before), ("after", after), ("bm25", "bm25"))
    }
    kinds: dict[str, tuple[float, float]] = {}
    if kind:
        names = {query: kind(query) for query in task.queries}
        old, new = (by_kind(outcomes[name].values[JUDGE], names) for name in ("before", "after"))
        kinds = {name: (old[name], new[name]) for name in old}
    return Compared(
        len(task.queries),
        len(task.documents),
        outcomes["before"],
        outcomes["after"],
        outcomes["bm25"],
        differences(outcomes["before"], outcomes["after"]),
        kinds,
    )
