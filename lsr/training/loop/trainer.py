"""How does a run go? Draw a batch, lower the loss; read what was measured, keep the best, write checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lsr.errors import TrainingError
from lsr.training.data.sampling_order import Position
from lsr.training.distributed import Processes, accelerator
from lsr.training.loop.batches import Drawer
from lsr.training.loop.checkpoint import (
    Checkpoint,
    optimiser_tensors,
    random_state,
    read_checkpoint,
    restore_optimiser,
    restore_random,
    write_checkpoint,
)
from lsr.training.loop.gradients import Engine
from lsr.training.loop.metric_buffer import READ_EVERY, Pending
from lsr.training.loop.optimiser import Average, adamw, learning, set_rates
from lsr.training.loop.out_of_memory import memory_watched
from lsr.training.loop.run_folder import RunFolder
from lsr.training.loop.validation import DevMeter, Measured, mean
from lsr.training.objective.objective import Objective
from lsr.training.recipe import Recipe
from lsr.training.student.student import Student
from lsr.training.teachers.scores import Teacher

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
    """One run, or one process of it.

    Args:
        recipe: how to train.
        student: what to train.
        drawer: batches.
        meter: measures on the dev set.
        folder: where results go.
        seed: of dropout.
        teacher: scores pairs, or None.
        device: an `accelerate.Accelerator`; None makes one.
    """

    def __init__(
        self,
        recipe: Recipe,
        student: Student,
        drawer: Drawer,
        meter: DevMeter,
        folder: RunFolder,
        seed: int = 0,
        teacher: Teacher | None = None,
        device: Any = None,
    ) -> None:
        self.recipe, self.student, self.drawer, self.meter, self.folder = recipe, student, drawer, meter, folder
        self.accelerator = device or accelerator()
        self.processes = Processes(self.accelerator.process_index, self.accelerator.num_processes)
        torch.manual_seed(seed + self.processes.index)
        student.to(self.accelerator.device)
        self.named = learning(student, recipe)
        self.optimiser = adamw(self.named, recipe)
        self.objective = Objective(recipe, student, self.processes)
        self.engine = Engine(recipe, student, self.objective, drawer, self.accelerator, teacher, self.processes)
        self.average = Average(self.named, recipe.average)
        self.step, self.best, self._position = 0, Best(), drawer.order.position
        self._pending = Pending()
        self.passed_over: tuple[str, ...] = ()

    def run(self, progress: Progress = lambda step, values: None, until: int | None = None) -> Result:
        """Train to the last step, to step ``until``, or until the dev set shows no gain.

        Raises:
            TrainingError: the loss is not finite, or memory ran out; the last checkpoint and the best encoder stay.
        """
        last = min(until or self.recipe.steps, self.recipe.steps)
        with memory_watched(self._stopped, lambda: self.step):
            if self.step == 0:
                self._measure(progress)
            self.student.train(self.recipe.dropout)
            while self.step < last and not self._waited_enough():
                self._advance()
                self._look(progress)
            self._read(progress)
        if self.processes.first:
            self.folder.close()
        return Result(self.best.before, self.best.ndcg, self.best.step, self.step)

    def resume(self) -> None:
        """Go on from the newest good checkpoint, as if never stopped; `passed_over` says which were damaged."""
        tensors, state, self.passed_over = read_checkpoint(self.folder.checkpoints)
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(tensors[f"model.{name}"])
            for name, value in self.average.values.items():
                value.copy_(tensors[f"average.{name}"])
        restore_optimiser(self.optimiser, tensors)
        self.objective.restore(tensors)
        self.step, self.best = state["step"], Best(**state["best"])
        self._restore_random(tensors)
        self._position = Position(state["order"][0], tuple(state["order"][1]))
        self.drawer.order.go_to(self._position)
        if self.processes.first:
            self.folder.forget_after(self.step)

    def save(self) -> Path:
        """Write a checkpoint."""
        tensors: dict[str, torch.Tensor] = {f"model.{name}": p for name, p in self.named.items()}
        tensors |= {f"average.{name}": value for name, value in self.average.values.items()}
        tensors |= optimiser_tensors(self.optimiser) | random_state(self.accelerator.device) | self.objective.state()
        state = {"step": self.step, "best": vars(self.best), "order": self._position}
        return write_checkpoint(self.folder.checkpoints, self.step, Checkpoint(tensors, state))

    def _advance(self) -> None:
        """One step; nothing here waits for the device."""
        self.step += 1
        set_rates(self.optimiser, self.recipe, self.step)
        self.optimiser.zero_grad()
        drawn = self.drawer.ahead(self.step)
        values = self.engine.gradients(drawn, self.step)
        self.processes.average(self.named.values())
        if self.recipe.clip:
            torch.nn.utils.clip_grad_norm_(self.named.values(), self.recipe.clip)
        self.optimiser.step()
        self.average.follow(self.step)
        self._position = drawn.position
        self._pending.add(self.step, values)

    def _look(self, progress: Progress) -> None:
        """Read, measure and save where the step asks for it."""
        last = self.step == self.recipe.steps
        measure = self.step % self.recipe.evaluate_every == 0 or last
        save = self.step % self.recipe.checkpoint_every == 0 or last
        if measure or save or self.step % READ_EVERY == 0:
            self._read(progress)
        if measure or save:
            self._require_finite_weights()
        if measure:
            self._measure(progress)
        if save and self.processes.first:
            self.save()

    def _read(self, progress: Progress) -> None:
        try:
            rows = self._pending.read()
        except TrainingError as error:
            raise self._stopped(str(error)) from None
        for step, values in rows:
            self._show(step, values, progress)

    def _show(self, step: int, values: dict[str, float], progress: Progress) -> None:
        if self.processes.first:
            progress(step, values)
            self.folder.log(step, values)

    def _require_finite_weights(self) -> None:
        if not bool(torch.stack([p.detach().isfinite().all() for p in self.named.values()]).all()):
            raise self._stopped(f"a weight is not finite after step {self.step}; lower 'rate' or set 'clip'")

    def _stopped(self, fault: str) -> TrainingError:
        found = sorted(path.name for path in self.folder.checkpoints.glob("step-*"))
        kept = (
            f"the checkpoint {found[-1]} is kept, --resume goes on from it" if found else "no checkpoint was made yet"
        )
        return TrainingError(f"{fault}; {kept}")

    def _measure(self, progress: Progress) -> None:
        """Let the first process measure the averaged weights, and keep them if they are the best."""
        self.average.swap()
        found = self.meter.measure(self.student, self.objective.k(self.recipe.steps)) if self.processes.first else {}
        told = mean(found) if found else [0.0] * len(Measured._fields)
        measured = Measured(*self.processes.tell(told, self.accelerator.device))
        values = {f"dev {name}": value for name, value in measured._asdict().items()}
        each = {f"dev ndcg {name}": one.ndcg for name, one in found.items()} if len(found) > 1 else {}
        self._show(self.step, values | each, progress)
        if self.step == 0:
            self.best.before = measured.ndcg
        self.best.without_gain += 1
        if measured.ndcg > self.best.ndcg:
            self.best = Best(self.best.before, measured.ndcg, self.step, 0)
            if self.processes.first:
                self.folder.keep_encoder(self.student)
        self.average.swap()

    def _restore_random(self, tensors: dict[str, torch.Tensor]) -> None:
        """The first process goes on exactly; others, whose numbers were not kept, start anew."""
        restore_random(tensors, self.accelerator.device)
        if not self.processes.first:
            torch.manual_seed(self.step * self.processes.size + self.processes.index)

    def _waited_enough(self) -> bool:
        return 0 < self.recipe.patience <= self.best.without_gain
