import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, MismatchError
from lsr.index import Allowed, ExactIndex, WindowedIndex, WindowedSettings
from lsr.index.windowed import group as windowed
from lsr.sparse import SparseMatrix
from tests import reference
from tests.conftest import random_matrix

ALL_SUMS = WindowedSettings(cut=0, effort=100)


def pairs(found, i):
    return [(r, s) for r, s in zip(found.rows[i].tolist(), found.scores[i].tolist(), strict=True) if r >= 0]


def expected(documents, queries, k, mask=None):
    dicts = [row if mask is None or mask[i] else {} for i, row in enumerate(documents.to_dicts())]
    return [reference.top_k(dicts, query, k) for query in queries.to_dicts()]


@given(
    seed=st.integers(0, 2**32),
    rows=st.integers(0, 60),
    k=st.integers(1, 70),
    share=st.sampled_from([0.0, 0.1, 0.7, 1.0]),
    cut=st.sampled_from([0.0, 0.04, 0.5]),
)
@settings(max_examples=60, deadline=None)
def test_exact_search_finds_the_best_of_the_documents_allowed(seed, rows, k, share, cut):
    documents = random_matrix(seed, rows, 40, 12, whole=True)
    queries = random_matrix(seed + 1, 5, 40, 12, whole=True)
    allowed = Allowed(np.random.default_rng(seed).random(rows) < share)
    index = WindowedIndex.build(documents)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed, "EXACT_CUT", cut)
        found = index.search(queries, k, exact=True, allowed=allowed)
    wanted = expected(documents, queries, k, allowed.mask)
    assert [pairs(found, i) for i in range(5)] == wanted
    scored = index.score(queries, k, allowed)
    assert [pairs(scored, i) for i in range(5)] == wanted
    approximate = index.search(queries, k, allowed=allowed, settings=ALL_SUMS)
    assert [pairs(approximate, i) for i in range(5)] == wanted


@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), k=st.integers(1, 70), cut=st.sampled_from([0.0, 0.04, 0.5]))
@settings(max_examples=60, deadline=None)
def test_exact_search_of_signed_vectors_equals_brute_force(seed, rows, k, cut):
    documents = random_matrix(seed, rows, 40, 12, whole=True, signed=True)
    queries = random_matrix(seed + 1, 5, 40, 12, whole=True, signed=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windowed, "EXACT_CUT", cut)
        found = WindowedIndex.build(documents).search(queries, k, exact=True)
    assert [pairs(found, i) for i in range(5)] == expected(documents, queries, k)


@pytest.mark.parametrize("terms", [12, 120])  # sums in bytes, and in uint16
def test_approximate_search_of_signed_vectors_finds_nearly_all(terms):
    documents = random_matrix(1, 4000, 300, 60, signed=True)
    queries = random_matrix(2, 40, 300, terms, signed=True)
    exact = ExactIndex(documents).search(queries, 10)
    index = WindowedIndex.build(documents)
    assert recall(index.search(queries, 10, settings=WindowedSettings(0.05, 3)), exact) >= 0.95
    assert recall(index.search(queries, 10, settings=WindowedSettings(0.0, 10)), exact) >= 0.99


def test_sums_of_signed_vectors_never_wrap_around():
    # Every document has every term with its largest weight: sums reach both ends of their range.
    full = dict.fromkeys(range(60), 1.0)
    documents = SparseMatrix.from_dicts([full, {t: -w for t, w in full.items()}, {**full, 0: -1.0}], 60)
    queries = SparseMatrix.from_dicts([full, dict.fromkeys(full, -1.0), {t: (-1.0) ** t for t in full}], 60)
    found = WindowedIndex.build(documents).search(queries, 3, settings=ALL_SUMS)
    assert [pairs(found, i) for i in range(2)] == [[(0, 60.0), (2, 58.0)], [(1, 60.0)]]


