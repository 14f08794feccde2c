"""The Seismic-style engine against the oracle, and its arrays against what they promise."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError, MismatchError, VectorError
from lsr.index import Allowed, ExactIndex, IndexSettings, SeismicIndex, SeismicSettings
from lsr.index.seismic.build import records_in
from lsr.index.seismic.kernels import LOOKED
from tests import reference
from tests.conftest import random_matrix
from tests.index.test_search import blocks_of, clustered, expected, pairs, recall

# Reads every block of every query term and scores all that it meets: must then equal the oracle.
EVERYTHING = SeismicSettings(n_postings=10**6, max_fraction=10, query_cut=10**6, heap_factor=0, first_look=0)


@pytest.mark.parametrize(("dim", "dtype"), [(40, np.float32), (70_000, np.uint8)])
@given(seed=st.integers(0, 2**32), rows=st.integers(0, 60), k=st.integers(1, 70))
@settings(max_examples=40, deadline=None)
def test_seismic_that_reads_everything_equals_brute_force(dim, dtype, seed, rows, k):
    documents = random_matrix(seed, rows, dim, 12, dtype, whole=True)
    queries = random_matrix(seed + 1, 5, dim, 12, whole=True)
    found = SeismicIndex.build(documents, EVERYTHING).search(queries, k)
    assert [pairs(found, i) for i in range(len(queries))] == expected(documents, queries, k)


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 60), k=st.integers(1, 70), share=st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_documents_not_allowed_are_never_found_and_leave_their_places_to_others(seed, rows, k, share):
    documents, queries = random_matrix(seed, rows, 40, 12, whole=True), random_matrix(seed + 1, 5, 40, 12, whole=True)
    allowed = np.random.default_rng(seed).random(rows) < share
    found = SeismicIndex.build(documents, EVERYTHING).search(queries, k, allowed=Allowed(allowed))
    dicts = [row if ok else {} for row, ok in zip(documents.to_dicts(), allowed.tolist(), strict=True)]
    wanted = [reference.top_k(dicts, query, k) for query in queries.to_dicts()]
    assert [pairs(found, i) for i in range(len(queries))] == wanted


def test_signed_vectors_and_filters_of_another_size_are_refused():
    documents = random_matrix(1, 5, 40, 10)
    with pytest.raises(MismatchError, match="a choice among 4 documents, index of 5"):
        SeismicIndex.build(documents).search(documents, 3, allowed=Allowed.of_rows([], 4))
    with pytest.raises(VectorError, match="the seismic engine takes none, use the windowed one"):
        SeismicIndex.build(random_matrix(1, 5, 40, 10, signed=True))


def test_more_threads_give_the_same_results():
    documents, queries = clustered(3000), clustered(101, seed=9)
    index = SeismicIndex.build(documents)
    one, three = index.search(queries, 10), index.search(queries, 10, threads=3)
    single = [index.search(queries.slice(i, i + 1), 10).rows[0].tolist() for i in range(len(queries))]
    assert one.rows.tolist() == three.rows.tolist() == single
    assert one.scores.tolist() == three.scores.tolist()
    with pytest.raises(InputError, match="threads is 0"):
        index.search(queries, 10, threads=0)


def test_queries_follow_each_other_without_a_trace():
    documents, queries = clustered(400), clustered(600, seed=9)
    index = SeismicIndex.build(documents, EVERYTHING)
    once = index.search(queries, 5).rows.tolist()
    index.search(queries, 500)
    assert index.search(queries, 5).rows.tolist() == once


def test_short_and_long_queries_find_the_same_as_the_oracle():
    documents = random_matrix(17, 100, 70_000, 300)
    reaching = replace(EVERYTHING, query_cut=2000)  # so many lists of a query hold every document
    indexes = ExactIndex(documents), SeismicIndex.build(documents, reaching)
    for terms in (3, 300, 66_000):
        queries = random_matrix(18, 2, 70_000, terms)
        exact, found = (index.search(queries, 10) for index in indexes)
        assert found.rows.tolist() == exact.rows.tolist()
        assert found.scores.tolist() == exact.scores.tolist()


def test_negative_query_weights_count_in_the_scores():
    documents, queries = random_matrix(15, 500, 100, 20), random_matrix(16, 20, 100, 12, signed=True)
    exact = ExactIndex(documents).search(queries, 500)
    found = SeismicIndex.build(documents).search(queries, 10)
    assert all(set(pairs(found, i)) <= set(pairs(exact, i)) for i in range(20))


@pytest.mark.parametrize("knob", [("heap_factor", 1.0, 0.1), ("first_look", 1.0, 0.5), ("query_cut", 1, 12)])
def test_safer_settings_find_more(knob):
    name, fast, safe = knob
    documents, queries = clustered(5000), clustered(50, seed=9)
    exact = ExactIndex(documents).search(queries, 10)
    index = SeismicIndex.build(documents, SeismicSettings(n_postings=20, max_fraction=2))
    found = []
    for value in (fast, safe):
        index.settings = SeismicSettings(**{"query_cut": 4, name: value})
        found.append(recall(index.search(queries, 10), exact))
    assert found[0] < found[1]


def test_settings_of_an_index_that_held_neighbours_are_read():
    kept = {**IndexSettings("seismic").to_dict(), "n_knn": 4}
    assert IndexSettings.from_dict(kept) == IndexSettings("seismic")


def test_a_loaded_index_answers_as_the_saved_one(tmp_path: Path):
    documents, queries = clustered(500), clustered(20, seed=9)
    index = SeismicIndex.build(documents, SeismicSettings(query_cut=3))
    index.save(tmp_path)
    loaded = SeismicIndex.load(tmp_path, documents, index.settings)
    assert loaded.search(queries, 10).rows.tolist() == index.search(queries, 10).rows.tolist()


@pytest.mark.parametrize("name", ["lists", "starts", "postings", "tables", "buckets", "runs", "steps", "records"])
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, name):
    documents = clustered(200)
    SeismicIndex.build(documents).save(tmp_path)
    array = np.load(tmp_path / f"blocks.{name}.npy")
    if name == "postings":
        array[3] = 200
    np.save(tmp_path / f"blocks.{name}.npy", array if name == "postings" else array[:-1])
    with pytest.raises(ValueError, match=r"fit|points to|wanted"):
        SeismicIndex.load(tmp_path, documents, SeismicSettings())


def test_another_seed_gives_other_blocks():
    documents = random_matrix(8, 2000, 50, 40)
    first, second = (blocks_of(SeismicIndex.build(documents, SeismicSettings(seed=seed))) for seed in (1, 2))
    assert not np.array_equal(first["starts"], second["starts"])


def test_blocks_hold_each_posting_once_with_rows_ascending():
    documents = random_matrix(10, 1500, 60, 30)
    blocks = SeismicIndex.build(documents, EVERYTHING)._blocks
    inverted: list[set[int]] = [set() for _ in range(60)]
    for row, terms in enumerate(documents.to_dicts()):
        for term in terms:
            inverted[term].add(row)
    for term in range(60):
        first, last = blocks.lists[term], blocks.lists[term + 1]
        rows = blocks.postings[blocks.starts[first] : blocks.starts[last]].tolist()
        assert len(rows) == len(set(rows))
        assert set(rows) == inverted[term]
        for block in range(first, last):
            assert (np.diff(blocks.postings[blocks.starts[block] : blocks.starts[block + 1]].astype(int)) > 0).all()


def test_lists_are_pruned_to_their_heaviest_documents():
    documents = random_matrix(11, 400, 20, 20)
    pruned = SeismicSettings(n_postings=5, max_fraction=1)
    blocks = SeismicIndex.build(documents, pruned)._blocks
    dicts = documents.to_dicts()
    for term in range(20):
        first, last = blocks.lists[term], blocks.lists[term + 1]
        kept = blocks.postings[blocks.starts[first] : blocks.starts[last]].tolist()
        heaviest = sorted(((-d[term], row) for row, d in enumerate(dicts) if term in d))[: len(kept)]
        assert len(kept) <= 5
        assert set(kept) == {row for _, row in heaviest}


def summaries_of(index, term):
    """{(term, block of the list): value} from the index's arrays."""
    blocks = index._blocks
    table, stop = blocks.tables[term], blocks.tables[term + 1]
    size = int(stop - table)
    found: dict[tuple[int, int], float] = {}
    for j in range(size):
        at = int(blocks.buckets[table + j, 1])
        for run in blocks.runs[blocks.buckets[table + j, 0] : blocks.buckets[table + j + 1, 0]].tolist():
            for entry in blocks.entries[at : at + (run & 255) + 1].tolist():
                found[(run >> 8) * size + j, entry >> 5] = (entry & 31) * float(blocks.steps[term])
            at += (run & 255) + 1
    return found


