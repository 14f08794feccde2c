"""How are documents turned into blocks with summaries? Range by range of terms, on all cores."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.kernels import LINE, Forward
from lsr.index.seismic.build_kernels import build_lists, count_postings, fill_postings, heaviest_entries
from lsr.index.seismic.kernels import RECORD, Blocks, Records, fill_records
from lsr.index.settings import SeismicSettings
from lsr.index.work import Span, equal_spans, on_all_cores
from lsr.sparse import indptr_of

DOC_CUT = 15  # heaviest terms of a document that decide its cluster
FEWEST_POSTINGS = 64
LISTS_PER_TASK = 1024
TASKS = 64


def build_blocks(forward: Forward, dim: int, settings: SeismicSettings, progress: Callable[[int, int], None]) -> Blocks:
    """Posting lists pruned, clustered into blocks and summarised.

    Raises:
        InputError: more summary entries than can be numbered.
    """
    n = forward.indptr.size - 1
    n_postings = settings.n_postings or max(FEWEST_POSTINGS, math.isqrt(n))
    starts, postings, values = _inverted(forward, dim, n_postings)
    entries = np.empty((n, DOC_CUT), np.int64)
    heaviest_entries(forward, DOC_CUT, entries)
    longest = max(1, int(n_postings * settings.max_fraction))
    tail = (longest, settings.centroid_fraction, settings.min_cluster_size, settings.summary_energy, settings.seed)

    def build(span: Span) -> list[NDArray[Any]]:
        sizes, blocks, summaries, steps = build_lists(*span, starts, postings, values, forward, entries, tail)
        return [array.copy() for array in (sizes, *blocks, *summaries, steps)]  # without the room to grow

    parts = []
    for span, part in on_all_cores(build, equal_spans(starts, max(1, min(TASKS, dim // LISTS_PER_TASK)))):
        parts.append(part)
        progress(span[1], dim)
    return _joined(parts)


def build_records(forward: Forward) -> NDArray[np.uint8]:
    """The records of all documents, uint8[n, RECORD], for `aligned`."""
    n = forward.indptr.size - 1
    records = np.zeros((n, RECORD), np.uint8)
    views = tuple(records_in(records))
    spans = equal_spans(np.arange(n + 1), TASKS)
    list(on_all_cores(lambda span: fill_records(forward, *span, *views), spans))
    return records


def records_in(memory: NDArray[np.uint8]) -> Records:
    """Views of ``memory`` uint8[n, RECORD] in the three types that a record is made of."""
    flat = memory.reshape(-1)
    return Records(flat.view(np.uint16), flat, flat.view(np.float32))


def aligned(memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A copy of ``memory`` that starts on a cache line, or itself if it does already. uint8[N] in and out."""
    if memory.ctypes.data % LINE == 0 and memory.flags.c_contiguous:
        return memory
    room = np.empty(memory.size + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    copied = room[first : first + memory.size].reshape(memory.shape)
    copied[:] = memory
    return copied


def _inverted(forward: Forward, dim: int, n_postings: int) -> tuple[NDArray[np.int64], Any, Any]:
    """List starts [dim + 1], rows and weights of the heaviest dim * n_postings entries (ties all kept), by term."""
    nnz = forward.terms.size
    kept = min(dim * n_postings, nnz)
    threshold = forward.weights.dtype.type(0)
    if kept < nnz:
        threshold = np.partition(forward.weights, nnz - kept)[nnz - kept]
    counts = np.zeros(dim, np.int64)
    count_postings(forward.terms, forward.weights, threshold, counts)
    starts = indptr_of(counts)
    postings = np.empty(starts[-1], np.uint32)
    values = np.empty(starts[-1], forward.weights.dtype)
    fill_postings(forward, threshold, starts[:-1].copy(), postings, values)
    return starts, postings, values


def _joined(parts: list[list[NDArray[Any]]]) -> Blocks:
    """One set of blocks from the parts of consecutive ranges of terms, which are freed on the way."""
    columns = [list(column) for column in zip(*parts, strict=True)]
    parts.clear()
    entries = sum(part.size for part in columns[5])
    if entries >= 2**32:
        raise InputError(f"{entries:,} summary entries: wanted fewer than {2**32:,}; lower n_postings or make segments")
    for column in (columns[1], columns[3]):  # ends within each part
        past = np.zeros(column[0].shape[1:], np.uint32)
        for part in column:
            part += past
            past = part[-1].copy() if len(part) else past
    joined = []
    for column in columns:
        joined.append(np.concatenate(column))
        column.clear()
    sizes, starts, postings, buckets, runs, coded, steps = joined
    lists, tables = indptr_of(sizes[:, 0]), indptr_of(sizes[:, 1])
    return Blocks(lists, _from_zero(starts), postings, tables, _from_zero(buckets), runs, coded, steps)


def _from_zero(ends: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Borders from ends: a first row of zeros before them."""
    return np.concatenate([np.zeros((1, *ends.shape[1:]), np.uint32), ends])
