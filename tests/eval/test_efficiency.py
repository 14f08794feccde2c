import time

import numpy as np
import pytest

from lsr.errors import InputError
from lsr.eval import Subject, flops, measure_efficiency, shared_share
from lsr.index import ExactIndex
from lsr.sparse import SparseMatrix
from tests.conftest import random_matrix


def test_flops_equal_the_mean_number_of_shared_terms():
    queries, documents = random_matrix(1, 20, 40, 9), random_matrix(2, 30, 40, 15)
    pairs = [len(q.keys() & d.keys()) for q in queries.to_dicts() for d in documents.to_dicts()]
    assert flops(queries, documents) == pytest.approx(np.mean(pairs))
    with pytest.raises(InputError, match="wanted rows over one vocabulary"):
        flops(queries, random_matrix(2, 30, 41, 15))


def test_recall_counts_what_exact_search_finds():
    wanted = np.array([[1, 2, 3, 4], [5, 6, -1, -1], [-1, -1, -1, -1]])
    assert shared_share(wanted, wanted) == 1
    assert shared_share(np.array([[4, 9, 1, -1], [7, 5, -1, -1], [1, 2, 3, 4]]), wanted) == 0.5
    assert shared_share(wanted[2:], wanted[2:]) == 1


def subject(delay=0.0, found=None):
    documents = random_matrix(3, 50, 30, 12)
    exact = ExactIndex(documents)

    def encode(texts):
        time.sleep(delay)
        return SparseMatrix.from_dicts([{int(text) % 30: 1.0, 7: 0.5} for text in texts], 30)

    def search(vectors, k, threads):
        return exact.search(vectors, k).rows if found is None else np.full((len(vectors), k), found)

    return Subject(encode, search, lambda vectors, k: exact.search(vectors, k).rows)


def test_times_terms_and_recall_are_measured():
    found = measure_efficiency(subject(delay=0.002), [str(i) for i in range(8, 29)])
    assert found.encode_ms >= 2
    assert 0 < found.p50_us <= found.p95_us <= found.p99_us
    assert found.qps > 0
    assert (found.query_terms, found.recall, found.threads) == (2, 1, 1)


def test_a_search_that_finds_nothing_has_no_recall():
    assert measure_efficiency(subject(found=-1), ["8", "9"]).recall == 0


def test_no_queries_are_refused():
    with pytest.raises(InputError, match="0 queries on 1 threads"):
        measure_efficiency(subject(), [])
