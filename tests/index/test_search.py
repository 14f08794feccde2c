import inspect
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, MismatchError
from lsr.index import Allowed, ExactIndex, SeismicIndex, WindowedIndex, WindowedSettings
from lsr.index.engines import Engine
from lsr.index.windowed import group as windowed
from lsr.index.windowed.build import shape_of
from lsr.sparse import SparseMatrix
from tests import reference
from tests.conftest import random_matrix


def pairs(found, i):
    return [(r, s) for r, s in zip(found.rows[i].tolist(), found.scores[i].tolist(), strict=True) if r >= 0]


def expected(documents, queries, k):
    dicts = documents.to_dicts()
    return [reference.top_k(dicts, query, k) for query in queries.to_dicts()]


@pytest.mark.parametrize(("dim", "dtype"), [(40, np.float32), (70_000, np.uint8)])
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), k=st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_exact_search_equals_brute_force_with_ties_by_row(dim, dtype, seed, rows, k):
    documents = random_matrix(seed, rows, dim, 12, dtype, whole=True)
    queries = random_matrix(seed + 1, 5, dim, 12, whole=True)
    found = ExactIndex(documents).search(queries, k)
    assert [pairs(found, i) for i in range(len(queries))] == expected(documents, queries, k)


@pytest.mark.parametrize(("dim", "dtype"), [(40, np.float32), (70_000, np.uint8)])
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), k=st.integers(1, 70), cut=st.sampled_from([0.0, 0.04, 0.5]))
@settings(max_examples=60, deadline=None)
def test_exact_windowed_search_equals_brute_force_whatever_it_leaves_out(dim, dtype, seed, rows, k, cut):
    documents = random_matrix(seed, rows, dim, 12, dtype, whole=True)
    queries = random_matrix(seed + 1, 5, dim, 12, whole=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed, "EXACT_CUT", cut)
        found = WindowedIndex.build(documents).search(queries, k, exact=True)
    assert [pairs(found, i) for i in range(len(queries))] == expected(documents, queries, k)


@pytest.mark.parametrize("k", [1, 10, 500])
def test_exact_windowed_search_equals_the_oracle_over_several_windows(k):
    documents, queries = random_matrix(13, 150_000, 200, 8), random_matrix(14, 40, 200, 12)
    exact, found = (
        ExactIndex(documents).search(queries, k),
        WindowedIndex.build(documents).search(queries, k, exact=True),
    )
    assert found.rows.tolist() == exact.rows.tolist()
    assert found.scores.tolist() == exact.scores.tolist()


def test_long_queries_lose_nothing_to_rounding():
    documents, queries = random_matrix(17, 3000, 2000, 300), random_matrix(18, 10, 2000, 600)
    assert np.diff(queries.indptr).max() > 300
    exact, found = ExactIndex(documents).search(queries, 10), WindowedIndex.build(documents).search(queries, 10)
    assert recall(found, exact) >= 0.95


def test_light_matches_fill_the_places_that_heavy_ones_leave():
    documents = SparseMatrix.from_dicts([{1: 10.0}, {2: 0.1}, {3: 1.0}, {2: 0.2}], 5)
    found = WindowedIndex.build(documents).search(SparseMatrix.from_dicts([{1: 1.0, 2: 1.0}], 5), 4)
    assert [row for row, _ in pairs(found, 0)] == [0, 3, 1]


def test_queries_of_too_many_terms_are_refused():
    documents = random_matrix(22, 5, 40_000, 5)
    query = SparseMatrix.from_dicts([dict.fromkeys(range(33_000), 1.0)], 40_000)
    with pytest.raises(InputError, match="a query reads 33,000 posting lists: at most 32,766"):
        WindowedIndex.build(documents).search(query, 1)


def test_more_threads_give_the_same_results():
    documents, queries = random_matrix(19, 5000, 300, 30), random_matrix(20, 101, 300, 30)
    index = WindowedIndex.build(documents)
    one, three = index.search(queries, 10), index.search(queries, 10, threads=3)
    assert one.rows.tolist() == three.rows.tolist()
    assert one.scores.tolist() == three.scores.tolist()
    with pytest.raises(InputError, match="threads is 0"):
        index.search(queries, 10, threads=0)


def test_less_cut_and_more_effort_find_more():
    documents, queries = clustered(5000), clustered(50, seed=9)
    exact = ExactIndex(documents).search(queries, 10)
    low, high = (
        recall(WindowedIndex.build(documents, WindowedSettings(*knobs)).search(queries, 10), exact)
        for knobs in ((0.6, 0.3), (0.0, 2.0))
    )
    assert low < high
    assert high >= 0.999