def test_negative_query_weights_count_over_positive_documents():
    documents, queries = random_matrix(15, 2000, 100, 20), random_matrix(16, 20, 100, 12, signed=True)
    exact, index = ExactIndex(documents).search(queries, 10), WindowedIndex.build(documents)
    assert index.search(queries, 10, exact=True).rows.tolist() == exact.rows.tolist()
    assert recall(index.search(queries, 10), exact) >= 0.9


def test_a_million_terms_are_no_burden():
    documents, queries = random_matrix(3, 3000, 10**6, 30), random_matrix(4, 20, 10**6, 30)
    probes = SparseMatrix.from_dicts([*documents.slice(0, 20).to_dicts(), *queries.to_dicts()], 10**6)
    exact = ExactIndex(documents).search(probes, 5)
    index = WindowedIndex.build(documents)
    for mode in (True, False):
        found = index.search(probes, 5, exact=mode)
        assert found.rows.tolist() == exact.rows.tolist()
        assert found.scores.tolist() == exact.scores.tolist()


def test_float_weights_keep_their_scores():
    documents, queries = random_matrix(5, 2000, 300, 40), random_matrix(6, 20, 300, 20)
    product = (queries.to_scipy() @ documents.to_scipy().T).toarray()
    found = WindowedIndex.build(documents).search(queries, 10)
    for i in range(len(queries)):
        for row, score in pairs(found, i):
            assert score == pytest.approx(product[i, row], rel=1e-6)


def test_filtered_search_over_several_windows_equals_the_oracle():
    documents, queries = random_matrix(7, 140_000, 200, 8), random_matrix(8, 20, 200, 12)
    allowed = Allowed.of_rows(np.arange(3, 140_000, 7), 140_000)
    dropped = ExactIndex(documents).search(queries, 10, allowed=allowed)
    assert (dropped.rows[dropped.rows >= 0] % 7 == 3).all()
    found = WindowedIndex.build(documents).search(queries, 10, exact=True, allowed=allowed)
    assert found.rows.tolist() == dropped.rows.tolist()


def test_filters_are_refused_that_do_not_fit():
    index = WindowedIndex.build(random_matrix(9, 10, 40, 5))
    with pytest.raises(MismatchError, match="a choice among 9 documents, index of 10"):
        index.search(random_matrix(10, 1, 40, 5), 3, allowed=Allowed(np.ones(9, np.bool_)))
    with pytest.raises(InputError, match="row 10: wanted 0 to 9"):
        Allowed.of_rows([1, 10], 10)
    for rows in (np.ones(10, np.bool_), [0.7], ["1"]):
        with pytest.raises(InputError, match="wanted whole numbers"):
            Allowed.of_rows(rows, 10)
    assert Allowed([True, False]).rows.tolist() == [0]  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"a mask of int64\[10\]: wanted one bool a document"):
        Allowed(np.ones(10, np.int64))


def recall(found, exact):
    """Share of the true rows that were found."""
    shares = [np.isin(b[b >= 0], a).mean() for a, b in zip(found.rows, exact.rows, strict=True) if b[0] >= 0]
    return np.mean(shares)


@pytest.mark.parametrize("threads", [1, 2])
def test_signed_vectors_fill_k(threads):
    """Rounded sums hide documents whose terms nearly cancel out: what is missing is searched exactly."""
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows, k = int(rng.integers(5, 200)), int(rng.integers(1, 60))
        documents, queries = (
            random_matrix(seed, rows, 40, 20, signed=True),
            random_matrix(seed + 1, 10, 40, 15, signed=True),
        )
        allowed = Allowed(rng.random(rows) < 0.7) if seed % 2 else None
        found = WindowedIndex.build(documents).search(queries, k, threads=threads, allowed=allowed)
        exact = ExactIndex(documents).search(queries, k, allowed=allowed)
        assert ((found.rows >= 0).sum(1) == (exact.rows >= 0).sum(1)).all()
        assert (found.rows >= -1).all()
