"""Kernels of the Seismic-style engine: search. Arrays in, arrays out, no validation; serial and nogil.

Shapes: n documents, V terms and as many lists, B blocks, P postings, K buckets, R runs, E summary entries.

Kernels that run once a document take single arrays, never a tuple of them: numba hands over each array of a tuple as
seven numbers, which costs more than the scoring.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.index.intrinsics import four_at, prefetch
from lsr.index.kernels import AHEAD, LINE, Forward, push, score_documents, sort_heap
from lsr.kernel import kernel

LOOKED = 60  # heaviest terms of a document that a first look sees: 60 terms, 60 weights and a scale fill three lines
RECORD = 192  # bytes: uint16 terms, uint8 weights, float32 scale at SCALE_AT, rest unused
SCALE_AT = 188 // 4
BLOCKS_AHEAD = 4
LEVEL_BITS = 5
LEVELS = 2**LEVEL_BITS - 1
MOST_BLOCKS = 2 ** (16 - LEVEL_BITS)  # of a list
LONGEST_RUN = 256
BINS = 1024  # of estimates, when blocks are put in order


class Blocks(NamedTuple):
    """Posting lists split into blocks, and their summaries by list and term.

    Blocks ``lists[t]:lists[t + 1]`` belong to term t; block b holds the rows ``postings[starts[b]:starts[b + 1]]``.

    The summaries of a list are stored term by term: its entries for term u lie together, so that a query reads only
    those of its own terms. They are found by hashing: list t has the buckets ``tables[t]:tables[t + 1]``, a power of
    two of them; u falls into the one numbered by its low bits, and its next eight bits are its tag.
    ``buckets[j]`` = (first run, first entry) of bucket j; a run is a uint16: tag << 8 | number of entries - 1. An
    entry is a uint16: block, counted from the list's first, << 5 | level; it stands for the weight
    ``level * steps[t]``. Terms with equal bucket and tag share their entries: an estimate may be too high.
    """

    lists: NDArray[np.int64]  # [V + 1]
    starts: NDArray[np.uint32]  # [B + 1]
    postings: NDArray[np.uint32]  # [P]
    tables: NDArray[np.int64]  # [V + 1]
    buckets: NDArray[np.uint32]  # [K + 1, 2]
    runs: NDArray[np.uint16]  # [R]
    entries: NDArray[np.uint16]  # [E]
    steps: NDArray[np.float32]  # [V]


class Records(NamedTuple):
    """What a first look sees of the documents: one memory, seen in three types; starts on a cache line.

    Row r has RECORD bytes: the low 16 bits of its LOOKED heaviest terms, their weights as uint8, and the value of one
    weight.
    """

    terms: NDArray[np.uint16]
    weights: NDArray[np.uint8]
    scales: NDArray[np.float32]


class Queries(NamedTuple):
    """Sparse queries; weights are multiplied by the value of one document weight."""

    indptr: NDArray[np.int64]
    terms: NDArray[np.int64]
    weights: NDArray[np.float32]


class Limits(NamedTuple):
    """What a search leaves out; see `lsr.index.settings.SeismicSettings`."""

    query_cut: int
    heap_factor: float
    first_look: float


class Index(NamedTuple):
    """All arrays of an index."""

    forward: Forward
    blocks: Blocks
    records: Records


class Scratch(NamedTuple):
    """Room that one thread needs for searching; ``slots`` and ``table`` are all zeros between queries."""

    slots: NDArray[Any]  # unsigned [V]: place of a term's weight in ``weights``, 0 for terms that are not in the query
    weights: NDArray[np.float32]  # [most terms of a query + 1], the first is 0
    heaviest: NDArray[np.int64]  # [most terms of a query]: its heaviest terms
    table: NDArray[np.uint8]  # [65536]: query weights for first looks, by low 16 bits of the term
    epochs: NDArray[np.uint8]  # [n]: the query, modulo 255, that met the document last
    epoch: NDArray[np.int64]  # [1]
    sums: NDArray[np.float32]  # [blocks + MOST_BLOCKS]: whatever a summary entry points to lies inside
    estimates: NDArray[np.float32]  # [blocks]
    order: NDArray[np.uint32]  # [blocks]
    bins: NDArray[np.int64]  # [BINS]
    queue: NDArray[np.uint32]  # [n]: documents in the order in which they are met
    looks: NDArray[np.float32]  # [n]: what the first look gave each of them
    best: NDArray[np.float32]  # [at least k]: the best looks
    best_rows: NDArray[np.int64]  # [at least k]


@kernel
def fill_records(forward: Any, first: int, last: int, terms: Any, weights: Any, scales: Any) -> None:
    """Write the records of the rows first:last; ties in weight go to the lower term, to 1/255 of the largest."""
    counts = np.zeros(256, np.int64)
    for row in range(first, last):
        start, stop = forward.indptr[row], forward.indptr[row + 1]
        largest = np.float32(0)
        for i in range(start, stop):
            largest = max(largest, np.float32(forward.weights[i]))
        unit = largest / np.float32(255)
        scales[row * (RECORD // 4) + SCALE_AT] = unit
        per_unit = np.float32(1) / unit if unit > 0 else np.float32(0)
        for code in range(256):
            counts[code] = 0
        for i in range(start, stop):
            counts[min(255, int(np.float32(forward.weights[i]) * per_unit + np.float32(0.5)))] += 1
        least = 255
        room = LOOKED
        while least > 0 and counts[least] <= room:
            room -= counts[least]
            least -= 1
        place = 0
        for i in range(start, stop):
            code = min(255, int(np.float32(forward.weights[i]) * per_unit + np.float32(0.5)))
            if code > least or (code == least and room > 0):
                room -= code == least
                terms[row * (RECORD // 2) + place] = forward.terms[i] & 0xFFFF
                weights[row * RECORD + 2 * LOOKED + place] = code
                place += 1


@kernel
def _sort_falling(keys: Any, order: Any) -> None:
    """Sort ``order`` so that keys[order] falls (shell sort: queries are short)."""
    gap = order.size // 2
    while gap > 0:
        for i in range(gap, order.size):
            moving = order[i]
            j = i
            while j >= gap and keys[order[j - gap]] < keys[moving]:
                order[j] = order[j - gap]
                j -= gap
            order[j] = moving
        gap //= 2


@kernel
def _prefetch_runs(terms: Any, heaviest: Any, blocks: Any) -> None:
    """Prefetch, step by step over all pairs of a list of ``cut`` and a query term, all that `_sum` reads."""
    tables, buckets, runs, entries = blocks.tables, blocks.buckets, blocks.runs, blocks.entries
    for list_ in heaviest:
        prefetch(tables, list_)
    for list_ in heaviest:
        for term in terms:
            prefetch(buckets, 2 * (tables[list_] + (term & (tables[list_ + 1] - tables[list_] - 1))))
    for list_ in heaviest:
        if tables[list_ + 1] > tables[list_]:
            for term in terms:
                at = tables[list_] + (term & (tables[list_ + 1] - tables[list_] - 1))
                prefetch(runs, buckets[at, 0])
                prefetch(entries, buckets[at, 1])
                prefetch(entries, buckets[at, 1] + np.uint32(LINE // 2))


@kernel
def _sum(list_: int, terms: Any, weights: Any, blocks: Any, sums: Any) -> None:
    """Add to sums[b] the inner product of the query with the summary of each block b of a list."""
    buckets, runs, entries = blocks.buckets, blocks.runs, blocks.entries
    table = blocks.tables[list_]
    mask = blocks.tables[list_ + 1] - table - 1
    if mask < 0:
        return
    shift = 0
    while mask >> shift:
        shift += 1
    bits, levels, one = np.uint16(LEVEL_BITS), np.uint16(LEVELS), np.uint64(1)
    for j in range(terms.size):
        at = table + (terms[j] & mask)
        tag = (terms[j] >> shift) & 255
        weight = weights[j] * blocks.steps[list_]
        i = np.uint64(buckets[at, 1])
        for run in range(np.uint64(buckets[at, 0]), np.uint64(buckets[at + 1, 0])):
            stop = i + np.uint64(runs[run] & 255) + one
            if runs[run] >> 8 == tag:
                while i < stop:
                    sums[entries[i] >> bits] += weight * np.float32(entries[i] & levels)
                    i += one
            i = stop


@kernel
def _order_blocks(heaviest: Any, lists: Any, size: int, sums: Any, bins: Any, estimates: Any, order: Any) -> None:
    """Blocks of all lists of ``cut`` with their estimates, to 1/BINS of the largest best first (counting sort)."""
    largest = np.float32(0)
    for at in range(np.uint64(size)):
        largest = max(largest, sums[at])
    per_bin = np.float32(BINS - 1) / largest if largest > 0 else np.float32(0)
    for number in range(BINS):
        bins[number] = 0
    for at in range(np.uint64(size)):
        bins[BINS - 1 - np.int64(max(np.float32(0), sums[at]) * per_bin)] += 1
    total = 0
    for number in range(BINS):  # where each bin starts
        n = bins[number]
        bins[number] = total
        total += n
    i = np.uint64(0)
    for list_ in heaviest:
        for block in range(lists[list_], lists[list_ + 1]):
            bin_ = BINS - 1 - np.int64(max(np.float32(0), sums[i]) * per_bin)
            place = np.uint64(bins[bin_])
            bins[bin_] += 1
            estimates[place] = sums[i]
            order[place] = block
            i += np.uint64(1)


@kernel
def _look(
    first: int, last: int, queue: Any, table: Any, records: Any, looks: Any, best: Any, best_rows: Any, size: int
) -> int:
    """Looks at the documents first:last of the queue; the best go to a heap, whose new size is given.

    A look is the inner product of the record with the query in whole numbers, times the record's scale.
    """
    terms, weights, scales = records
    one, two, three, four = np.uint64(1), np.uint64(2), np.uint64(3), np.uint64(4)
    mask, sixteen = np.uint64(0xFFFF), np.uint64(16)
    for at in range(np.uint64(first), np.uint64(last)):
        row = np.uint64(queue[at])
        i = row * np.uint64(RECORD // 2)
        w = row * np.uint64(RECORD) + np.uint64(2 * LOOKED)
        end = i + np.uint64(LOOKED)
        a, b, c, d = np.int32(0), np.int32(0), np.int32(0), np.int32(0)
        while i < end:  # four terms a load: loads are the narrow place
            quad = four_at(terms, i)
            a += np.int32(table[quad & mask]) * np.int32(weights[w])
            b += np.int32(table[(quad >> sixteen) & mask]) * np.int32(weights[w + one])
            c += np.int32(table[(quad >> (sixteen + sixteen)) & mask]) * np.int32(weights[w + two])
            d += np.int32(table[quad >> (sixteen + sixteen + sixteen)]) * np.int32(weights[w + three])
            i += four
            w += four
        look = np.float32((a + b) + (c + d)) * scales[row * np.uint64(RECORD // 4) + np.uint64(SCALE_AT)]
        looks[at] = look
        if size < best.size or look > best[0]:
            size = push(best, best_rows, size, look, np.int64(row))
    return size


@kernel
def _meet(rows: Any, epoch: Any, epochs: Any, allowed: Any, weights: Any, queue: Any, tail: int) -> Any:
    """Queue the rows that are new and allowed, and prefetch their records; the new end of the queue."""
    end = np.uint64(tail)
    for i in range(np.uint64(rows.size)):
        row = np.uint64(rows[i])
        if epochs[row] == epoch or (allowed.size > 0 and allowed[row] == 0):
            continue
        epochs[row] = epoch
        queue[end] = row
        end += np.uint64(1)
        at = row * np.uint64(RECORD)
        prefetch(weights, at)
        prefetch(weights, at + np.uint64(LINE))
        prefetch(weights, at + np.uint64(2 * LINE))
    return np.int64(end)


@kernel
def _prefetch_block(at: int, size: int, order: Any, starts: Any, postings: Any) -> None:
    """Prefetch the borders of a block to come and the postings of one nearer."""
    if at + 2 * BLOCKS_AHEAD < size:
        prefetch(starts, np.int64(order[at + 2 * BLOCKS_AHEAD]))
    if 0 <= at + BLOCKS_AHEAD < size:
        first = starts[np.int64(order[at + BLOCKS_AHEAD])]
        prefetch(postings, first)
        prefetch(postings, first + LINE // 4)


@kernel
def _walk(size: int, factor: Any, epoch: Any, blocks: Any, records: Any, allowed: Any, scratch: Any, k: int) -> Any:
    """Look at the documents of the blocks in order until one promises too little; documents met, looks kept.

    ``factor`` turns looks into estimates below which the walk ends.
    """
    starts, postings = blocks.starts, blocks.postings
    order, estimates, queue, looks = scratch.order, scratch.estimates, scratch.queue, scratch.looks
    best, best_rows = scratch.best[:k], scratch.best_rows[:k]
    head, tail, held = np.int64(0), np.int64(0), np.int64(0)  # a literal would compile the kernels below twice
    for at in range(-2 * BLOCKS_AHEAD, size):
        _prefetch_block(at, size, order, starts, postings)
        if at < 0:
            continue
        if held == k and estimates[at] < factor * best[0]:
            break
        block = np.int64(order[at])
        rows = postings[starts[block] : starts[block + 1]]
        tail = _meet(rows, epoch, scratch.epochs, allowed, records.weights, queue, tail)
        if tail - head > AHEAD:
            held = _look(head, tail - AHEAD, queue, scratch.table, records, looks, best, best_rows, held)
            head = tail - AHEAD
    held = _look(head, tail, queue, scratch.table, records, looks, best, best_rows, held)
    return tail, held


@kernel
def _begin(terms: Any, weights: Any, scratch: Any) -> Any:
    """Put the query into the tables; the value of one unit of ``table``, and this query's mark."""
    largest = np.float32(0)
    for j in range(terms.size):
        scratch.slots[terms[j]] = j + 1
        scratch.weights[j + 1] = weights[j]
        largest = max(largest, weights[j])
    unit = largest / np.float32(255) if largest > 0 else np.float32(1)
    for j in range(terms.size):
        code = np.uint8(max(np.float32(0), weights[j]) / unit + np.float32(0.5))
        scratch.table[terms[j] & 0xFFFF] = max(code, scratch.table[terms[j] & 0xFFFF])
    scratch.epoch[0] += 1
    if scratch.epoch[0] == 256:
        for row in range(scratch.epochs.size):
            scratch.epochs[row] = 0
        scratch.epoch[0] = 1
    return unit, np.uint8(scratch.epoch[0])


