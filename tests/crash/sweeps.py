"""Does a piece of work survive every fault, and the power going anywhere in it?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.crash.operations import KINDS, Fault, Operation
from tests.crash.power_loss import Disk

Acknowledge = Callable[[Any], None]
Work = Callable[[Path, Acknowledge], object]
"""Gets the folder to work in, and a function to call with each thing that the program has promised to keep."""


@dataclass
class Trial:
    """What one run left.

    Attributes:
        folder: what a new process would find.
        at: which operation failed, from 1, and ``operation``: what it was (None where the work ended before).
        kind: how, and ``once``: whether later operations went well.
        acknowledged: what the work acknowledged before.
        error: what the work raised.
        seed: of the image, after the power went.
    """

    folder: Path
    at: int
    kind: Fault
    once: bool = True
    seed: int = 0
    operation: Operation | None = None
    acknowledged: list[Any] = field(default_factory=list)
    error: BaseException | None = None

    def __str__(self) -> str:
        return f"{self.kind} at {self.at}, {self.operation}, once={self.once}, seed={self.seed}: {self.error!r}"


def every_fault(
    start: Path, scratch: Path, work: Work, kinds: Sequence[Fault] = KINDS, stride: int = 1
) -> Iterator[Trial]:
    """A trial for each operation of ``work`` and each kind of fault, once and from then on.

    Each begins with a copy of the folder ``start`` below ``scratch``, which goes when the next one begins.

    Args:
        work: what it raises, if an `Exception`, stands in the trial.
        stride: only every such operation, for long work.
    """
    for at in range(1, _count(start, scratch, work) + 1, stride):
        for kind in kinds:
            for once in (True, False):
                folder = scratch / "trial"
                shutil.copytree(start, folder)
                yield _failed(Trial(folder, at, kind, once), work)
                shutil.rmtree(folder)


def power_cuts(
    start: Path, scratch: Path, work: Work, seeds: Sequence[int], honest: bool = True, images: int = 1
) -> Iterator[Trial]:
    """A trial for each seed: the power goes at a random operation of ``work``, or just after the last one.

    The trial's folder is an image; several, with the same history, where ``images`` are more than one. Those of the
    next seed take their place. ``honest=False``: syncs keep nothing, see `Disk`.
    """
    operations = _count(start, scratch, work)
    for seed in seeds:
        folder = scratch / "trial"
        shutil.copytree(start, folder)
        with Disk(folder, honest=honest) as disk:
            trial = _cut(disk, Trial(folder, Random(seed).randint(1, operations + 1), "cut", False, seed), work)
            for number in range(images):
                trial.folder = disk.image(scratch / "image", seed * images + number)
                yield trial
                shutil.rmtree(trial.folder)
        shutil.rmtree(folder)


def _count(start: Path, scratch: Path, work: Work) -> int:
    """The operations of ``work`` without faults."""
    folder = scratch / "count"
    shutil.copytree(start, folder)
    with Disk(folder) as disk:
        operations = disk.count(lambda: work(folder, lambda _: None))
    shutil.rmtree(folder)
    return operations


def _failed(trial: Trial, work: Work) -> Trial:
    with Disk(trial.folder) as disk, disk.failing(trial.at, trial.kind, trial.once) as happening:
        try:
            work(trial.folder, trial.acknowledged.append)
        except Exception as error:  # noqa: BLE001
            trial.error = _alone(error)
    trial.operation = happening.operation
    return trial


def _alone(error: Exception) -> Exception:
    """The same error without frames, which would keep connections and files open."""
    one: BaseException | None = error
    while one:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error


def _cut(disk: Disk, trial: Trial, work: Work) -> Trial:
    def acknowledge(what: Any) -> None:
        if disk.on:
            trial.acknowledged.append(what)

    with disk.cut_after(trial.at) as happening:
        work(trial.folder, acknowledge)
    trial.operation = happening.operation
    return trial
