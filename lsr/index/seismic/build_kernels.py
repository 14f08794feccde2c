"""Build kernels: documents to posting lists, lists to blocks, blocks to summaries.

Arrays in, arrays out, no validation; serial and nogil. Lists are independent, so threads take ranges of terms and
the result does not depend on their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lsr.index.kernels import push
from lsr.index.seismic.kernels import LEVEL_BITS, LEVELS, LONGEST_RUN, MOST_BLOCKS
from lsr.kernel import kernel

RUNS_PER_BUCKET = 16  # at most, on average, of terms with summary entries in a list


@kernel
def count_postings(terms: Any, weights: Any, threshold: Any, counts: Any) -> None:
    """Add to counts[t] the entries of term t that weigh at least ``threshold``."""
    for i in range(terms.size):
        if weights[i] >= threshold:
            counts[terms[i]] += 1


@kernel
def fill_postings(forward: Any, threshold: Any, ends: Any, postings: Any, values: Any) -> None:
    """Write row and weight of every kept entry at ends[t]; ``ends`` starts as the list starts and moves on."""
    for row in range(forward.indptr.size - 1):
        for i in range(forward.indptr[row], forward.indptr[row + 1]):
            if forward.weights[i] >= threshold:
                at = ends[forward.terms[i]]
                postings[at] = row
                values[at] = forward.weights[i]
                ends[forward.terms[i]] = at + 1


@kernel
def heaviest_entries(forward: Any, most: int, entries: Any) -> None:
    """entries[row, :most] = positions of the row's heaviest entries, -1 where it has fewer."""
    for row in range(forward.indptr.size - 1):
        size = 0
        for i in range(forward.indptr[row], forward.indptr[row + 1]):
            if size == most and forward.weights[i] <= forward.weights[entries[row, most - 1]]:
                continue
            at = size if size < most else most - 1
            while at > 0 and forward.weights[entries[row, at - 1]] < forward.weights[i]:
                entries[row, at] = entries[row, at - 1]
                at -= 1
            entries[row, at] = i
            size = min(size + 1, most)
        for at in range(size, most):
            entries[row, at] = -1


@kernel
def _grown(array: Any, size: int) -> Any:
    """``array`` with room for at least ``size`` entries."""
    if size <= array.size:
        return array
    larger = np.empty(max(size, 2 * array.size), array.dtype)
    for i in range(array.size):
        larger[i] = array[i]
    return larger


@kernel
def _sample(population: int, size: int, seed: int) -> Any:
    """bool[population] with ``size`` places set at random, from a splitmix64 stream."""
    order = np.arange(population)
    chosen = np.zeros(population, np.bool_)
    state = np.uint64(seed)
    for i in range(size):
        state += np.uint64(0x9E3779B97F4A7C15)
        z = state
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
        j = i + np.int64(z % np.uint64(population - i))
        order[i], order[j] = order[j], order[i]
        chosen[order[i]] = True
    return chosen


@kernel
def _heaviest_rows(postings: Any, values: Any, start: int, stop: int, size: int, rows: Any) -> int:
    """Write the ``size`` rows of greatest value in start:stop (ties: lower row) to ``rows``; their number."""
    size = min(size, stop - start)
    scores = np.empty(size, np.float32)
    held = np.empty(size, np.int64)
    n = 0
    for i in range(start, stop):
        n = push(scores, held, n, np.float32(values[i]), np.int64(postings[i]))
    n = 0
    for i in range(start, stop):
        if values[i] > scores[0] or (values[i] == scores[0] and postings[i] <= held[0]):
            rows[n] = postings[i]
            n += 1
    return n


@kernel
def _count_terms(centroids: Any, forward: Any, first: Any, touched: Any) -> int:
    """Count the entries of each term in the centroids into ``first``; the terms met go to ``touched``."""
    size = 0
    for row in centroids:
        for i in range(forward.indptr[row], forward.indptr[row + 1]):
            term = forward.terms[i]
            if first[term] == 0:
                touched[size] = term
                size += 1
            first[term] += 1
    return size


