"""What is a recipe? How a declared system is trained: losses, penalties, schedules, teachers, in one TOML."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec

from lsr.encoders.declaration import read_system, system_names
from lsr.encoders.parts.registry import sparsifier_of
from lsr.errors import InputError, TrainingError
from lsr.training.schedules import Course, Schedule

Norm = Literal["flops", "l1"]
Normaliser = Literal["minmax", "z", "affine", "none"]
Loss = Literal["info_nce", "softmax", "kl", "margin_mse", "margin_mse_list", "sparse_mse", "term_recall"]
SideName = Literal["document", "query"]
SCORED: tuple[Loss, ...] = ("kl", "margin_mse", "margin_mse_list")
TAUGHT: tuple[Loss, ...] = (*SCORED, "sparse_mse")


class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of a recipe; a field that nobody knows is an error."""


class Penalty(Strict, frozen=True):
    """How vectors of one side are kept sparse; see `lsr.training.objective.regularisers.Regulariser`.

    Attributes:
        weight: lambda, a number or a schedule.
        norm: flops or l1.
        above: rows with as many non-zeros or fewer are left alone.
        frequency: whether terms weigh as DF-FLOPS says.
        scored: whether weights count times those of the query table, as they do in scores; plain FLOPS of such a
            system then, where without it the penalty is IDF-aware.
        target: terms a document that a controller aims at; 0 for none.
    """

    weight: Course
    norm: Norm = "flops"
    above: int = 0
    frequency: bool = False
    scored: bool = False
    target: float = 0.0


class Codes(Strict, frozen=True):
    """What trains an autoencoder; see `lsr.training.objective.autoencoder`.

    Attributes:
        k: latents kept, over the steps.
        size: of the code; 0 means 4 numbers a state.
        wide: weight of the reconstruction at 4k.
        auxiliary: weight of the auxiliary loss.
        aux_k: latents it keeps.
        dead_after: steps without firing that make a latent dead.
        zipf: whether latents below Zipf's law take the place of dead ones.
        contrast: weight of the contrast of codes.
        supervised: whether a query and its answer attract each other; otherwise every text only repels the others.
    """

    k: Schedule
    size: int = 0
    wide: float = 0.125
    auxiliary: float = 0.03125
    aux_k: int = 512
    dead_after: int = 30
    zipf: bool = False
    contrast: float = 0.0
    supervised: bool = True


class StemChoice(Strict, frozen=True):
    """What a system of stems starts from; see `lsr.training.student.stem_initialisation`.

    Attributes:
        named: stems with a term of their own, the commonest ones.
        buckets: terms that all other stems share.
        rows: named stems that the network can fire where they do not occur in the text.
        layers: layers of the network that stay; none means all.
        min_word_piece_count: how often a word-piece of the network must occur in the texts to stay; 0 keeps all.
    """

    named: int = 32_768
    buckets: int = 32_768
    rows: int = 12_288
    layers: tuple[int, ...] = ()
    min_word_piece_count: int = 0


class TargetChoice(Strict, frozen=True):
    """What documents of stems learn from one teacher; see `lsr.training.teachers.stem_targets`.

    Attributes:
        teacher: its place among the teachers.
        factor: what weights are multiplied by.
        above: what is taken off them before.
        kept: stems of a document.
        normed: whether weights fall with the length of a text, as those of words do under BM25.
        present: share of the weight that stems get which occur in the text, beside that of their counts.
    """

    teacher: int = 0
    factor: float = 1.0
    above: float = 0.0
    kept: int = 200
    normed: bool = False
    present: float = 0.0


class Teaching(Strict, frozen=True):
    """Who teaches: "scores" (in the data), "bm25" or folders of encoders, and how they are put together.

    Attributes:
        teachers: one or more.
        weights: of each; None means equal.
        normaliser: what brings them to one scale; see `lsr.training.teachers.scores.Ensemble`.
        scale: S, what the mean of normalised scores is multiplied by.
        targets: what students of stems learn; others learn the vectors of the first teacher.
    """

    teachers: tuple[str, ...]
    weights: tuple[float, ...] | None = None
    normaliser: Normaliser = "minmax"
    scale: Course = 30.0
    targets: tuple[TargetChoice, ...] = ()


