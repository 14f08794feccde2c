"""Which value does a hyper-parameter have at a step? A pure function of the step; one controller that watches."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from lsr.errors import InputError

Kind = Literal["constant", "linear", "quadratic", "warmup-decay", "warmup-cosine", "anneal"]


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A value over steps counted from 1 to ``total``.

    ================  ====================================================================================
    constant          ``value``
    linear            ``value * min(1, t / T)``
    quadratic         ``value * min(1, t / T) ** 2`` (SPLADE's penalties: arXiv 2004.05665, section 4)
    warmup-decay      rises to ``value`` until T, then falls in a straight line to 0 at the last step
    warmup-cosine     rises to ``value`` until T, then falls along half a cosine to 0 (arXiv 1608.03983, eq. 5)
    anneal            from ``start`` to ``value`` in a straight line until T (CSRv2, arXiv 2602.05735, section 3)
    ================  ====================================================================================

    Attributes:
        value: the value aimed at.
        kind: the course.
        share: T as a share of all steps.
        start: first value of ``anneal``.

    Raises:
        InputError: a share outside (0, 1].
    """

    value: float
    kind: Kind = "constant"
    share: float = 1 / 3
    start: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share {self.share:g} of a schedule: wanted more than 0, at most 1")

    def at(self, step: int, total: int) -> float:
        """The value at ``step`` of ``total``."""
        turn = max(1, int(self.share * total))
        part = min(1.0, step / turn)
        if self.kind.startswith("warmup"):
            rest = max(0, total - step) / max(1, total - turn)
            fall = rest if self.kind == "warmup-decay" else (1 - math.cos(math.pi * rest)) / 2
            return self.value * (part if step <= turn else fall)
        if self.kind == "anneal":
            return self.start + (self.value - self.start) * part
        return self.value * part ** {"constant": 0, "linear": 1, "quadratic": 2}[self.kind]

    def whole(self, step: int, total: int) -> int:
        """The value rounded, for a number of latents or terms."""
        return round(self.at(step, total))


Course = float | Schedule


def value_at(course: Course, step: int, total: int) -> float:
    """A hyper-parameter at ``step`` of ``total``: a number is the same at every step."""
    return course.at(step, total) if isinstance(course, Schedule) else course
