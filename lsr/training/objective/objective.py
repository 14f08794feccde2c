"""What is minimised? The losses and penalties that a recipe names, on one batch."""

from __future__ import annotations

from typing import NamedTuple

import torch

from lsr.encoders.parts.heads.table import table_of
from lsr.encoders.parts.registry import sparsifier_of
from lsr.encoders.parts.scorers import scales_to_one, unit_tensor
from lsr.encoders.parts.sparsifiers.over_batch import OverBatch
from lsr.training.distributed import ALONE, Processes
from lsr.training.objective import losses
from lsr.training.objective.autoencoder import DeadLatents, Decoder, auxiliary, reconstruction, under_zipf
from lsr.training.objective.regularisers import Regulariser, SparsityController, anti_zero, frequency_weights
from lsr.training.recipe import SCORED, Penalty, Recipe
from lsr.training.schedules import Course, value_at
from lsr.training.student.student import Encoded, Student
from lsr.training.teachers.scores import StemWeights

KEEP = 0.99  # of the running share of documents that fire a term
KEEP_THRESHOLDS = 0.9  # they follow codes that change quickly at first


class Labels(NamedTuple):
    """What is known of a batch: answers bool[Q, N], own lists bool[Q, N], teacher float[Q, N], groups of answers."""

    positive: torch.Tensor
    own: torch.Tensor
    teacher: torch.Tensor | None
    first: torch.Tensor  # int64[Q]: column of each query's positive
    answer: torch.Tensor  # int64[Q]: row of that document, equal for queries with one answer
    targets: torch.Tensor | StemWeights | None = None  # float[N, V], or of stems: what documents shall be like


