import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import (
    Evidence,
    alpha_ndcg,
    confidence_interval,
    convention,
    evaluate,
    explain_oddities,
    holm,
    intra_list_distance,
    load_collection,
    load_qrels,
    load_topics,
    oddities,
    parse_measures,
)
from lsr.eval.measures.significance import bootstrap_test, compare, t_test
from lsr.sparse import SparseMatrix
from tests.conftest import random_matrix

ALL_SETS = (
    "cacm cisi cranfield limit-small msmarco-dl19-pool nfcorpus-processed qnli-sent scifact vaswani xquad-en".split()
)
NAMES = ["nDCG@10", "nDCG", "AP", "AP(rel=2)", "R@100", "P@5", "Success@5", "Judged@10", "RR", "RR@10"]
QRELS = {"1": {"a": 1, "b": 2}, "2": {"c": 1}, "3": {"3": 0, "d": 1}}
TIED = {"1": [("a", 1.0), ("z", 1.0), ("b", 0.5)], "3": [("3", 2.0), ("d", 1.0)], "9": [("a", 1.0)]}


def random_run(qrels, seed=0, ties=False):
    """Rankings that mix judged documents with others."""
    rng = random.Random(seed)
    run = {}
    for query in list(qrels)[rng.randrange(2) :]:
        names = rng.sample(sorted(qrels[query]), min(8, len(qrels[query]))) + [f"other{i}" for i in range(60)]
        rng.shuffle(names)
        scores = [rng.randrange(9) if ties else rng.random() for _ in names]
        run[query] = sorted(zip(names, map(float, scores), strict=True), key=lambda hit: -hit[1])
    return run


@pytest.mark.parametrize("name", ALL_SETS)
def test_measures_equal_ir_measures_on_every_set(name, shared_collection):
    import ir_measures

    qrels = load_collection(shared_collection(name)).qrels
    run = random_run(qrels)
    measures = parse_measures(NAMES)
    found = evaluate(qrels, run, measures).mean
    expected = ir_measures.calc_aggregate(measures, qrels, {query: dict(ranking) for query, ranking in run.items()})
    assert found == pytest.approx({str(measure): value for measure, value in expected.items()}, abs=1e-6)


@pytest.mark.parametrize("name", ALL_SETS)
def test_measures_of_tied_runs_equal_trec_eval_on_every_set(name, shared_collection):
    import pytrec_eval

    theirs = {"nDCG@10": "ndcg_cut_10", "AP": "map", "R@100": "recall_100", "P@5": "P_5", "RR": "recip_rank"}
    qrels = load_collection(shared_collection(name)).qrels
    run = random_run(qrels, ties=True)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, set(theirs.values()))
    expected = evaluator.evaluate({query: dict(ranking) for query, ranking in run.items()})
    found = evaluate(qrels, run, parse_measures([*theirs, "RR@1000"])).per_query
    for ours, other in theirs.items():
        assert {query: found[ours][query] for query in run} == pytest.approx(
            {query: values[other] for query, values in expected.items()}, abs=1e-6
        )
    assert found["RR@1000"] == pytest.approx(found["RR"])


def test_equal_scores_go_to_the_larger_id_in_every_measure():
    found = evaluate({"1": {"a": 1}}, {"1": [("a", 1.0), ("z", 1.0)]}, parse_measures(["RR", "RR@10", "P@1"]))
    assert found.mean == {"RR": 0.5, "RR@10": 0.5, "P@1": 0.0}


def test_conventions_differ_in_missing_queries_and_self_hits():
    measures = parse_measures(["RR@10"])
    trec = evaluate(QRELS, TIED, measures)
    beir = evaluate(QRELS, TIED, measures, convention("beir"))
    assert trec.per_query["RR@10"] == {"1": 0.5, "2": 0.0, "3": 0.5}
    assert beir.per_query["RR@10"] == {"1": 0.5, "3": 1.0}
    assert trec.mean["RR@10"] == pytest.approx(1 / 3)
    assert beir.mean["RR@10"] == 0.75


def test_what_the_conventions_treat_differently_is_counted_and_said():
    found = oddities(QRELS, TIED)
    assert found == (1, 1, 1, 1, 0)
    assert explain_oddities(found, convention("trec")) == [
        "1 judged query without results: counted as 0; left out by beir",
        "1 query found the document of the query's own id: kept; taken out by beir",
        "1 query with documents of equal score: ordered by descending id, as in trec_eval",
        "1 query of the run without judgements: left out",
    ]


