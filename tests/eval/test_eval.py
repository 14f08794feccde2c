import random
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import depth_of, evaluate, load_collection, parse_measures, run_queries, write_trec_run
from tests import reference
from tests.conftest import SAMPLE

grades = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(0, 3), min_size=1)
rankings = st.lists(st.sampled_from("abcdefghij"), unique=True, max_size=10)


@given(st.lists(st.tuples(grades, rankings), min_size=1, max_size=4))
def test_ndcg_equals_the_formula(queries):
    qrels = {str(i): graded for i, (graded, _) in enumerate(queries)}
    run = {str(i): [(d, 10.0 - rank) for rank, d in enumerate(r)] for i, (_, r) in enumerate(queries)}
    expected = [reference.ndcg(graded, ranking, 5) for graded, ranking in queries]
    found = evaluate(qrels, run, parse_measures(["nDCG@5"]))
    assert list(found.per_query["nDCG@5"].values()) == pytest.approx(expected)
    assert found.mean["nDCG@5"] == pytest.approx(sum(expected) / len(expected))


def test_queries_without_results_count_as_zero():
    qrels = {"1": {"a": 1}, "2": {"b": 1}, "3": {"c": 1}}
    found = evaluate(qrels, {"1": [("a", 1.0)], "2": []}, parse_measures(["nDCG@10", "R@100"]))
    assert found.mean == pytest.approx({"nDCG@10": 1 / 3, "R@100": 1 / 3})
    assert found.per_query["nDCG@10"] == {"1": 1.0, "2": 0.0, "3": 0.0}


def test_unjudged_queries_do_not_count():
    found = evaluate({"1": {"a": 1}}, {"1": [("a", 1.0)], "9": [("z", 1.0)]}, parse_measures(["RR@10"]))
    assert found.mean == {"RR@10": 1.0}


def test_depth_follows_the_measures():
    assert depth_of(parse_measures(["nDCG@10", "R@100"])) == 100
    assert depth_of(parse_measures(["nDCG@10", "AP"])) == 1000


@pytest.mark.parametrize("name", ["nDCG10", "bogus@3", "", "import os"])
def test_unknown_measures_are_refused(name):
    with pytest.raises(InputError, match="unknown measure"):
        parse_measures([name])


def test_the_sample_is_what_its_readme_says():
    collection = load_collection(SAMPLE)
    corpus = {d.id: d for d in _documents()}
    assert len(corpus) >= 200
    assert len(collection.queries) >= 80
    assert all(40 <= len(d.text.split()) <= 120 for d in corpus.values())
    assert {grade for graded in collection.qrels.values() for grade in graded.values()} == {1, 2}
    assert all(name in corpus for graded in collection.qrels.values() for name in graded)
    apart = [query for query in collection.queries if not _shared_words(collection, corpus, query)]
    assert len(apart) >= len(collection.queries) / 3


def _documents():
    from lsr.corpus import DocumentReader

    return DocumentReader([SAMPLE])


QUESTION_WORDS = set(reference.words("how what why when which who where do does can my from have has you your its"))


def _shared_words(collection, corpus, query):
    """Content words that a query shares with any of its best answers."""
    answers = [name for name, grade in collection.qrels[query].items() if grade == 2]
    found = set().union(*(reference.words(corpus[name].full_text) for name in answers))
    return (set(reference.words(collection.queries[query])) & found) - QUESTION_WORDS


def write_set(folder, **files):
    content = {
        "corpus.jsonl": '{"_id": "a", "text": "x"}\n',
        "queries.jsonl": '{"_id": "1", "text": "one"}\n{"_id": "2", "text": "unjudged"}\n',
        "qrels/test.tsv": "query-id\tcorpus-id\tscore\n1\ta\t2\n",
    }
    content |= {name.replace("__", "/"): text for name, text in files.items()}
    for name, text in content.items():
        if text is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    return folder


def test_folder_and_zip_hold_the_same(tmp_path):
    folder = write_set(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(tmp_path))
    a, b = load_collection(folder), load_collection(tmp_path / "set.zip")
    assert (a.queries, a.qrels, a.name) == (b.queries, b.qrels, b.name) == ({"1": "one"}, {"1": {"a": 2}}, "set")


def test_the_dev_split_is_taken_where_there_is_no_test_split(tmp_path):
    folder = write_set(tmp_path, **{"qrels__test.tsv": None, "qrels__dev.tsv": "q\tc\tscore\n2\ta\t1\n"})
    assert load_collection(folder).split == "dev"


def test_trec_qrels_are_read(tmp_path):
    folder = write_set(tmp_path, **{"qrels__test.tsv": "1\t0\ta\t2\n"})
    assert load_collection(folder).qrels == {"1": {"a": 2}}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"qrels__test.tsv": "query-id\tcorpus-id\tscore\n1\ta\tgood\n"}, "test.tsv, line 2: wanted query id"),
        ({"qrels__test.tsv": "query-id\tcorpus-id\tscore\n"}, "holds no judgements"),
        ({"qrels__test.tsv": "query-id\tcorpus-id\tscore\n7\ta\t1\n"}, "judged query '7' is not among the queries"),
        ({"queries.jsonl": '{"id": "1"}\n'}, "queries.jsonl, line 1: wanted the fields"),
        ({"queries.jsonl": "{\n"}, "queries.jsonl, line 1: not JSON"),
    ],
)
def test_a_malformed_collection_is_refused(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        load_collection(write_set(tmp_path, **files))


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        load_collection(tmp_path / "missing")
    folder = write_set(tmp_path / "set")
    with pytest.raises(InputError, match=r"no qrels/train.tsv; found test: choose one with --split"):
        load_collection(folder, "train")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(InputError, match=r"no queries.jsonl"):
        load_collection(folder)


def test_all_queries_are_asked_in_order():
    queries = {str(i): f"text {i}" for i in random.Random(0).sample(range(1000), 70)}
    told: list[int] = []
    run = run_queries(lambda texts, k: [[(text, float(k))] for text in texts], queries, 7, told.append)
    assert run == {name: [(text, 7.0)] for name, text in queries.items()}
    assert told == [32, 64, 70]


def test_runs_are_written_as_trec_lines(tmp_path):
    write_trec_run(tmp_path / "x.run", {"q": [("a", 2.5), ("b", 1.0)]})
    assert (tmp_path / "x.run").read_text() == "q Q0 a 1 2.5 lsr\nq Q0 b 2 1.0 lsr\n"


def test_ids_that_a_trec_run_cannot_hold_are_refused(tmp_path):
    with pytest.raises(InputError, match="'Ann Lee' has white space"):
        write_trec_run(tmp_path / "x.run", {"q": [("Ann Lee", 2.5)]})
    assert not (tmp_path / "x.run").exists()