class Pretraining(Strict, frozen=True):
    """How a causal language model gets ready for a sparse head; see `lsr.training.loop.pretraining`.

    Attributes:
        steps: optimisation steps.
        batch: sequences a step.
        length: tokens of a sequence.
        rate: learning rate over the steps.
        rectified: weight of the loss on log(1 + relu(logits)).
        chunk: sequences whose logits are in memory together.
    """

    steps: int
    rate: Schedule
    batch: int = 32
    length: int = 2048
    rectified: float = 1.0
    chunk: int = 1


class Adapter(Strict, frozen=True):
    """Low-rank factors that learn in the place of matrices; see `lsr.training.student.lora`.

    Attributes:
        rank: r.
        alpha: factors count alpha / r.
        dropout: share of their input that is left out.
        layers: names of the matrices.
    """

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    layers: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Recipe(Strict, frozen=True):
    """How one system is trained.

    Attributes:
        title: what it is called.
        paper: where the hyper-parameters are stated, with the section.
        system: a declared system of `lsr.encoders`.
        losses: weight of each loss, a number or a schedule.
        steps: optimisation steps.
        batch: queries a step.
        negatives: documents a query beside its positive, as many as the data has.
        rate: learning rate over the steps.
        rates: rate of parameters whose name holds the key, by the same course.
        decay: weight decay of matrices.
        clip: largest norm of a gradient; 0 for none.
        average: decay of the moving average of weights; 0 for none.
        epsilon: of Adam.
        temperature: of InfoNCE and softmax.
        in_batch: whether the documents of other queries take part in the losses.
        k: entries that a top-k sparsifier of a side keeps, over the steps; the last value is that of the encoder.
        document: penalty of documents.
        query: penalty of queries.
        anti_zero: weight of the term that keeps vectors from vanishing.
        codes: for autoencoders.
        teaching: for losses that need a teacher.
        stems: for systems of stems.
        pretraining: of a causal language model, before the first step.
        adapter: low-rank factors that learn instead of the matrices they are added to.
        freeze: parameters whose name holds one of these do not learn.
        dropout: whether the network's dropout is on.
        document_length: word-pieces kept of a document.
        chunk: texts encoded at a time by a GradCache step; 0 for a plain step.
        evaluate_every: steps between measurements on the dev set; each may become the encoder that is kept.
        patience: measurements without gain before training stops; 0 for never.
        checkpoint_every: steps between checkpoints.

    Raises:
        InputError: values that do not go together.
    """

    title: str
    paper: str
    system: str
    losses: dict[Loss, Course]
    steps: int
    batch: int
    rate: Schedule
    negatives: int = 0
    rates: dict[str, float] = {}
    decay: float = 0.01
    clip: float = 1.0
    average: float = 0.0
    epsilon: float = 1e-8
    temperature: Course = 1.0
    in_batch: bool = True
    k: dict[SideName, Schedule] = {}
    document: Penalty | None = None
    query: Penalty | None = None
    anti_zero: float = 0.0
    codes: Codes | None = None
    teaching: Teaching | None = None
    stems: StemChoice = StemChoice()
    pretraining: Pretraining | None = None
    adapter: Adapter | None = None
    freeze: tuple[str, ...] = ()
    dropout: bool = True
    document_length: int = 256
    chunk: int = 0
    evaluate_every: int = 1000
    patience: int = 0
    checkpoint_every: int = 1000

    def __post_init__(self) -> None:
        if fault := _fault(self):
            raise InputError(f"recipe {self.title!r}: {fault}")