def test_windows_hold_every_posting_once():
    documents = random_matrix(21, 140_000, 30, 6)
    windows = WindowedIndex.build(documents)._windows
    n_windows, width = shape_of(len(documents))
    assert n_windows == 3
    matrix = documents.to_scipy().tocsc()
    for term in range(30):
        rows, column = [], matrix[:, [term]].toarray()[:, 0]
        for window in range(n_windows):
            (group, at), (stop, _) = windows.heads[term * n_windows + window : term * n_windows + window + 2].astype(
                int
            )
            levels = (windows.groups[group:stop] >> 16).tolist()
            assert levels == sorted(set(levels), reverse=True)
            for entry in windows.groups[group:stop].tolist():
                members = windows.ids[at : at + (entry & 0xFFFF) + 1].astype(int) + window * width
                weights = column[members]
                step = windows.steps[term]
                assert (weights <= ((entry >> 16) + 1) * step).all()
                assert (weights >= (entry >> 16) * step * 0.9999).all()
                rows += members.tolist()
                at += members.size
        assert sorted(rows) == matrix.indices[matrix.indptr[term] : matrix.indptr[term + 1]].tolist()


def test_float_scores_equal_scipys_product():
    documents, queries = random_matrix(1, 500, 300, 40), random_matrix(2, 20, 300, 40)
    product = (queries.to_scipy() @ documents.to_scipy().T).toarray()
    found = ExactIndex(documents).search(queries, 10)
    for i in range(len(queries)):
        for row, score in pairs(found, i):
            assert score == pytest.approx(product[i, row], rel=1e-5)
        assert len(pairs(found, i)) == min(10, (product[i] > 0).sum())


def test_all_engines_give_a_document_the_same_float():
    documents, queries = random_matrix(3, 2000, 300, 40), random_matrix(4, 20, 300, 40)
    exact = ExactIndex(documents).search(queries, 2000)
    for engine in (SeismicIndex, WindowedIndex):
        found = engine.build(documents).search(queries, 10)
        for i in range(len(queries)):
            assert set(pairs(found, i)) <= set(pairs(exact, i))


def test_scaled_uint8_weights_score_as_their_values():
    raw = random_matrix(5, 300, 100, 20, np.uint8)
    scaled = SparseMatrix(raw.indptr, raw.terms, raw.weights, raw.dim, scale=0.25)
    plain = SparseMatrix(raw.indptr, raw.terms, scaled.values, raw.dim)
    queries = random_matrix(6, 10, 100, 20, whole=True)
    for engine in (ExactIndex, SeismicIndex.build, WindowedIndex.build):
        a, b = engine(scaled).search(queries, 5), engine(plain).search(queries, 5)
        assert a.rows.tolist() == b.rows.tolist()
        assert a.scores == pytest.approx(b.scores)


@pytest.mark.parametrize("engine", [SeismicIndex, WindowedIndex])
def test_recall_is_high_on_clustered_vectors(engine):
    documents, queries = clustered(3000), clustered(50, seed=9)
    exact = ExactIndex(documents).search(queries, 10)
    found = engine.build(documents).search(queries, 10)
    assert recall(found, exact) >= 0.95


def recall(found, exact):
    k = exact.rows.shape[1]
    return np.mean([len(set(a) & set(b)) / k for a, b in zip(found.rows.tolist(), exact.rows.tolist(), strict=True)])


def clustered(rows, seed=7, dim=2000):
    """Vectors around 30 topics, with weights that fall off as those of learned encoders do."""
    rng = np.random.default_rng(seed)
    topics = np.random.default_rng(0).integers(0, dim, (30, 60))
    dicts = []
    for _ in range(rows):
        terms = rng.choice(topics[rng.integers(30)], 30, replace=False)
        dicts.append({int(t): float(w) for t, w in zip(terms, rng.exponential(1, 30) + 0.01, strict=True)})
    return SparseMatrix.from_dicts(dicts, dim)


def blocks_of(index):
    return (index._windows if isinstance(index, WindowedIndex) else index._blocks)._asdict()


@pytest.mark.parametrize("engine", [SeismicIndex, WindowedIndex])
def test_the_index_is_equal_for_any_number_of_threads(monkeypatch, engine):
    documents = random_matrix(8, 2000, 5000, 40)
    built = []
    for cores in (1, 3):
        monkeypatch.setattr(os, "cpu_count", lambda cores=cores: cores)
        built.append(blocks_of(engine.build(documents)))
    assert all(np.array_equal(built[0][name], built[1][name]) for name in built[0])


