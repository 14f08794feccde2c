"""Does a piece of work survive every fault, and the power going anywhere in it?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
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
        seed: which of `power_cuts` it is.
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
    start: Path, scratch: Path, work: Work, kinds: Sequence[Fault] = KINDS, stride: int = 1, images: int = 0
) -> Iterator[Trial]:
    """A trial for each operation of ``work`` and each kind of fault, once and from then on.

    Each begins with a copy of the folder ``start`` below ``scratch``, which goes when the next one begins.

    Args:
        work: what it raises, if an `Exception`, stands in the trial.
        stride: only every such operation, for long work.
        images: 0 is the folder as the work leaves it; more are so many trials each, whose folder is an image after
            the power went at the end of the work: what was acknowledged in spite of a fault must be durable too.
    """
    for at in range(1, _count(start, scratch, work) + 1, stride):
        for kind in kinds:
            for once in (True, False):
                with _copy(start, scratch) as folder:
                    yield from _fail(Trial(folder, at, kind, once), work, images)


def power_cuts(
    start: Path, scratch: Path, work: Work, seeds: Sequence[int], honest: bool = True, images: int = 1
) -> Iterator[Trial]:
    """A trial for each seed: the power goes at a random operation of ``work``, or just after the last one.

    The trial's folder is an image; several, with the same history, where ``images`` are more than one. Those of the
    next seed take their place. ``honest=False``: syncs keep nothing, see `Disk`.
    """
    operations = _count(start, scratch, work)
    for seed in seeds:
        at = Random(seed).randint(1, operations + 1)
        with _copy(start, scratch) as folder:
            yield from _cut(Trial(folder, at, "cut", False, seed), work, honest, images)


@contextmanager
def _copy(start: Path, scratch: Path) -> Iterator[Path]:
    """``scratch/trial/folder``, a copy for one trial, and room for images beside it."""
    shutil.copytree(start, scratch / "trial" / "folder")
    try:
        yield scratch / "trial" / "folder"
    finally:
        shutil.rmtree(scratch / "trial")


def _count(start: Path, scratch: Path, work: Work) -> int:
    """The operations of ``work`` without faults."""
    with _copy(start, scratch) as folder, Disk(folder) as disk:
        return disk.count(lambda: work(folder, lambda _: None))


def _fail(trial: Trial, work: Work, images: int) -> Iterator[Trial]:
    with Disk(trial.folder) as disk:
        with disk.failing(trial.at, trial.kind, trial.once) as happening:
            try:
                work(trial.folder, trial.acknowledged.append)
            except Exception as error:  # noqa: BLE001
                trial.error = _alone(error)
        made = _images(disk, trial, images)
    trial.operation = happening.operation
    for found in made or [trial.folder]:
        yield replace(trial, folder=found)


def _cut(trial: Trial, work: Work, honest: bool, images: int) -> Iterator[Trial]:
    def acknowledge(what: Any) -> None:
        if disk.on:
            trial.acknowledged.append(what)

    with Disk(trial.folder, honest=honest) as disk:
        with disk.cut_after(trial.at) as happening:
            work(trial.folder, acknowledge)
        made = _images(disk, trial, images)
    trial.operation = happening.operation
    for found in made:
        yield replace(trial, folder=found)


def _images(disk: Disk, trial: Trial, images: int) -> list[Path]:
    first = (trial.seed or trial.at) * images
    return [disk.image(trial.folder.parent / f"image{seed}", seed) for seed in range(first, first + images)]


def _alone(error: Exception) -> Exception:
    """The same error without frames, which would keep connections and files open."""
    one: BaseException | None = error
    while one:
        one.__traceback__ = None
        one = one.__cause__ or one.__context__
    return error