def test_scores_that_are_equal_as_float32_tie_as_in_trec_eval():
    qrels, run = {"1": {"a": 0, "b": 1}}, {"1": [("a", 1000000.02), ("b", 1000000.01)]}
    assert evaluate(qrels, run, parse_measures(["nDCG@10"])).mean["nDCG@10"] == 1.0
    assert oddities(qrels, run).ties == 1


def test_queries_that_nothing_can_answer_are_counted():
    qrels = {"1": {"a": 0}, "2": {"a": -1, "b": 1}}
    found = oddities(qrels, {"1": [("a", 1.0)], "2": [("b", 1.0)]})
    assert found.fruitless == 1
    assert explain_oddities(found, convention("trec")) == ["1 judged query without a relevant document: counted as 0"]


def test_an_unknown_convention_is_refused():
    with pytest.raises(InputError, match="unknown convention 'mteb': wanted trec or beir"):
        convention("mteb")


def test_a_run_of_another_set_is_refused():
    with pytest.raises(InputError, match="answers none of the 1 judged queries"):
        evaluate({"1": {"a": 1}}, {"2": []}, parse_measures(["RR"]), convention("beir"))


@pytest.mark.parametrize(
    ("name", "match"),
    [
        ("ILD@10", "ILD@10 needs document vectors, and a run has none"),
        ("alpha_nDCG@10", "alpha_nDCG@10 needs subtopics, and these judgements have none"),
    ],
)
def test_measures_that_need_more_than_grades_say_what(name, match):
    evidence = Evidence({"1": {"a": ["0"]}})
    with pytest.raises(InputError, match=match):
        evaluate({"1": {"a": 1}}, {"1": [("a", 1.0)]}, parse_measures([name]), evidence=evidence)


def test_measures_that_need_more_than_grades_are_computed_from_it():
    topics = {"1": {"a": ["x"], "b": ["x"], "c": ["y"]}, "2": {"a": ["z"]}}
    vectors = {"a": {0: 1.0}, "b": {0: 2.0}, "c": {1: 1.0}}
    evidence = Evidence(topics, lambda ids: SparseMatrix.from_dicts([vectors[name] for name in ids], 3))
    qrels = {"1": {"a": 1, "b": 1, "c": 1}, "2": {"a": 1}, "3": {"a": 0}}
    run = {"1": [("a", 3.0), ("b", 2.0), ("c", 1.0)], "2": [("b", 1.0), ("a", 0.5)], "3": []}
    names = ["alpha_nDCG@10", "alpha_nDCG(alpha=1)@2", "ILD@2", "nDCG@10"]
    found = evaluate(qrels, run, parse_measures(names), evidence=evidence)
    ranking = ["a", "b", "c"]
    assert found.per_query["alpha_nDCG@10"] == {
        "1": alpha_ndcg(ranking, topics["1"], 10),
        "2": alpha_ndcg(["b", "a"], topics["2"], 10),
        "3": 0.0,
    }
    assert found.per_query["alpha_nDCG(alpha=1.0)@2"]["1"] == alpha_ndcg(ranking, topics["1"], 2, 1.0)
    assert found.per_query["ILD@2"] == {"1": 0.0, "2": 0.0, "3": 0.0}
    three = evaluate(qrels, run, parse_measures(["ILD@3"]), evidence=evidence).per_query["ILD@3"]
    assert three["1"] == pytest.approx(2 / 3)
    assert set(found.mean) == {"alpha_nDCG@10", "alpha_nDCG(alpha=1.0)@2", "ILD@2", "nDCG@10"}


@pytest.mark.parametrize("name", ["ILD", "alpha_nDCG", "alpha_nDCG(rel=2)@10", "ILD(alpha=1)@3", "ILD@0"])
def test_a_wrong_parameter_of_such_a_measure_is_refused(name):
    with pytest.raises(InputError, match="unknown measure"):
        parse_measures([name])


def test_judgements_by_topic_give_topics_and_the_highest_grade(tmp_path):
    path = tmp_path / "qrels.txt"
    path.write_text("1 1 a 1\n1 2 a 2\n1 1 b 0\n1 3 c 1\n")
    assert load_qrels(path) == {"1": {"a": 2, "b": 0, "c": 1}}
    assert load_topics(path) == {"1": {"a": ["1", "2"], "c": ["3"]}}
    path.write_text("1 1 a 1\n1 1 a 2\n")
    with pytest.raises(InputError, match="grade 2 for query '1' and document 'a', which had 1 before"):
        load_topics(path)