@kernel
def _assign(row: int, forward: Any, entries: Any, by_term: Any, alive: Any, products: Any) -> int:
    """The living centroid with the largest product over the row's heaviest entries (ties: the first)."""
    first, starts, slots, values = by_term
    for slot in range(products.size):
        products[slot] = 0
    for place in range(entries.shape[1]):
        position = entries[row, place]
        if position < 0:
            break
        j = first[forward.terms[position]] - 1
        if j >= 0:
            weight = np.float32(forward.weights[position])
            for i in range(starts[j], starts[j + 1]):
                products[slots[i]] += weight * values[i]
    best = -1
    for slot in range(products.size):
        if alive[slot] and (best < 0 or products[slot] > products[best]):
            best = slot
    return best


@kernel
def _cluster(rows: Any, m: int, forward: Any, entries: Any, settings: Any, first: Any, assigned: Any) -> None:
    """Write the cluster of each of the m ``rows`` to ``assigned``.

    ``settings`` = (clusters, min_cluster_size, seed). Centroids are rows taken at random; clusters of
    min_cluster_size or fewer are dissolved into the others. ``first`` is int64[V] of zeros and comes back so.
    """
    n_clusters, min_size, seed = settings
    centroids = np.empty(n_clusters, np.int64)
    chosen = _sample(m, n_clusters, seed)
    total = 0
    slot = 0
    for i in range(m):
        if chosen[i]:
            centroids[slot] = rows[i]
            total += forward.indptr[rows[i] + 1] - forward.indptr[rows[i]]
            slot += 1
    # The centroids by term: slots and values of the j-th term met lie at starts[j]:starts[j + 1]; first[t] = j + 1.
    touched = np.empty(total, np.int64)
    n_touched = _count_terms(centroids, forward, first, touched)
    starts = np.zeros(n_touched + 1, np.int64)
    ends = np.zeros(n_touched, np.int64)
    for j in range(n_touched):
        ends[j] = starts[j]
        starts[j + 1] = starts[j] + first[touched[j]]
        first[touched[j]] = j + 1
    slots = np.empty(total, np.int32)
    values = np.empty(total, np.float32)
    for slot in range(n_clusters):
        for i in range(forward.indptr[centroids[slot]], forward.indptr[centroids[slot] + 1]):
            j = first[forward.terms[i]] - 1
            slots[ends[j]] = slot
            values[ends[j]] = np.float32(forward.weights[i])
            ends[j] += 1
    by_term = (first, starts, slots, values)
    alive = np.ones(n_clusters, np.bool_)
    sizes = np.zeros(n_clusters, np.int64)
    products = np.empty(n_clusters, np.float32)
    for i in range(m):
        assigned[i] = _assign(rows[i], forward, entries, by_term, alive, products)
        sizes[assigned[i]] += 1
    survivors = 0
    for slot in range(n_clusters):
        alive[slot] = sizes[slot] > min_size
        survivors += alive[slot]
    for i in range(m):
        if survivors == 0:
            assigned[i] = 0
        elif not alive[assigned[i]]:
            assigned[i] = _assign(rows[i], forward, entries, by_term, alive, products)
    for j in range(n_touched):
        first[touched[j]] = 0


@kernel
def _group(rows: Any, m: int, assigned: Any, n_clusters: int, ends: Any, members: Any) -> None:
    """Counting sort: members of cluster c come to members[ends[c - 1]:ends[c]], rows ascending."""
    for c in range(n_clusters):
        ends[c] = 0
    for i in range(m):
        ends[assigned[i]] += 1
    total = 0
    for c in range(n_clusters):
        total += ends[c]
        ends[c] = total
    for i in range(m - 1, -1, -1):
        ends[assigned[i]] -= 1
        members[ends[assigned[i]]] = rows[i]
    for c in range(n_clusters):
        ends[c] = ends[c + 1] if c + 1 < n_clusters else m


@kernel
def _block_maxima(members: Any, start: int, stop: int, forward: Any, largest: Any, touched: Any) -> int:
    """largest[t] = the term's maximum over the block, for each of the terms written to ``touched``; their number."""
    size = 0
    for m in range(start, stop):
        for i in range(forward.indptr[members[m]], forward.indptr[members[m] + 1]):
            term = forward.terms[i]
            if largest[term] == 0:
                touched[size] = term
                size += 1
            largest[term] = max(largest[term], np.float32(forward.weights[i]))
    return size


