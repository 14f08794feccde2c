from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, MismatchError
from lsr.index import Allowed, ExactIndex, SeismicIndex, WindowedIndex, WindowedSettings
from lsr.index.fanout import crop, search_segments
from lsr.index.windowed import group as windowed
from lsr.sparse import SparseMatrix, concatenate
from tests.conftest import random_matrix

ALL_SUMS = WindowedSettings(cut=0, effort=100)


class Part:
    """A segment in memory."""

    def __init__(self, vectors, engine=WindowedIndex):
        self.vectors, self.engine = vectors, engine.build(vectors)

    def __len__(self):
        return len(self.vectors)

    def search(self, queries, k, *, exact=False, allowed=None, settings=None, threads=1, scan=False):
        if exact and scan:
            return ExactIndex(self.vectors).search(queries, k, allowed=allowed)
        return self.engine.search(queries, k, exact=exact, allowed=allowed, settings=settings, threads=threads)


def borders(seed, n, parts):
    """Where ``parts`` segments of n documents begin and end; some are empty."""
    inner = np.random.default_rng(seed).integers(0, n + 1, parts - 1)
    return [0, *sorted(inner.tolist()), n]


def divided(documents, ends, engine=WindowedIndex):
    return [Part(documents.slice(a, b), engine) for a, b in pairwise(ends)]


def same(found, wanted):
    assert found.rows.tolist() == wanted.rows.tolist()
    assert found.scores.tolist() == wanted.scores.tolist()


def masks(mask, ends):
    return [Allowed(mask[a:b]) for a, b in pairwise(ends)]


