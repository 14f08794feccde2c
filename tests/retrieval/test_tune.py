import shutil

import pytest

from lsr.corpus import DocumentReader
from lsr.encoders import load
from lsr.errors import InputError
from lsr.index import IndexSettings
from lsr.index.plan import Point, Tuning, settings_for
from lsr.retrieval import Searcher, index_documents, tune
from tests.conftest import SAMPLE


@pytest.fixture
def folder(sample_index, tmp_path):
    """A copy of the sample's index that a test may change."""
    return shutil.copytree(sample_index, tmp_path / "index")


def test_the_frontier_and_settings_are_kept_and_used(folder):
    queries = [query.text for query in DocumentReader([SAMPLE / "queries.jsonl"])]
    seen = []
    tuning, settings = tune(
        Searcher.open(folder), 0.9, queries, progress=lambda done, total: seen.append((done, total))
    )
    assert settings is not None
    assert seen[-1][0] == seen[-1][1] > 250
    reopened = Searcher.open(folder)
    assert reopened.generation.summary.about.tuning == tuning
    assert {**reopened.generation.summary.about.settings, **settings} == reopened.generation.summary.about.settings
    for point in tuning.points:
        assert 0 <= point.low <= point.recall <= point.high <= 1
        assert 0 < point.p50_us <= point.p99_us
    exact = reopened.search("how do bees find flowers", exact=True)
    assert reopened.search("how do bees find flowers", recall=1.0) == exact


def test_queries_are_made_from_documents_where_none_are_given(folder):
    tuning, _ = tune(Searcher.open(folder), 0.9, at_most=40)
    assert (tuning.queries, tuning.source) == (20, "titles and first words of documents")


def test_the_other_engine_is_tuned_as_well(tmp_path):
    index_documents(DocumentReader([SAMPLE]), load("bm25"), tmp_path / "index", IndexSettings("seismic"))
    tuning, _ = tune(Searcher.open(tmp_path / "index"), 0.9, at_most=40)
    assert all("query_cut" in point.settings for point in tuning.points)


def test_too_few_queries_are_refused(folder):
    with pytest.raises(InputError, match="2 queries with a known term: wanted 20 or more"):
        tune(Searcher.open(folder), 0.9, ["bees", "flowers", "xyzzy"])


@pytest.mark.parametrize("recall", [0, -1, 1.01, float("nan")])
def test_shares_that_are_none_are_refused(searcher, recall):
    with pytest.raises(InputError, match="wanted a share above 0 and at most 1"):
        searcher.search("bees", recall=recall)
    with pytest.raises(InputError, match="wanted a share above 0 and at most 1"):
        tune(searcher, recall)


def test_exact_and_recall_exclude_each_other(searcher):
    with pytest.raises(InputError, match="exact and recall exclude each other"):
        searcher.search("bees", exact=True, recall=0.9)


FIGURES = ((10, 3, 0.9, 5), (10, 2, 0.96, 7), (100, 1, 0.99, 9))
TUNING = Tuning(100, "test", [Point(k, {"cut": cut}, r, r, r, us, us) for k, cut, r, us in FIGURES])


class TestSettingsFor:
    def test_the_fastest_that_reaches_the_recall_is_taken(self):
        assert settings_for(0.8, 10, TUNING, ()) == {"cut": 3}
        assert settings_for(0.95, 10, TUNING, ()) == {"cut": 2}

    def test_what_none_reaches_is_exact(self):
        assert settings_for(0.97, 10, TUNING, ()) is None

    def test_the_next_larger_k_that_was_measured_counts(self):
        assert settings_for(0.95, 11, TUNING, ()) == {"cut": 1}
        assert settings_for(0.95, 1000, TUNING, ()) == {"cut": 1}

    def test_without_measurements_the_guesses_count(self):
        guesses = ((0.9, {"cut": 3}), (0.99, {"cut": 1}))
        assert settings_for(0.95, 10, None, guesses) == {"cut": 1}
        assert settings_for(0.999, 10, None, guesses) is None