@kernel
def _energy_floor(largest: Any, touched: Any, size: int, energy: Any) -> Any:
    """The value down to which maxima must be kept to hold ``energy`` of their sum, to 1/256 of the range."""
    top = np.float32(0)
    mass = 0.0
    for j in range(size):
        top = max(top, largest[touched[j]])
        mass += largest[touched[j]]
    held = np.zeros(257, np.float64)
    for j in range(size):
        held[int(largest[touched[j]] / top * 256)] += largest[touched[j]]
    bucket = 256
    above = held[256]
    while bucket > 0 and above < energy * mass:
        bucket -= 1
        above += held[bucket]
    return top * np.float32(bucket) / np.float32(256)


@kernel
def _append_summary(block: int, largest: Any, touched: Any, size: int, floor: Any, buffers: Any, n: int) -> int:
    """Add the maxima of a block that reach ``floor`` to the list's buffers, set all to 0; the buffers' new size."""
    terms, places, values = buffers
    for j in range(size):
        value = largest[touched[j]]
        largest[touched[j]] = 0
        if value >= floor:
            terms[n] = touched[j]
            places[n] = block
            values[n] = value
            n += 1
    return n


@kernel
def _by_bucket(touched: Any, size: int, mask: int, ends: Any, grouped: Any) -> None:
    """Counting sort of the first terms touched by their low bits; ends[b] is where those of bucket b end."""
    for b in range(mask + 1):
        ends[b] = 0
    for j in range(size):
        ends[touched[j] & mask] += 1
    total = 0
    for b in range(mask + 1):
        total += ends[b]
        ends[b] = total
    for j in range(size - 1, -1, -1):
        ends[touched[j] & mask] -= 1
        grouped[ends[touched[j] & mask]] = touched[j]
    for b in range(mask + 1):
        ends[b] = ends[b + 1] if b < mask else size


@kernel
def _write_entries(n: int, buffers: Any, step: Any, count: Any, entries: Any) -> None:
    """Write the n buffered summary entries to where count[term] says; it moves on."""
    terms, places, values = buffers
    for i in range(n):
        level = int(values[i] / step + np.float32(0.5))
        entries[count[terms[i]]] = places[i] << LEVEL_BITS | max(1, min(level, LEVELS))
        count[terms[i]] += 1


@kernel
def _write_blocks(
    clusters: Any, forward: Any, maxima: Any, energy: Any, buffers: Any, out_postings: Any, out_ends: Any, size: int
) -> Any:
    """Postings and ends of a list's blocks, and their summaries in the buffers.

    ``clusters`` = (members, where each ends, how many), ``maxima`` = (largest, touched), ``size`` postings are there.
    Given: the buffers, how many entries they hold, the largest of these, and how many blocks there are.
    """
    members, ends, n_clusters = clusters
    largest, touched = maxima
    start = 0
    n = 0
    n_blocks = 0
    top = np.float32(0)
    for c in range(n_clusters):
        if ends[c] == start:
            continue
        for i in range(start, ends[c]):
            out_postings[size] = members[i]
            size += 1
        n_touched = _block_maxima(members, start, ends[c], forward, largest, touched)
        for j in range(n_touched):
            top = max(top, largest[touched[j]])
        floor = _energy_floor(largest, touched, n_touched, energy)
        wanted = n + n_touched
        buffers = (_grown(buffers[0], wanted), _grown(buffers[1], wanted), _grown(buffers[2], wanted))
        n = _append_summary(n_blocks, largest, touched, n_touched, floor, buffers, n)
        out_ends[n_blocks] = size
        n_blocks += 1
        start = ends[c]
    return buffers, n, top, n_blocks


@kernel
def _count_entries(terms: Any, n: int, counts: Any, touched: Any) -> int:
    """Count each of the first n ``terms`` into ``counts``; those met go to ``touched``, and their number is given."""
    size = 0
    for i in range(n):
        if counts[terms[i]] == 0:
            touched[size] = terms[i]
            size += 1
        counts[terms[i]] += 1
    return size


@kernel
def _low_bits(n: int) -> Any:
    """(mask, number of its bits) of buckets that hold RUNS_PER_BUCKET of n terms on average."""
    mask = 0
    while (mask + 1) * RUNS_PER_BUCKET < n:
        mask = 2 * mask + 1
    shift = 0
    while mask >> shift:
        shift += 1
    return mask, shift