def oracle_alpha_ndcg(ranking, topics, k, alpha):
    """Every topic of every rank, counted from the start each time."""

    def dcg(names):
        total = 0.0
        for at, name in enumerate(names[:k]):
            for topic in topics.get(name, ()):
                before = sum(topic in topics.get(other, ()) for other in names[:at])
                total += (1 - alpha) ** before / math.log2(at + 2)
        return total

    ideal: list[str] = []
    left = sorted(topics)
    while left and len(ideal) < k:
        scores = {name: dcg([*ideal, name]) for name in left}
        best = max(left, key=lambda name: scores[name])
        ideal.append(best)
        left.remove(best)
    return dcg(ranking) / dcg(ideal) if ideal and dcg(ideal) else 0.0


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.frozensets(st.sampled_from("xyz"), max_size=3)),
    st.permutations("abcdefgh"),
    st.integers(1, 8),
)
def test_alpha_ndcg_equals_the_formula(topics, ranking, k):
    assert alpha_ndcg(ranking, topics, k) == pytest.approx(oracle_alpha_ndcg(ranking, topics, k, 0.5), abs=1e-9)


def test_alpha_ndcg_rewards_a_new_topic_over_a_repeated_one():
    topics = {"a": ["x"], "b": ["x"], "c": ["y"]}
    assert alpha_ndcg(["a", "c", "b"], topics) == pytest.approx(1.0)
    assert alpha_ndcg(["a", "b", "c"], topics) < 1
    with pytest.raises(InputError, match="alpha 2: wanted k of at least 1"):
        alpha_ndcg([], topics, alpha=2)


@pytest.mark.parametrize("seed", range(5))
def test_intra_list_distance_equals_the_mean_over_pairs(seed):
    matrix = random_matrix(seed, rows=9, dim=30, most=8)
    dense = np.zeros(matrix.shape)
    for row, terms in enumerate(matrix.to_dicts()):
        dense[row, list(terms)] = list(terms.values())
    norms = np.linalg.norm(dense, axis=1)
    pairs = [
        1 - (dense[i] @ dense[j] / (norms[i] * norms[j]) if norms[i] * norms[j] else 0)
        for i in range(9)
        for j in range(9)
        if i != j
    ]
    assert intra_list_distance(matrix) == pytest.approx(np.mean(pairs))
    assert intra_list_distance(matrix.slice(0, 1)) == 0


def test_equal_documents_are_at_distance_nought():
    assert intra_list_distance(SparseMatrix.from_dicts([{1: 2.0, 3: 1.0}] * 3, 5)) == pytest.approx(0)


@pytest.mark.parametrize("seed", range(6))
def test_the_t_test_equals_scipy(seed):
    from scipy.stats import ttest_rel

    rng = np.random.default_rng(seed)
    a = rng.random(3 + 40 * seed)
    b = a + rng.normal(0.02 * seed, 0.1, a.size)
    assert t_test(b - a) == pytest.approx(ttest_rel(b, a).pvalue, rel=1e-9)


def test_the_bootstrap_agrees_with_the_t_test_on_many_queries():
    delta = np.random.default_rng(1).normal(0.02, 0.15, 400)
    assert bootstrap_test(delta) == pytest.approx(t_test(delta), abs=0.01)
    assert bootstrap_test(np.zeros(9)) == t_test(np.zeros(9)) == 1
    assert t_test(np.full(5, 0.25)) == 0


def test_holm_equals_a_worked_example():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )


def test_the_interval_holds_the_mean_and_narrows_with_queries():
    few = confidence_interval(np.random.default_rng(0).random(20))
    many = confidence_interval(np.random.default_rng(0).random(2000))
    assert few.low < few.mean < few.high
    assert many.high - many.low < (few.high - few.low) / 5
    assert many.high - many.low == pytest.approx(2 * 1.96 * (1 / 12 / 2000) ** 0.5, rel=0.05)
    with pytest.raises(InputError, match="0 values"):
        confidence_interval([])


def test_systems_are_compared_by_query():
    found = compare({"1": 0.1, "2": 0.5, "3": 0.5}, {"1": 0.4, "2": 0.5, "3": 0.3})
    assert (found.wins, found.losses, found.ties) == (1, 1, 1)
    assert found.delta.mean == pytest.approx(0.1 / 3)
    with pytest.raises(InputError, match="1 queries were measured for one system only"):
        compare({"1": 0.1}, {})


def test_values_of_own_measures_can_be_written_as_json():
    evidence = Evidence({"1": {"a": ["x"], "b": ["y"]}}, lambda ids: SparseMatrix.from_dicts([{0: 1.0}] * len(ids), 3))
    run = {"1": [("a", 2.0), ("b", 1.0)]}
    found = evaluate({"1": {"a": 1, "b": 1}}, run, parse_measures(["ILD@2", "alpha_nDCG@2"]), evidence=evidence)
    assert all(type(value) is float for values in found.per_query.values() for value in values.values())
    assert all(type(value) is float for value in found.mean.values())
