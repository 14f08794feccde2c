"""Which change of the disk is this, and is it the one that fails?"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Fault = Literal["full", "io", "short", "cut"]
"""What meets an operation: no space left, an I/O error, half written and then no space left, or no power."""

KINDS: tuple[Fault, ...] = ("full", "io", "short")


class PowerCut(BaseException):
    """The power went: nothing reaches the disk any more. No ``except Exception`` of the product stops it."""


class Operation(NamedTuple):
    """One change of the disk: ``what`` is write, truncate, sync, create, delete, rename, link or mkdir."""

    what: str
    path: str


@dataclass
class Happening:
    """What a planned fault did: the operation that it met, or None."""

    operation: Operation | None = None


@dataclass
class Operations:
    """The operations of a folder in their order, of all threads, and the fault that one of them meets.

    ``lock`` is held around each operation, so that nothing passes while the power goes.
    """

    log: list[Operation] = field(default_factory=list)
    on: bool = True
    lock: threading.RLock = field(default_factory=threading.RLock)
    _plan: _Plan | None = None

    def step(self, what: str, path: str) -> Fault | None:
        """The fault that the next operation meets, which is on the log from now on; None where all is well."""
        if not self.on:
            return "cut"
        self.log.append(Operation(what, path))
        fault = self._plan.next(self.log[-1]) if self._plan else None
        self.on = fault != "cut"
        return fault

    def count(self, work: Callable[[], object], only: Collection[str] = ()) -> int:
        """How many operations ``work`` makes, without any fault; ``only`` those of some kinds."""
        before = len(self.log)
        work()
        return sum(not only or one.what in only for one in self.log[before:])

    @contextmanager
    def failing(self, at: int, kind: Fault, once: bool = True, only: Collection[str] = ()) -> Iterator[Happening]:
        """Operation ``at`` from here (1 is the next one) fails; all after it too unless ``once``.

        ``only`` counts, and fails, operations of some kinds: ``only={"sync"}``. Exceptions pass through.
        """
        happening = Happening()
        self._plan = _Plan(at, kind, once, frozenset(only), happening)
        try:
            yield happening
        finally:
            self._plan = None


@dataclass
class _Plan:
    at: int
    kind: Fault
    once: bool
    only: frozenset[str]
    happening: Happening

    def next(self, operation: Operation) -> Fault | None:
        if self.only and operation.what not in self.only:
            return None
        self.at -= 1
        if self.at == 0:
            self.happening.operation = operation
            return self.kind
        if self.at > 0 or self.once:
            return None
        return "full" if self.kind == "short" else self.kind


def error(fault: Fault, path: str) -> BaseException:
    """The exception that a fault is in Python."""
    if fault == "cut":
        return PowerCut(f"the power went before {path} was changed")
    number = errno.EIO if fault == "io" else errno.ENOSPC
    return OSError(number, os.strerror(number), path)