@kernel
def _write_runs(
    ends: Any, grouped: Any, shift: int, count: Any, out_runs: Any, run: int, place: int, out_buckets: Any
) -> int:
    """Write tag and length of each term's run of entries, bucket by bucket; where the runs end is given.

    ``count`` has each term's number of entries, and gets where they start; ``out_buckets`` takes, for every bucket,
    where its runs and its entries end.
    """
    j = 0
    for b in range(ends.size):
        while j < ends[b]:
            left = count[grouped[j]]
            count[grouped[j]] = place
            place += left
            while left > 0:
                out_runs[run] = ((grouped[j] >> shift) & 255) << 8 | (min(left, LONGEST_RUN) - 1)
                left -= LONGEST_RUN
                run += 1
            j += 1
        out_buckets[2 * b] = run
        out_buckets[2 * b + 1] = place
    return run


@kernel
def build_lists(
    first_term: int, last_term: int, lists: Any, postings: Any, values: Any, forward: Any, entries: Any, settings: Any
) -> Any:
    """Blocks and summaries of the terms first_term:last_term, in the layout of `kernels.Blocks`.

    ``settings`` = (longest list, centroid_fraction, min_cluster_size, summary_energy, seed); ``lists`` int64[V + 1]
    borders the lists in ``postings`` and ``values``. Given: sizes int64[terms, 2] (blocks and buckets of each term),
    block ends, postings, bucket ends [buckets, 2], runs, summary entries, steps; ends count from 0 within this part.
    """
    longest, centroid_fraction, min_cluster_size, energy, seed = settings
    dim, capacity = lists.size - 1, lists[last_term] - lists[first_term]
    first, touched, grouped = np.zeros(dim, np.int64), np.empty(dim, np.int64), np.empty(dim, np.int64)
    largest, bucket_ends = np.zeros(dim, np.float32), np.empty(dim + 1, np.int64)
    rows, members = np.empty(capacity, np.int64), np.empty(capacity, np.int64)
    assigned, ends = np.zeros(capacity, np.int64), np.empty(capacity + 1, np.int64)
    sizes, steps = np.zeros((last_term - first_term, 2), np.int64), np.zeros(last_term - first_term, np.float32)
    out_postings, out_ends = np.empty(capacity, np.uint32), np.empty(capacity, np.uint32)
    out_buckets, out_runs, out_entries = np.empty(1024, np.uint32), np.empty(1024, np.uint16), np.empty(1024, np.uint16)
    buffers = (np.empty(1024, np.uint32), np.empty(1024, np.uint16), np.empty(1024, np.float32))
    block = 0
    size = 0
    n_buckets = 0
    run = 0
    entry = 0
    for term in range(first_term, last_term):
        if lists[term] == lists[term + 1]:
            continue
        m = _heaviest_rows(postings, values, lists[term], lists[term + 1], longest, rows)
        n_clusters = max(1, min(int(centroid_fraction * m), MOST_BLOCKS))
        assigned[:m] = 0
        if n_clusters > 1:
            _cluster(rows, m, forward, entries, (n_clusters, min_cluster_size, seed + term), first, assigned)
        _group(rows, m, assigned, n_clusters, ends, members)
        clusters, maxima = (members, ends, n_clusters), (largest, touched)
        buffers, n, top, n_blocks = _write_blocks(
            clusters, forward, maxima, energy, buffers, out_postings, out_ends[block:], size
        )
        block += n_blocks
        size += m
        # The summary entries of the list, term by term.
        n_touched = _count_entries(buffers[0], n, first, touched)
        mask, shift = _low_bits(n_touched)
        _by_bucket(touched, n_touched, mask, bucket_ends, grouped)
        out_buckets = _grown(out_buckets, 2 * (n_buckets + mask + 1))
        out_runs = _grown(out_runs, run + n_touched + n // LONGEST_RUN)
        out_entries = _grown(out_entries, entry + n)
        borders = bucket_ends[: mask + 1]
        run = _write_runs(borders, grouped, shift, first, out_runs, run, entry, out_buckets[2 * n_buckets :])
        n_buckets += mask + 1
        step = top / np.float32(LEVELS)
        _write_entries(n, buffers, step, first, out_entries)
        entry += n
        for j in range(n_touched):
            first[touched[j]] = 0
        sizes[term - first_term, 0] = n_blocks
        sizes[term - first_term, 1] = mask + 1
        steps[term - first_term] = step
    filled = (out_ends[:block], out_postings[:size], out_buckets[: 2 * n_buckets].reshape(n_buckets, 2))
    return sizes, filled, (out_runs[:run], out_entries[:entry]), steps