def test_a_summary_keeps_its_share_of_the_largest_weights():
    documents = random_matrix(12, 800, 80, 30)
    index = SeismicIndex.build(documents, SeismicSettings(summary_energy=0.5))
    blocks, dicts = index._blocks, documents.to_dicts()
    for list_ in range(0, 80, 7):
        kept = summaries_of(index, list_)
        for block in range(blocks.lists[list_], blocks.lists[list_ + 1]):
            largest: dict[int, float] = {}
            for row in blocks.postings[blocks.starts[block] : blocks.starts[block + 1]].tolist():
                for term, weight in dicts[row].items():
                    largest[term] = max(weight, largest.get(term, 0))
            mine = {t: v for (t, b), v in kept.items() if b == block - blocks.lists[list_]}
            step = float(blocks.steps[list_])
            assert all(mine[t] == pytest.approx(max(largest[t], step), abs=0.51 * step) for t in mine)
            assert sum(largest[t] for t in mine) >= 0.499 * sum(largest.values())
            assert (
                min(largest[t] for t in mine) >= max([w for t, w in largest.items() if t not in mine], default=0) * 0.98
            )


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_a_record_holds_the_heaviest_terms(dtype):
    documents = random_matrix(30, 50, 70_000, 150, dtype)
    index = SeismicIndex.build(documents)
    terms, weights, scales = records_in(index._records)
    assert index._records.ctypes.data % 64 == 0
    for row in range(50):
        own, values = documents.row(row)
        heaviest = dict(zip((own & 0xFFFF).tolist(), values.tolist(), strict=True))
        codes = weights[row * 192 + 120 : row * 192 + 180].astype(np.float32)
        seen = terms[row * 96 : row * 96 + 60][codes > 0].tolist()
        step = float(scales[row * 48 + 47])
        assert len(seen) == min(own.size, LOOKED)
        for term, code in zip(seen, codes[codes > 0].tolist(), strict=True):
            assert code * step == pytest.approx(heaviest.pop(term), abs=0.51 * step)
        assert max(heaviest.values(), default=0) <= codes[codes > 0].min() * step + 1.01 * step


@pytest.mark.parametrize(
    "change",
    [{"summary_energy": 0}, {"heap_factor": 2}, {"query_cut": 0}, {"n_postings": -1}, {"first_look": 2}, {"seed": -1}],
)
def test_settings_out_of_range_are_refused(change):
    with pytest.raises(InputError, match="wanted"):
        SeismicSettings(**change)
