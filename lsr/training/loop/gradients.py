"""How does a batch become gradients? Encoded by like length, whole or in chunks (GradCache), on every rank."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch

from lsr.training.data.ragged import Rows, moved
from lsr.training.distributed import ALONE, Processes
from lsr.training.loop.batches import Drawer, Drawn
from lsr.training.loop.checkpoint import random_state, restore_random
from lsr.training.objective.objective import Objective
from lsr.training.recipe import Recipe
from lsr.training.student.student import Encoded, Student
from lsr.training.teachers.scores import Ensemble, Teacher

GROUP, GROUPS = 256, 3  # texts from which a batch is cut into groups of like length, and the most groups
INFINITE = "infinite teacher scores"
Values = dict[str, torch.Tensor]


class Share(NamedTuple):
    """What one process encodes of a batch: rows in groups, and where each row of the batch is among all vectors."""

    groups: list[Rows]
    places: Rows | None


class Engine:
    """Computes gradients.

    Args:
        recipe: chunk, freeze.
        student: encodes.
        objective: the loss.
        drawer: tokens.
        teacher: scores pairs, or None.
        accelerator: device and precision.
        processes: processes that share a batch.
    """

    def __init__(
        self,
        recipe: Recipe,
        student: Student,
        objective: Objective,
        drawer: Drawer,
        accelerator: Any,
        teacher: Teacher | None = None,
        processes: Processes = ALONE,
    ) -> None:
        self.recipe, self.student, self.objective, self.drawer = recipe, student, objective, drawer
        self.accelerator, self.teacher, self.processes = accelerator, teacher, processes
        self.device: torch.device = accelerator.device

    def gradients(self, drawn: Drawn, step: int) -> Values:
        """Add the gradients of one batch to the parameters; the parts of the loss and measurements, scalars."""
        sides = {True: self._share(True, drawn.queries), False: self._share(False, drawn.documents)}
        run = self._cached if self.recipe.chunk else self._plain
        return run(drawn, step, sides)

    def _plain(self, drawn: Drawn, step: int, sides: dict[bool, Share]) -> Values:
        found = {query: _joined([self._encode(query, rows) for rows in sides[query].groups]) for query in sides}
        return self._lower(drawn, step, sides, found)

    def _cached(self, drawn: Drawn, step: int, sides: dict[bool, Share]) -> Values:
        """GradCache (arXiv 2101.06983, section 3): vectors first, their gradients, then each chunk once more."""
        chunks = [(query, rows) for query, share in sides.items() for rows in share.groups]
        states, found = [], []
        with torch.no_grad():
            for query, rows in chunks:
                states.append(random_state(self.device))
                found.append(self._encode(query, rows))
        leaves = {side: _leaf([e for (q, _), e in zip(chunks, found, strict=True) if q == side]) for side in sides}
        values = self._lower(drawn, step, sides, leaves)
        after = random_state(self.device)
        for query in sides:
            own = [(rows, state) for (q, rows), state in zip(chunks, states, strict=True) if q == query]
            self._backward_chunks(query, own, leaves[query])
        restore_random(after, self.device)
        return values

    def _backward_chunks(self, query: bool, chunks: list[tuple[Rows, dict[str, torch.Tensor]]], leaf: Encoded) -> None:
        sizes = [rows.size for rows, _ in chunks]
        gradients = [None if x is None or x.grad is None else torch.split(x.grad, sizes) for x in leaf]
        for i, (rows, state) in enumerate(chunks):
            restore_random(state, self.device)
            found = zip(self._encode(query, rows), gradients, strict=True)
            pairs = [(x, g[i]) for x, g in found if x is not None and g is not None and x.requires_grad]
            if pairs:
                torch.autograd.backward([x for x, _ in pairs], [g for _, g in pairs])

    def _lower(self, drawn: Drawn, step: int, sides: dict[bool, Share], found: dict[bool, Encoded]) -> Values:
        """Gradients of the loss on vectors that this process and others found."""
        queries, documents = (self._whole(found[side], sides[side]) for side in (True, False))
        labels = drawn.labels_on(self.device, self._taught(drawn))
        if self.recipe.losses.get("sparse_mse") and isinstance(self.teacher, Ensemble):
            labels = labels._replace(targets=self.teacher.vectors(drawn.documents))
        parts = self.objective(queries, documents, labels, step)
        seen = self.objective.observe(documents.base.detach(), step)
        loss = torch.stack(list(parts.values())).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        values = {"loss": loss, **parts, **seen}
        if labels.teacher is not None:
            values[INFINITE] = labels.teacher.isinf().sum()
        return {name: value.detach().float() for name, value in values.items()}

    def _taught(self, drawn: Drawn) -> torch.Tensor | None:
        if self.teacher is None:
            return None
        with torch.no_grad():
            return self.teacher.scores(drawn.queries, drawn.documents)

    def _share(self, query: bool, rows: Rows) -> Share:
        return share(rows, self.drawer.store(query).lengths, self.processes, self.recipe.chunk)

    def _whole(self, own: Encoded, part: Share) -> Encoded:
        """The vectors of the whole batch, in its order."""
        if part.places is None:
            return own
        places = moved(part.places, self.device)
        return Encoded(*(x if x is None else self.processes.gather(x).index_select(0, places) for x in own))  # type: ignore[arg-type]

    def _encode(self, query: bool, rows: Rows) -> Encoded:
        with self.accelerator.autocast():
            return self.student.encode_rows(self.drawer.store(query), rows, query)


def share(rows: Rows, lengths: Rows, processes: Processes = ALONE, chunk: int = 0) -> Share:
    """Share out the ``rows`` of a batch: each text once, by length, so that groups pad little and work is even."""
    distinct, back = np.unique(rows, return_inverse=True)
    each = -(-distinct.size // processes.size)
    parts = -(-each // chunk) if chunk else min(GROUPS, max(1, each // GROUP))
    if processes.size == parts == 1 and distinct.size == rows.size:
        return Share([rows], None)
    order = np.argsort(lengths[distinct], kind="stable")
    number, places = np.arange(order.size), np.empty(order.size, np.int64)
    places[order] = number % processes.size * each + number // processes.size
    filled = np.concatenate([order, np.repeat(order[-1:], each * processes.size - order.size)])
    own = distinct[filled[processes.index :: processes.size]]
    groups = [own[at : at + chunk] for at in range(0, each, chunk)] if chunk else np.array_split(own, parts)
    return Share(groups, places[back])


def _joined(encoded: list[Encoded]) -> Encoded:
    if len(encoded) == 1:
        return encoded[0]
    return Encoded(*(None if x[0] is None else torch.cat(x) for x in zip(*encoded, strict=True)))  # type: ignore[arg-type]


def _leaf(encoded: list[Encoded]) -> Encoded:
    """What is kept of a first pass: its vectors ask for a gradient, states never do."""
    joined = Encoded(*(None if x is None else x.detach() for x in _joined(encoded)))  # type: ignore[arg-type]
    for vectors in (joined.base, joined.plain, joined.logits):
        if vectors is not None:
            vectors.requires_grad_()
    return joined