def _fault(recipe: Recipe) -> str | None:
    if recipe.system not in system_names():
        return f"unknown system {recipe.system!r}: wanted one of {', '.join(system_names())}"
    if min(recipe.steps, recipe.batch, recipe.evaluate_every, recipe.checkpoint_every) < 1:
        return "steps, batch, evaluate_every and checkpoint_every must be 1 or more"
    if recipe.rate.value <= 0:
        return f"rate {recipe.rate.value:g}: wanted more than 0"
    if not recipe.losses and recipe.codes is None:
        return "no loss; wanted [losses] or [codes]"
    if recipe.adapter and "body" not in recipe.freeze:
        return "factors learn in the place of a network that does not: add 'body' to freeze"
    if fault := _fault_of_sides(recipe):
        return fault
    return _fault_of_teachers(recipe)


def _fault_of_teachers(recipe: Recipe) -> str | None:
    if taught := [name for name in TAUGHT if recipe.losses.get(name) and recipe.teaching is None]:
        return f"loss {taught[0]!r} needs a teacher; add [teaching] with teachers"
    teachers, targets = (recipe.teaching.teachers, recipe.teaching.targets) if recipe.teaching else ((), ())
    stems = read_system(recipe.system).document.stems
    if targets and not stems:
        return f"teaching.targets are for systems of stems, which {recipe.system!r} is not"
    if recipe.losses.get("sparse_mse") and stems and not targets:
        return "loss 'sparse_mse' of stems learns what teaching.targets say; add one or more"
    if recipe.losses.get("sparse_mse") and not targets and teachers[0] in ("scores", "bm25"):
        return f"loss 'sparse_mse' learns the vectors of the first teacher: wanted an encoder, found {teachers[0]!r}"
    return None


def _fault_of_sides(recipe: Recipe) -> str | None:
    declaration = read_system(recipe.system)
    if "term_recall" in recipe.losses and declaration.document.head != "token-weight":
        return f"loss 'term_recall' weighs a document's own tokens, but system {recipe.system!r} does not"
    for name, side in (("document", declaration.document), ("query", declaration.query_side)):
        if (penalty := recipe.document) and penalty.scored and declaration.query_side.head != "table":
            return f"document.scored weighs by the query table, but system {recipe.system!r} has none"
        if name in recipe.k and not sparsifier_of(side).needs_k:
            return f"k of the {name} side, but system {recipe.system!r} has sparsifier {side.sparsifier!r} there"
    return None


def recipe_names() -> list[str]:
    """The recipes that come with lsr, in order."""
    return sorted(path.name.removesuffix(".toml") for path in _folder().iterdir() if path.name.endswith(".toml"))


def read_recipe(name: str | Path, profile: str | None = None) -> Recipe:
    """The recipe called ``name``, or the one in that file; ``profile`` takes its variant of that name.

    Raises:
        TrainingError: no such recipe or profile, or it cannot be used.
    """
    path = Path(name)
    if str(name) in recipe_names():
        return parse_recipe(_folder().joinpath(f"{name}.toml").read_text("utf-8"), str(name), profile)
    if not path.is_file():
        raise TrainingError(f"unknown recipe {str(name)!r}: wanted a file or one of {', '.join(recipe_names())}")
    return parse_recipe(path.read_text("utf-8"), str(path), profile)


def parse_recipe(text: str, place: str, profile: str | None = None) -> Recipe:
    """The recipe in TOML ``text``; the table [profile.NAME] overrides fields.

    Raises:
        InputError: a value that does not fit.
        TrainingError: no such profile, or not a recipe.
    """
    try:
        fields = tomllib.loads(text)
        profiles = fields.pop("profile", {})
        if profile is not None and profile not in profiles:
            raise TrainingError(f"{place}: no profile {profile!r}; found {', '.join(profiles) or 'none'}")
        return msgspec.convert(merged(fields, profiles.get(profile, {})), Recipe)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise TrainingError(f"{place}: not a recipe ({error})") from None


def merged(fields: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``fields`` with ``changes``; tables are merged field by field."""
    new = dict(fields)
    for name, value in changes.items():
        deep = isinstance(value, dict) and isinstance(new.get(name), dict)
        new[name] = merged(new[name], value) if deep else value
    return new


def _folder() -> Any:
    return files("lsr.training").joinpath("recipes")