class Objective:
    """Losses of a recipe, and what they remember from step to step.

    Args:
        recipe: which losses and penalties.
        student: the networks.
        processes: processes that share the product of queries and documents.
    """

    def __init__(self, recipe: Recipe, student: Student, processes: Processes = ALONE) -> None:
        self.recipe, self.student, self.processes = recipe, student, processes
        network, device = student.document, next(student.parameters()).device
        self.fired = torch.zeros(network.terms, device=device)
        self.latents = DeadLatents(network.terms, recipe.codes.dead_after if recipe.codes else 30, device)
        target = recipe.document.target if recipe.document else 0.0
        self.controller = SparsityController(target, device=device) if target else None

    def k(self, step: int) -> int:
        """Latents kept at ``step``; 0 where the declaration decides."""
        return self.recipe.codes.k.whole(step, self.recipe.steps) if self.recipe.codes else 0

    def __call__(self, queries: Encoded, documents: Encoded, labels: Labels, step: int) -> dict[str, torch.Tensor]:
        """Every part of the loss times its weight, by name."""
        sides = self._sparse(queries.base, True, step), self._sparse(documents.base, False, step)
        parts = self._supervision(sides, labels, step)
        if labels.targets is not None and (weight := self._now(self.recipe.losses["sparse_mse"], step)):
            parts["sparse_mse"] = weight * _distance_to_targets(documents, sides[1], labels.targets)
        if weight := self._now(self.recipe.losses.get("term_recall", 0.0), step):
            assert documents.plain is not None  # noqa: S101
            parts["term_recall"] = weight * losses.term_recall(queries.base, documents.plain, labels.positive)
        plain = [side.base if side.plain is None else side.plain for side in (queries, documents)]
        parts |= self._penalties(plain[0], plain[1], step)
        if self.recipe.codes:
            parts |= self._codes(queries, documents, labels, step)
        return parts

    def observe(self, documents: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        """Take note of the documents' vectors float[N, V] once a step; measurements to show, scalars."""
        with torch.no_grad():
            sparse = self._sparse(documents, False, step)
            shares = (sparse > 0).float().mean(0)
            self.fired = self.fired.lerp(shares, 1.0 if step == 1 else 1 - KEEP)
            self._follow_thresholds(documents, step)
            terms = shares.sum()
            found = {"terms": terms, "flops": sparse.mean(0).square().sum()}
            if self.controller:
                found["penalty factor"] = self.controller.update(step, terms)
            if self.recipe.codes:
                found |= {"k": terms.new_full((), self.k(step)), "dead": self.latents.share}
        return found

    def state(self) -> dict[str, torch.Tensor]:
        """What a checkpoint keeps. Tensors are [...], by name."""
        found = {"fired": self.fired, "idle": self.latents.idle}
        return found | ({"controller": self.controller.state} if self.controller else {})

    def restore(self, tensors: dict[str, torch.Tensor]) -> None:
        """Put back what `state` gave. Tensors are [...], by name."""
        device = self.fired.device
        self.fired, self.latents.idle = tensors["fired"].to(device), tensors["idle"].to(device)
        if self.controller:
            self.controller.state = tensors["controller"].to(device)

    def _sparse(self, base: torch.Tensor, query: bool, step: int) -> torch.Tensor:
        side = self.student.side(query).side
        course = self.recipe.k.get("query" if query else "document")
        k = self.k(step) or (course.whole(step, self.recipe.steps) if course else side.k)
        return sparsifier_of(side).tensor(base, k, side.threshold)

    def _follow_thresholds(self, codes: torch.Tensor, step: int) -> None:
        """Move the values that a choice over a batch stands for towards those of this batch."""
        side, parts = self.student.document.side, self.student.document.parts
        sparsifier = sparsifier_of(side)
        if isinstance(sparsifier, OverBatch) and "thresholds" in parts:
            found = sparsifier.thresholds(codes, self.k(step) or side.k)
            parts["thresholds"].lerp_(found, max(1 / step, 1 - KEEP_THRESHOLDS))

    def _scores(self, queries: torch.Tensor, documents: torch.Tensor) -> torch.Tensor:
        scorer = self.student.source.declaration.scorer
        left = unit_tensor(queries) if scales_to_one(scorer, True) else queries
        right = unit_tensor(documents) if scales_to_one(scorer, False) else documents
        return self.processes.product(left.float(), right.float())

    def _supervision(
        self, sides: tuple[torch.Tensor, torch.Tensor], labels: Labels, step: int
    ) -> dict[str, torch.Tensor]:
        recipe, scores, kept = self.recipe, self._scores(*sides), None if self.recipe.in_batch else labels.own
        contrasts = {"info_nce": losses.info_nce, "softmax": losses.softmax}
        parts: dict[str, torch.Tensor] = {}
        for name, course in recipe.losses.items():
            weight = self._now(course, step)
            if not weight:
                continue
            if name in contrasts:
                temperature = self._now(recipe.temperature, step)
                parts[name] = weight * contrasts[name](scores, labels.positive, kept, temperature)
            elif name in SCORED and recipe.teaching and labels.teacher is not None:
                teacher = labels.teacher * self._now(recipe.teaching.scale, step)
                parts[name] = weight * _taught(name, scores, teacher, labels.positive, kept)
        return parts

    def _now(self, course: Course, step: int) -> float:
        return value_at(course, step, self.recipe.steps)

    def _penalties(self, queries: torch.Tensor, documents: torch.Tensor, step: int) -> dict[str, torch.Tensor]:
        parts, recipe = {}, self.recipe
        if recipe.document:
            groups, uneven = divmod(documents.shape[0], queries.shape[0])
            factor = self.controller.factor if self.controller else 1.0
            parts["document penalty"] = factor * self._penalty(
                recipe.document, documents, step, 1 if uneven else groups
            )
        if recipe.query:
            parts["query penalty"] = self._penalty(recipe.query, queries, step, 1)
        if recipe.anti_zero:
            parts["anti_zero"] = recipe.anti_zero * anti_zero(queries, documents)
        return parts

    def _penalty(self, penalty: Penalty, reps: torch.Tensor, step: int, groups: int) -> torch.Tensor:
        weights = frequency_weights(self.fired) if penalty.frequency else None
        if penalty.scored:
            table = table_of(self.student.query).detach()
            weights = table if weights is None else weights * table
        regulariser = Regulariser(penalty.norm, weights, penalty.above, groups)
        return self._now(penalty.weight, step) * regulariser(reps)

    def _codes(self, queries: Encoded, documents: Encoded, labels: Labels, step: int) -> dict[str, torch.Tensor]:
        settings, k, network = self.recipe.codes, self.k(step), self.student.document
        assert settings is not None  # noqa: S101
        assert queries.states is not None  # noqa: S101
        assert documents.states is not None  # noqa: S101
        kind = network.side.sparsifier
        states = torch.cat([queries.states, documents.states]).detach()
        codes = torch.cat([queries.base, documents.base])
        decoder = Decoder(network.parts["code_weight"], network.parts["centre"])
        parts = {"reconstruction": reconstruction(states, codes, k, decoder, kind)}
        if settings.wide:
            wide = reconstruction(states, codes, 4 * k, decoder, kind)
            parts["wide reconstruction"] = settings.wide * wide
        if settings.auxiliary:
            idle = self._idle(codes.shape[1], k)
            parts["auxiliary"] = settings.auxiliary * auxiliary(states, codes, idle, (k, settings.aux_k), decoder, kind)
        self.latents.update(self._sparse(codes.detach(), False, step))
        if settings.contrast:
            pairs = torch.cat([queries.base, documents.base[labels.first]])
            sparse = self._sparse(pairs, False, step)
            known = labels.answer.repeat(2)
            contrast = losses.contrast_codes(sparse, known) if settings.supervised else losses.spread_codes(sparse)
            parts["contrast"] = settings.contrast * contrast
        return parts

    def _idle(self, latents: int, k: int) -> torch.Tensor:
        """Latents that the auxiliary loss shall wake, bool[h]; signed ones have a column for each sign."""
        zipf = self.recipe.codes is not None and self.recipe.codes.zipf
        idle = under_zipf(self.fired, k) if zipf else self.latents.dead
        return idle.view(-1, latents).all(0)


def _distance_to_targets(documents: Encoded, sparse: torch.Tensor, wanted: torch.Tensor | StemWeights) -> torch.Tensor:
    """Distance from what a teacher gives; for stems before the counts of those that stand in the text."""
    if documents.logits is None or documents.plain is None:
        assert isinstance(wanted, torch.Tensor)  # noqa: S101
        return losses.sparse_mse(sparse, wanted)
    rows = documents.logits.shape[1]
    absent = documents.base[:, :rows] == documents.plain[:, :rows]
    wanted = wanted if isinstance(wanted, StemWeights) else StemWeights(wanted[:, :rows])
    return losses.expansion_mse(documents.logits, *wanted.of(absent))


def _taught(
    name: str, scores: torch.Tensor, teacher: torch.Tensor, positive: torch.Tensor, kept: torch.Tensor | None
) -> torch.Tensor:
    if name == "margin_mse":
        return losses.margin_mse(scores, teacher, positive, kept)
    return (losses.kl if name == "kl" else losses.margin_mse_list)(scores, teacher, kept)