@kernel
def _search_one(terms: Any, weights: Any, limits: Any, index: Any, allowed: Any, scratch: Any, scores: Any) -> int:
    """Fill the scratch's queue with the documents to score exactly; their number."""
    forward, blocks = index.forward, index.blocks
    heaviest = scratch.heaviest[: terms.size]
    for j in range(terms.size):
        heaviest[j] = j
    _sort_falling(weights, heaviest)
    heaviest = heaviest[: limits.query_cut]
    for j in range(heaviest.size):
        heaviest[j] = terms[heaviest[j]]
    unit, epoch = _begin(terms, weights, scratch)
    size = 0
    for list_ in heaviest:
        size += blocks.lists[list_ + 1] - blocks.lists[list_]
    for at in range(size):
        scratch.sums[at] = 0
    _prefetch_runs(terms, heaviest, blocks)
    at = 0
    for list_ in heaviest:
        _sum(list_, terms, weights, blocks, scratch.sums[at:])
        at += blocks.lists[list_ + 1] - blocks.lists[list_]
    _order_blocks(heaviest, blocks.lists, size, scratch.sums, scratch.bins, scratch.estimates, scratch.order)
    factor = np.float32(limits.heap_factor) * unit
    met, held = _walk(size, factor, epoch, blocks, index.records, allowed, scratch, scores.size)
    least = np.float32(limits.first_look) * scratch.best[0] if held == scores.size else np.float32(0)
    n = 0
    for at in range(met):
        if scratch.looks[at] >= least:
            scratch.queue[n] = scratch.queue[at]
            prefetch(forward.indptr, np.int64(scratch.queue[n]))
            n += 1
    return n


