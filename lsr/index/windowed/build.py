"""How do postings lie in the windowed engine, and how do they get there?

Kernels take arrays and give arrays, without validation; serial and nogil. Windows are independent, so threads take one
each and the result does not depend on their number. Shapes: n documents in w windows of ``width`` rows, V terms, D
posting lists, G groups, P postings, L levels. List t is that of term t; where documents have negative weights, list
V + t holds those of term t, so D is V or 2 V.

Loops over postings use unsigned positions: numba tests signed ones for wrap-around, which costs more than the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.kernels import Forward
from lsr.index.work import Span, on_all_cores
from lsr.kernel import kernel
from lsr.sparse import MOST_WEIGHT, SparseMatrix

WIDEST = 2**16  # rows of a window are uint16
LEVELS = 24
COLUMNS = 1024  # maxima kept of each window; one stands for the rows of equal number modulo COLUMNS


class Windows(NamedTuple):
    """Postings by list, window and falling level; equal levels form a group.

    ``heads[l * windows + w]`` = (first group, first posting) of window w of list l; both run up to the next head.
    A group is a uint32: its level << 16 | its number of postings - 1; its rows lie in ``ids``, counted from the
    window's first. A weight of level i has an absolute value in ``(i * step, (i + 1) * step]``, by the list's step.
    """

    heads: NDArray[np.uint32]  # [D * windows + 1, 2]
    groups: NDArray[np.uint32]  # [G]
    ids: NDArray[np.uint16]  # [P]
    steps: NDArray[np.float32]  # [D]


def shape_of(n: int) -> tuple[int, int]:
    """Number of windows and rows of each, a multiple of COLUMNS."""
    n_windows = max(1, -(-n // WIDEST))
    return n_windows, max(1, -(-n // (n_windows * COLUMNS))) * COLUMNS


def build_windows(documents: SparseMatrix, progress: Callable[[int, int], None]) -> Windows:
    """The postings of ``documents``, made on all cores; beside them needs LEVELS numbers for each list and core.

    Args:
        documents: the vectors, one row a document.
        progress: called with (windows done, windows in all), twice for each.
    """
    n, dim = len(documents), documents.dim
    n_windows, width = shape_of(n)
    forward = Forward(documents.indptr, documents.terms, documents.weights)
    spans = [(min(n, w * width), min(n, (w + 1) * width)) for w in range(n_windows)]
    n_lists = 2 * dim if documents.signed else dim
    largest = np.zeros(n_lists, np.float32)
    for _, part in on_all_cores(lambda span: largest_weights(span, forward, dim, n_lists), spans):
        np.maximum(largest, part, out=largest)
    steps = np.nextafter(np.maximum(largest, np.float32(1e-30)) / np.float32(LEVELS), np.float32(np.inf))
    heads = np.zeros((n_lists * n_windows + 1, 2), np.uint32)

    def count(span: Span) -> None:
        write_sizes(count_levels(span, forward, dim, steps), span[0] // width, n_windows, heads[1:])

    for at, _ in enumerate(on_all_cores(count, spans), 1):
        progress(at, 2 * n_windows)
    np.cumsum(heads, axis=0, out=heads)
    groups, ids = np.empty(heads[-1, 0], np.uint32), np.empty(heads[-1, 1], np.uint16)
    windows = Windows(heads, groups, ids, steps)

    def place(span: Span) -> None:
        fill(span, forward, dim, span[0] // width, n_windows, tuple(windows))

    for at, _ in enumerate(on_all_cores(place, spans), 1):
        progress(n_windows + at, 2 * n_windows)
    return windows


def check_windows(windows: Windows, documents: SparseMatrix) -> None:
    """Raise ValueError unless every number that a kernel follows stays inside its array."""
    n_windows, width = shape_of(len(documents))
    n_lists = windows.steps.size
    if windows.heads.shape != (n_lists * n_windows + 1, 2) or windows.ids.size != documents.nnz:
        raise ValueError(f"posting arrays of shapes {windows.heads.shape} and {windows.ids.shape}")
    if n_lists not in (documents.dim, 2 * documents.dim):
        raise ValueError(f"{n_lists:,} posting lists over {documents.dim:,} terms")
    ends = np.zeros(windows.groups.size + 1, np.int64)
    np.cumsum((windows.groups & np.uint32(0xFFFF)) + 1, out=ends[1:])
    first_groups, first_postings = windows.heads[:, 0].astype(np.int64), windows.heads[:, 1]
    if first_groups[-1] != windows.groups.size or (np.diff(first_groups) < 0).any() or first_groups[0] != 0:
        raise ValueError("posting borders do not fit their arrays")
    if not np.array_equal(ends[first_groups], first_postings):
        raise ValueError("posting groups do not fit their borders")
    if not ((windows.steps > 0) & (windows.steps <= MOST_WEIGHT)).all():
        raise ValueError("steps of weights that are no numbers above 0, or too large")
    if windows.groups.size and int(windows.groups.max()) >> 16 >= LEVELS:
        raise ValueError(f"a posting of level {windows.groups.max() >> 16}, wanted fewer than {LEVELS}")
    if windows.ids.size and int(windows.ids.max()) >= width:
        raise ValueError(f"a posting points to row {windows.ids.max()} of a window of {width:,}")


@kernel
def largest_weights(span: Any, forward: Any, dim: int, n_lists: int) -> Any:
    """The largest absolute weight of each list among the rows span[0]:span[1], float32[D]."""
    largest = np.zeros(n_lists, np.float32)
    for i in range(np.uint64(forward.indptr[span[0]]), np.uint64(forward.indptr[span[1]])):
        weight = np.float32(forward.weights[i])
        member = np.int64(forward.terms[i]) + (dim if weight < 0 else 0)
        largest[member] = max(largest[member], abs(weight))
    return largest


@kernel
def _place_of(term: Any, weight: Any, dim: int, steps: Any) -> Any:
    """Number of a posting's list and level: list * LEVELS + level."""
    size = np.float32(weight)
    member = np.int64(term) + (dim if size < 0 else 0)
    step = steps[member]
    level: Any = np.int64(abs(size) / step)
    if np.float32(level) * step >= abs(size):
        level -= 1
    level = max(0, min(level, LEVELS - 1))
    return np.uint64(member * LEVELS + level)