@pytest.mark.parametrize("signed", [False, True])
@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(0, 80),
    parts=st.integers(1, 12),
    k=st.integers(1, 90),
    share=st.sampled_from([None, 0.0, 0.1, 0.7, 1.0]),
    cut=st.sampled_from([0.0, 0.04, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_segments_find_what_one_finds_with_ties_by_row(signed, seed, rows, parts, k, share, cut):
    documents = random_matrix(seed, rows, 40, 12, whole=True, signed=signed)
    queries = random_matrix(seed + 1, 5, 40, 12, whole=True, signed=signed)
    ends = borders(seed, rows, parts)
    mask = np.random.default_rng(seed).random(rows) < (1 if share is None else share)
    allowed = () if share is None else masks(mask, ends)
    wanted = ExactIndex(documents).search(queries, k, allowed=Allowed(mask))
    segments = divided(documents, ends)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed, "EXACT_CUT", cut)
        same(search_segments(segments, queries, k, exact=True, allowed=allowed), wanted)
    same(search_segments(segments, queries, k, exact=True, allowed=allowed, scan=True), wanted)
    if not signed:
        same(search_segments(segments, queries, k, allowed=allowed, settings=ALL_SUMS), wanted)


@given(seed=st.integers(0, 2**32), dims=st.lists(st.integers(1, 40), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_terms_that_a_segment_does_not_know_are_ignored(seed, dims):
    parts = [random_matrix(seed + i, 9, dim, min(dim, 8), whole=True) for i, dim in enumerate(dims)]
    queries = random_matrix(seed, 5, 50, 12, whole=True)
    wanted = ExactIndex(concatenate([part.widened(50) for part in parts])).search(queries, 20)
    for engine in (WindowedIndex, ExactIndex):
        segments = [Part(part, engine) for part in parts]
        same(search_segments(segments, queries, 20, exact=True), wanted)
    segments = [Part(part) for part in parts]
    same(search_segments(segments, queries, 20, settings=ALL_SUMS), wanted)
    few = search_segments(segments, queries, 3, exact=True, allowed=[Allowed.of_rows([1, 4], 9)] * len(dims))
    assert all(row % 9 in (1, 4) for row in few.rows[few.rows >= 0].tolist())


def test_a_cropped_query_keeps_its_other_terms():
    queries = SparseMatrix.from_dicts([{1: 2.0, 70_000: 1.0}, {}, {3: 1.0}], 80_000)
    assert crop(queries, 80_000) is queries
    cropped = crop(queries, 3)
    assert (cropped.to_dicts(), cropped.dim, cropped.terms.dtype.name) == ([{1: 2.0}, {}, {}], 3, "uint16")


def test_segments_of_several_kinds_are_searched_all():
    documents, queries = random_matrix(1, 300, 60, 20), random_matrix(2, 20, 60, 20)
    ends = [0, 50, 120, 121, 300]
    engines = [WindowedIndex, WindowedIndex, ExactIndex, WindowedIndex]
    segments = [Part(documents.slice(a, b), engine) for a, b, engine in zip(ends[:-1], ends[1:], engines, strict=True)]
    mask = np.random.default_rng(0).random(300) < 0.5
    wanted = ExactIndex(documents).search(queries, 70, allowed=Allowed(mask))
    same(search_segments(segments, queries, 70, exact=True, allowed=masks(mask, ends)), wanted)
    some = [*masks(mask, ends)[:3], None]
    mask[121:] = True
    wanted = ExactIndex(documents).search(queries, 70, allowed=Allowed(mask))
    same(search_segments(segments, queries, 70, exact=True, allowed=some), wanted)
    bytes_ = SparseMatrix(documents.indptr, documents.terms, np.full(documents.nnz, 3, np.uint8), 60, 0.5)
    mixed = [Part(documents), Part(bytes_), Part(bytes_)]
    parts = [ExactIndex(part.vectors).search(queries, 400) for part in mixed]
    found = search_segments(mixed, queries, 900, exact=True)
    for i in range(len(queries)):
        rows = found.rows[i][found.rows[i] >= 0]
        assert sorted(rows.tolist()) == sorted(
            at * 300 + row for at, part in enumerate(parts) for row in part.rows[i].tolist() if row >= 0
        )


def test_segments_of_many_windows_are_found_in():
    documents, queries = random_matrix(3, 150_000, 200, 8), random_matrix(4, 20, 200, 12)
    segments = divided(documents, [0, 100, 140_000, 140_000, 150_000])
    wanted = ExactIndex(documents).search(queries, 10)
    same(search_segments(segments, queries, 10, exact=True), wanted)
    same(search_segments(segments, queries, 10, exact=True, threads=3), wanted)


def test_approximate_search_of_segments_finds_as_much():
    documents, queries = random_matrix(5, 20_000, 300, 40), random_matrix(6, 50, 300, 20)
    wanted = ExactIndex(documents).search(queries, 10).rows
    shares = []
    for parts in (1, 10):
        ends = np.linspace(0, 20_000, parts + 1).astype(int).tolist()
        found = search_segments(divided(documents, ends), queries, 10, settings=WindowedSettings(0.1, 1.0)).rows
        shares.append(np.mean([np.isin(b, a).mean() for a, b in zip(found, wanted, strict=True)]))
    assert shares[1] >= shares[0] - 0.02


def test_seismic_segments_are_searched_in_turn():
    documents, queries = random_matrix(7, 2000, 100, 30), random_matrix(8, 20, 100, 20)
    segments = divided(documents, [0, 500, 500, 2000], SeismicIndex)
    wanted = ExactIndex(documents).search(queries, 10)
    same(search_segments(segments, queries, 10, exact=True), wanted)
    found = search_segments(segments, queries, 10)
    assert np.mean([np.isin(b, a).mean() for a, b in zip(found.rows, wanted.rows, strict=True)]) >= 0.9


def test_a_set_of_segments_that_changes_is_noticed():
    parts, query = [random_matrix(seed, 50, 30, 10) for seed in range(4)], random_matrix(9, 1, 30, 20)
    segments = [Part(part) for part in parts]
    for chosen in ([0, 1], [0, 1, 2, 3], [0, 3], [0], [2, 0]):
        wanted = ExactIndex(concatenate([parts[at] for at in chosen])).search(query, 30)
        same(search_segments([segments[at] for at in chosen], query, 30, exact=True), wanted)


def test_what_does_not_fit_is_refused():
    segments, queries = divided(random_matrix(10, 20, 40, 5), [0, 10, 20]), random_matrix(11, 1, 40, 5)
    with pytest.raises(MismatchError, match="query vectors over 30 terms, index over 40"):
        search_segments(segments, random_matrix(12, 1, 30, 5), 3)
    with pytest.raises(MismatchError, match="a choice among 9 documents, index of 10"):
        search_segments(segments, queries, 3, allowed=[None, Allowed(np.ones(9, np.bool_))])
    for k, threads in ((0, 1), (3, 0)):
        with pytest.raises(InputError):
            search_segments(segments, queries, k, threads=threads)


def test_no_segments_hold_nothing():
    found = search_segments([], random_matrix(13, 2, 40, 5), 3)
    assert found.rows.tolist() == [[-1], [-1]]