@kernel
def search_blocks(
    first: int,
    last: int,
    queries: Any,
    limits: Any,
    index: Any,
    allowed: Any,
    scratch: Any,
    found: Any,
) -> None:
    """Search for the queries first:last.

    ``allowed`` is int8[n] or [0]; ``found`` is (rows int64[queries, k], scores float32[queries, k]). Named tuples come
    as plain ones, which numba takes apart three times as fast.
    """
    rows, scores = found
    queries, limits, scratch = Queries(*queries), Limits(*limits), Scratch(*scratch)
    forward, blocks, records = index
    index = Index(Forward(*forward), Blocks(*blocks), Records(*records))
    indptr = queries.indptr
    for q in range(first, last):
        terms = queries.terms[indptr[q] : indptr[q + 1]]
        weights = queries.weights[indptr[q] : indptr[q + 1]]
        n = _search_one(terms, weights, limits, index, allowed, scratch, scores[q])
        size, start = np.int64(0), np.int64(0)
        size = score_documents(
            scratch.queue, n, scratch.slots, scratch.weights, index.forward, scores[q], rows[q], size, start
        )
        sort_heap(scores[q], rows[q], size)
        for j in range(terms.size):
            scratch.slots[terms[j]] = 0
            scratch.table[terms[j] & 0xFFFF] = 0