@kernel
def count_levels(span: Any, forward: Any, dim: int, steps: Any) -> Any:
    """Postings of each list and level among the rows span[0]:span[1], uint32[D * L]."""
    counts = np.zeros(steps.size * LEVELS, np.uint32)
    for i in range(np.uint64(forward.indptr[span[0]]), np.uint64(forward.indptr[span[1]])):
        counts[_place_of(forward.terms[i], forward.weights[i], dim, steps)] += np.uint32(1)
    return counts


@kernel
def write_sizes(counts: Any, window: int, n_windows: int, sizes: Any) -> None:
    """sizes[l * windows + window] = (groups, postings) of each list in one window."""
    for member in range(counts.size // LEVELS):
        groups, postings = 0, 0
        for level in range(LEVELS):
            groups += counts[member * LEVELS + level] > 0
            postings += counts[member * LEVELS + level]
        sizes[member * n_windows + window, 0] = groups
        sizes[member * n_windows + window, 1] = postings


@kernel
def fill(span: Any, forward: Any, dim: int, window: int, n_windows: int, windows: Any) -> None:
    """Write the groups and ids of one window, that of the rows span[0]:span[1]; rows ascend within a group."""
    heads, groups, ids, steps = windows
    places = count_levels(span, forward, dim, steps)
    for member in range(steps.size):
        g, place = heads[member * n_windows + window]
        for level in range(LEVELS - 1, -1, -1):
            n = places[member * LEVELS + level]
            if n:
                groups[g] = level << 16 | (n - 1)
                g += np.uint32(1)
                places[member * LEVELS + level] = place
                place += n
    for row in range(span[0], span[1]):
        for i in range(np.uint64(forward.indptr[row]), np.uint64(forward.indptr[row + 1])):
            at = _place_of(forward.terms[i], forward.weights[i], dim, steps)
            ids[places[at]] = row - span[0]
            places[at] += np.uint32(1)
