"""How does a run go? Draw a batch, encode it, lower the loss; measure, keep the best, write checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch

from lsr.errors import MissingExtraError, TrainingError
from lsr.training.batches import Drawer, Drawn
from lsr.training.checkpoint import (
    Checkpoint,
    optimiser_tensors,
    random_state,
    read_checkpoint,
    restore_optimiser,
    restore_random,
    write_checkpoint,
)
from lsr.training.dev import DevMeter, Measured
from lsr.training.objective import Objective
from lsr.training.order import Position
from lsr.training.recipe import Recipe
from lsr.training.run_folder import RunFolder
from lsr.training.schedules import SparsityController
from lsr.training.student import Encoded, Student

Progress = Callable[[int, dict[str, float]], None]


class Result(NamedTuple):
    """What a run came to: nDCG@10 before, the best and its step, steps done."""

    before: float
    best: float
    best_step: int
    steps: int


@dataclass
class Best:
    """The best measurement so far, the first one, and how many came since without gain."""

    before: float = -1.0
    ndcg: float = -1.0
    step: int = 0
    without_gain: int = 0


class Trainer:
    """One run.

    Args:
        recipe: how to train.
        student: what to train.
        drawer: batches.
        meter: measures on the dev set.
        folder: where results go.
        seed: of dropout.
    """

    def __init__(
        self, recipe: Recipe, student: Student, drawer: Drawer, meter: DevMeter, folder: RunFolder, seed: int = 0
    ) -> None:
        self.recipe, self.student, self.drawer, self.meter, self.folder = recipe, student, drawer, meter, folder
        self.accelerator = _accelerator()
        torch.manual_seed(seed)
        student.to(self.accelerator.device).requires_grad_(True)
        self._names = {name: p for name, p in student.named_parameters() if _learns(name, recipe)}
        for name, parameter in student.named_parameters():
            parameter.requires_grad_(name in self._names)
        if not self._names:
            raise TrainingError(f"recipe {recipe.title!r} freezes every parameter; leave some out of 'freeze'")
        self.optimiser = torch.optim.AdamW(_groups(self._names, recipe))
        self.objective = Objective(recipe, student)
        self.average = {name: p.detach().clone() for name, p in self._names.items()} if recipe.average else {}
        self.step, self.best = 0, Best()
        self._frozen: dict[bool, torch.Tensor] = {}

    def run(self, progress: Progress = lambda step, values: None, until: int | None = None) -> Result:
        """Train to the last step, to step ``until``, or until the dev set shows no gain.

        Raises:
            TrainingError: the loss is not finite, or memory ran out; the last checkpoint and the best encoder stay.
        """
        if self.step == 0:
            self._measure(progress)
        self.student.train(self.recipe.dropout)
        last = min(until or self.recipe.steps, self.recipe.steps)
        while self.step < last and not self._waited_enough():
            self._advance(progress)
        self.folder.close()
        return Result(self.best.before, self.best.ndcg, self.best.step, self.step)

    def resume(self) -> None:
        """Go on from the newest checkpoint, as if never stopped."""
        tensors, state = read_checkpoint(self.folder.checkpoints)
        with torch.no_grad():
            for name, parameter in self._names.items():
                parameter.copy_(tensors[f"model.{name}"])
            for name, value in self.average.items():
                value.copy_(tensors[f"average.{name}"])
        restore_optimiser(self.optimiser, tensors)
        restore_random(tensors, self.accelerator.device)
        self.objective.fired = tensors["fired"].to(self.accelerator.device)
        self.objective.latents.idle = tensors["idle"].to(self.accelerator.device)
        if state["controller"]:
            self.objective.controller = msgspec.convert(state["controller"], SparsityController)
        self.step, self.best = state["step"], Best(**state["best"])
        self.drawer.order.go_to(Position(state["order"][0], tuple(state["order"][1])))
        self.folder.forget_after(self.step)

    def gradients(self, drawn: Drawn) -> dict[str, float]:
        """Add the gradients of one batch to the parameters; the parts of the loss."""
        if not self.recipe.chunk:
            parts = self._loss(self._encode(True, drawn.queries), self._encode(False, drawn.documents), drawn)
            self.accelerator.backward(sum(parts.values()))
            return {name: float(part.detach()) for name, part in parts.items()}
        return self._cached_gradients(drawn)

    def _advance(self, progress: Progress) -> None:
        self.step += 1
        self._set_rates()
        self.optimiser.zero_grad()
        values = self._guarded(self.drawer.draw(self.step))
        if self.recipe.clip:
            self.accelerator.clip_grad_norm_(list(self._names.values()), self.recipe.clip)
        self.optimiser.step()
        self._follow()
        progress(self.step, values)
        self.folder.log(self.step, values)
        if self.step % self.recipe.evaluate_every == 0 or self.step == self.recipe.steps:
            self._measure(progress)
        if self.step % self.recipe.checkpoint_every == 0 or self.step == self.recipe.steps:
            self.save()

    def _guarded(self, drawn: Drawn) -> dict[str, float]:
        try:
            parts = self.gradients(drawn)
        except torch.OutOfMemoryError:
            raise TrainingError(
                f"out of memory at step {self.step}: set 'chunk' to encode fewer texts at a time, or lower 'batch'; "
                f"{self._kept()}"
            ) from None
        broken = [name for name, value in parts.items() if not np.isfinite(value)]
        if broken:
            raise TrainingError(
                f"the loss is not finite at step {self.step}: {', '.join(broken)}; lower 'rate' or raise 'clip'; "
                f"{self._kept()}"
            )
        return {"loss": sum(parts.values()), **parts, **self._seen}

    def _kept(self) -> str:
        found = sorted(path.name for path in self.folder.checkpoints.glob("step-*"))
        return (
            f"the checkpoint {found[-1]} is kept, --resume goes on from it" if found else "no checkpoint was made yet"
        )

    def _loss(self, queries: Encoded, documents: Encoded, drawn: Drawn) -> dict[str, torch.Tensor]:
        parts = self.objective(queries, documents, drawn.labels_on(self.accelerator.device), self.step)
        self._seen = self.objective.observe(documents.base.detach(), self.step)
        return parts

    def _encode(self, query: bool, rows: Sequence[int]) -> Encoded:
        if self.recipe.codes and "body" in self.recipe.freeze:
            return self._encode_frozen(query, rows)
        store = self.drawer.store(query)
        with self.accelerator.autocast():
            return self.student.encode(store.batch(rows, str(self.accelerator.device)), query)

    def _encode_frozen(self, query: bool, rows: Sequence[int]) -> Encoded:
        """Codes of states that the frozen body gave once."""
        network = self.student.side(query)
        if query not in self._frozen:
            self._frozen[query] = self.student.states(self.drawer.store(query), query)
        states = self._frozen[query][list(rows)]
        return Encoded(network.codes(states), states)

    def _cached_gradients(self, drawn: Drawn) -> dict[str, float]:
        """GradCache (arXiv 2101.06983, section 3): vectors first, their gradients, then each chunk once more."""
        device, size = self.accelerator.device, self.recipe.chunk
        chunks = [
            (query, rows[at : at + size])
            for query, rows in ((True, drawn.queries), (False, drawn.documents))
            for at in range(0, len(rows), size)
        ]
        states, found = [], []
        with torch.no_grad():
            for query, rows in chunks:
                states.append(random_state(device))
                found.append(self._encode(query, rows))
        leaves = [_joined([e for (q, _), e in zip(chunks, found, strict=True) if q == side]) for side in (True, False)]
        parts = self._loss(leaves[0], leaves[1], drawn)
        self.accelerator.backward(sum(parts.values()))
        after = random_state(device)
        self._backward_chunks(chunks, states, leaves)
        restore_random(after, device)
        return {name: float(part.detach()) for name, part in parts.items()}

    def _backward_chunks(self, chunks: list[Any], states: list[dict[str, torch.Tensor]], leaves: list[Encoded]) -> None:
        at = {True: 0, False: 0}
        for (query, rows), state in zip(chunks, states, strict=True):
            restore_random(state, self.accelerator.device)
            gradient = leaves[0 if query else 1].base.grad
            if gradient is not None:
                part = gradient[at[query] : at[query] + len(rows)]
                base = self._encode(query, rows).base
                if base.requires_grad:
                    self.accelerator.backward((base * part).sum())
            at[query] += len(rows)

    def _set_rates(self) -> None:
        course = self.recipe.rate.at(self.step, self.recipe.steps) / self.recipe.rate.value
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * course

    def _follow(self) -> None:
        """Move the average towards the weights."""
        with torch.no_grad():
            for name, value in self.average.items():
                value.lerp_(self._names[name].detach(), 1 - min(self.recipe.average, self.step / (self.step + 10)))

    def _measure(self, progress: Progress) -> None:
        self._swap()
        measured: Measured = self.meter.measure(self.student, self._k_to_measure())
        values = {f"dev {name}": value for name, value in measured._asdict().items()}
        self.folder.log(self.step, values)
        progress(self.step, values)
        if self.step == 0:
            self.best.before = measured.ndcg
        self.best.without_gain += 1
        if measured.ndcg > self.best.ndcg:
            self.best = Best(self.best.before, measured.ndcg, self.step, 0)
            self.folder.keep_encoder(self.student)
        self._swap()

    def _k_to_measure(self) -> int:
        return self.objective.k(self.recipe.steps)

    def _swap(self) -> None:
        """Exchange weights and their average."""
        with torch.no_grad():
            for name, value in self.average.items():
                kept = self._names[name].detach().clone()
                self._names[name].copy_(value)
                value.copy_(kept)

    def _waited_enough(self) -> bool:
        return 0 < self.recipe.patience <= self.best.without_gain

    def save(self) -> Path:
        """Write a checkpoint."""
        tensors: dict[str, torch.Tensor] = {f"model.{name}": p for name, p in self._names.items()}
        tensors |= {f"average.{name}": value for name, value in self.average.items()}
        tensors |= optimiser_tensors(self.optimiser) | random_state(self.accelerator.device)
        tensors |= {"fired": self.objective.fired, "idle": self.objective.latents.idle}
        controller, order = self.objective.controller, self.drawer.order.position
        state = {"step": self.step, "best": vars(self.best), "order": order, "controller": controller}
        return write_checkpoint(self.folder.checkpoints, self.step, Checkpoint(tensors, state))


def _joined(encoded: list[Encoded]) -> Encoded:
    base = torch.cat([e.base for e in encoded]).detach().requires_grad_()
    states = [e.states for e in encoded if e.states is not None]
    return Encoded(base, torch.cat(states) if states else None)


def _learns(name: str, recipe: Recipe) -> bool:
    return not any(part in name for part in recipe.freeze)


def _groups(names: dict[str, torch.nn.Parameter], recipe: Recipe) -> list[dict[str, Any]]:
    """One group for each rate and decay; vectors, biases and tables do not decay."""
    groups: dict[tuple[float, float], list[torch.nn.Parameter]] = {}
    for name, parameter in names.items():
        rate = next((rate for part, rate in recipe.rates.items() if part in name), recipe.rate.value)
        groups.setdefault((rate, recipe.decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": p, "lr": rate, "peak": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def _accelerator() -> Any:
    try:
        from accelerate import Accelerator
    except ImportError:
        raise MissingExtraError("accelerate", "train", "training") from None
    half = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return Accelerator(mixed_precision="bf16" if half else "no")