@pytest.mark.parametrize("engine", [ExactIndex, SeismicIndex.build, WindowedIndex.build])
class TestOddInputs:
    def test_no_documents(self, engine):
        found = engine(random_matrix(0, 0, 40, 5)).search(random_matrix(1, 2, 40, 5), 3)
        assert (found.rows == -1).all()
        assert (found.scores == 0).all()

    def test_empty_query(self, engine):
        found = engine(random_matrix(0, 10, 40, 5)).search(SparseMatrix.from_dicts([{}], 40), 3)
        assert (found.rows == -1).all()

    def test_empty_documents_are_never_found(self, engine):
        documents = SparseMatrix.from_dicts([{}, {1: 1.0}, {}], 40)
        assert pairs(engine(documents).search(documents.slice(1, 2), 3), 0) == [(1, 1.0)]

    def test_one_term_queries(self, engine):
        documents = SparseMatrix.from_dicts([{1: 1.0}, {1: 2.0}, {2: 5.0}], 40)
        query = SparseMatrix.from_dicts([{1: 1.0}], 40)
        assert pairs(engine(documents).search(query, 2), 0) == [(1, 2.0), (0, 1.0)]

    def test_queries_over_another_vocabulary_are_refused(self, engine):
        with pytest.raises(MismatchError, match="query vectors over 41 terms, index over 40"):
            engine(random_matrix(0, 3, 40, 5)).search(random_matrix(1, 2, 41, 5), 3)

    def test_k_below_one_is_refused(self, engine):
        with pytest.raises(InputError, match="k is 0: wanted a whole number, at least 1"):
            engine(random_matrix(0, 3, 40, 5)).search(random_matrix(1, 2, 40, 5), 0)


@pytest.mark.parametrize("knobs", [(1.0, 1.0), (-0.1, 1.0), (0.1, 0.0)])
def test_windowed_settings_out_of_range_are_refused(knobs):
    with pytest.raises(InputError, match="wanted cut in"):
        WindowedSettings(*knobs)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_k_is_cut_to_the_number_of_documents(n):
    documents, queries = random_matrix(50, n, 40, 10), random_matrix(51, 4, 40, 10)
    allowed = Allowed(np.ones(n, bool))
    expected = ExactIndex(documents).search(queries, max(1, n))
    windowed = WindowedIndex.build(documents)
    for found in (
        ExactIndex(documents).search(queries, 10**12),
        windowed.search(queries, 10**12),
        windowed.search(queries, 10**12, exact=True),
        windowed.score(queries, 10**12, allowed),
        SeismicIndex.build(documents).search(queries, 10**12),
    ):
        assert found.rows.shape == found.scores.shape == (4, max(1, n))
        assert found.rows.tolist() == expected.rows.tolist()


@pytest.mark.parametrize("name", ["build", "load", "save", "search"])
def test_engines_have_one_signature(name):
    wanted = inspect.signature(getattr(Engine, name)).parameters
    for engine in (WindowedIndex, SeismicIndex, ExactIndex):
        found = inspect.signature(getattr(engine, name)).parameters
        assert [(one.name, one.kind) for one in found.values()] == [(one.name, one.kind) for one in wanted.values()]


@pytest.mark.parametrize("engine", [WindowedIndex, SeismicIndex, ExactIndex])
def test_every_engine_is_built_saved_and_loaded_in_the_same_way(engine, tmp_path):
    documents, queries = random_matrix(0, 50, 30, 8), random_matrix(1, 5, 30, 8)
    index = engine.build(documents)
    index.save(tmp_path)
    loaded = engine.load(tmp_path, documents, getattr(index, "settings", None))
    for exact in (False, True):
        one, other = index.search(queries, 3, exact=exact), loaded.search(queries, 3, exact=exact)
        assert one.rows.tolist() == other.rows.tolist()


@pytest.mark.parametrize("engine", [WindowedIndex, SeismicIndex, ExactIndex])
def test_no_queries_find_nothing_and_wrong_arguments_are_named(engine):
    documents = random_matrix(0, 50, 30, 8)
    index = engine.build(documents)
    assert index.search(SparseMatrix.from_dicts([], 30), 3).rows.shape == (0, 3)
    for arguments, match in (
        ({"k": True}, "k is True"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": "2"}, "threads is '2'"),
        ({"threads": 2**40}, "threads is 1099511627776"),
        ({"allowed": np.ones(50, np.bool_)}, "wanted Allowed"),
        ({"queries": documents.to_scipy()}, "wanted a SparseMatrix"),
    ):
        with pytest.raises(InputError, match=match):
            index.search(**{"queries": documents.slice(0, 2), "k": 3, **arguments})
