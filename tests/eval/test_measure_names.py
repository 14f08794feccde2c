"""Names of measures: understood, or refused before a program below ends the process."""

import math

import ir_measures
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import evaluate, parse_measures
from tests.conftest import outcome

QRELS = {"q": {"a": 1, "b": 2, "c": 0, "e": -1}, "2": {"c": 1}, "3": {"d": 0}, "4": {"x": -2}}
RUN = {"q": [("a", 3.0), ("z", 2.0), ("b", 1.0)], "2": [("y", 1.0)], "3": [("d", 1.0)], "4": [("x", 1.0)]}


@pytest.mark.parametrize(
    ("given", "name"),
    [
        *[("MRR@10", "RR@10"), ("map", "AP"), ("MAP@100", "AP@100"), ("mrr", "RR"), ("recip_rank", "RR")],
        *[("ndcg_cut_10", "nDCG@10"), ("ndcg_cut.10", "nDCG@10"), ("ndcg_at_10", "nDCG@10"), ("NDCG@10", "nDCG@10")],
        *[("recall_100", "R@100"), ("recall.5", "R@5"), ("P_10", "P@10"), ("p@5", "P@5"), ("precision_at_1", "P@1")],
        *[("map_cut_10", "AP@10"), ("ndcg", "nDCG"), ("Rprec", "Rprec"), ("bpref", "Bpref"), ("infap", "infAP")],
        *[("success_1", "Success@1"), ("hit_rate@10", "Success@10"), ("set_F", "SetF"), ("set_recall", "SetR")],
        *[("num_q", "NumQ"), ("num_rel_ret", "NumRet(rel=1)"), ("iprec_at_recall_0.10", "IPrec@0.1")],
        *[("ap(rel=2)@100", "AP(rel=2)@100"), ("IPrec@1", "IPrec@1.0"), ("SetF(beta=2)", "SetF(beta=2.0)")],
        *[("Accuracy@3", "Accuracy@3"), ("nDCG(gains={1:3})@10", "nDCG(gains={1:3})@10")],
    ],
)
def test_names_of_other_tools_are_understood(given, name):
    assert [str(measure) for measure in parse_measures([given])] == [name]


def test_several_measures_may_stand_in_one_word_and_count_once():
    found = parse_measures(["nDCG@10,R@100", "AP(rel=2, judged_only=True)@5 MRR", "RR"])
    assert [str(measure) for measure in found] == ["nDCG@10", "R@100", "AP(rel=2,judged_only=True)@5", "RR"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        *[(f"{name}@0", "cutoff is 0, wanted a whole number from 1") for name in ("P", "R", "AP", "nDCG", "Success")],
        *[("Judged@0", "cutoff is 0"), ("RR@0", "cutoff is 0"), ("nDCG@5.5", "cutoff is 5.5"), ("P@1e2", "is 100.0")],
        *[("Judged@True", "cutoff is True"), ("P@'a'", "cutoff is 'a'"), ("P@99999999999999999999", "up to|from 1 to")],
        *[("P", "it needs a cutoff, as P@10"), ("ERR", "it needs a cutoff, as ERR@10"), ("INST", "no program that is")],
        *[("INST(max_rel=2)", "no program that is installed"), ("Bpref@5", "it has no cutoff; it knows rel")],
        *[
            ("nDCG(bogus=1)", "it has no bogus"),
            ("AP(rel=0)", "rel is 0"),
            ("AP(rel=99999999999)", "rel is 99999999999"),
        ],
        *[("AP(judged_only=1)", "wanted True or False"), ("nDCG(dcg='x')@3", "'log2' or 'exp-log2'")],
        *[
            ("nDCG(gains={1:'a'})", "gains is"),
            ("nDCG(gains={1:2000000})", "gains is"),
            ("nDCG(gains={0:1})", "gains is"),
            ("Compat(p=1e308)", "p is"),
        ],
        *[("SetF(beta=1e300)", "beta is"), ("IPrec@5.5", "recall is 5.5"), ("IPrec@0.123", "two decimals")],
        *[("nDCG10", r"did you mean nDCG@10\?"), ("mrr10", r"did you mean RR@10\?"), ("nDGC@20", "mean nDCG@20")],
        *[("accuracy@1", "wanted names such as"), ("gm_map", "did you mean AP"), ("", "wanted names such as")],
        *[("(" * 300, "wanted names such as"), ("x" * 9999, "wanted names such as"), ("\0", "wanted names such as")],
    ],
)
def test_other_names_are_refused(name, fault):
    with pytest.raises(InputError, match=f"^unknown measure .*{fault}") as caught:
        parse_measures([name])
    assert len(str(caught.value)) < 300


def test_measures_that_were_never_parsed_are_checked_too():
    with pytest.raises(InputError, match="unknown measure"):
        evaluate(QRELS, RUN, [ir_measures.P @ 0])


CUTOFFS = ["", "@1", "@10", "@0", "@5.5", "@1e2", "@2147483647", "@4294967296", "@True", "@None", "@'a'"]
PARAMETERS = [
    *[
        "rel=0",
        "rel=2",
        "rel=1000000",
        "rel=5.5",
        "judged_only=True",
        "p=0.0",
        "p=1.0",
        "p=2.0",
        "beta=0.5",
        "beta=0.0",
    ],
    *["alpha=0.5", "max_rel=2", "max_rel=0", "dcg='exp-log2'", "gains={1:3}", "gains={1:1.5}", "recall=0.5", "T=1.0"],
    *["normalize=False", "relative=True", "bogus=1"],
]


@pytest.mark.parametrize("family", sorted(ir_measures.measures.registry))
def test_every_measure_with_odd_parameters_is_a_number_or_refused(family):
    names = [family + cutoff for cutoff in CUTOFFS]
    names += [f"{family}({one}){cutoff}" for one in PARAMETERS for cutoff in ("", "@5")]
    for name in names:
        found = outcome(lambda name=name: evaluate(QRELS, RUN, parse_measures([name])))
        values = [] if isinstance(found, str) else [*found.per_query.values()]
        assert all(math.isfinite(value) for own in values for value in own.values()), name


@settings(max_examples=60)
@given(st.text(alphabet="nDCGRPpAPmap@_.()=,{}:0159'\0é -", max_size=20))
def test_a_name_is_a_measure_or_refused(name):
    found = outcome(parse_measures, [name])
    assert found
    assert not isinstance(found, str) or "measure" in found


def test_sums_are_summed_and_others_averaged():
    names = ["NumQ", "NumRel", "NumRet", "NumRelRet", "P@2", "P(judged_only=True)@2", "nDCG(gains={1:9})@2", "nDCG@2"]
    found = evaluate(QRELS, RUN, parse_measures(names)).mean
    # 4 queries; a, b and c are relevant; 6 results, of which a and b are relevant
    assert [found[name] for name in ("NumQ", "NumRel", "NumRet", "NumRet(rel=1)")] == [4, 3, 6, 2]
    for one in parse_measures(names):  # each alone, as no neighbour can change it
        own = {query: dict(hits) for query, hits in RUN.items()}
        theirs = ir_measures.calc_aggregate([one], {**QRELS, "4": {"x": 0}}, own)[one]
        assert found[str(one)] == pytest.approx(theirs, abs=1e-12)


def test_queries_need_no_numbers_and_ids_may_hold_anything():
    for names in (("q", "x"), ("q\0a", "x\0a"), ("Ann Lee", "b c"), ("1-2", "ü")):
        query, document = names
        found = evaluate(
            {query: {document: 4}}, {query: [(document, 1.0)]}, parse_measures(["ERR@10", "RR@10", "nDCG"])
        )
        assert found.mean == {"ERR@10": 0.9375, "RR@10": 1.0, "nDCG": 1.0}
    found = evaluate({"q": {"x\0a": 1}}, {"q": [("x\0b", 2.0), ("x\0a", 1.0)]}, parse_measures(["RR@10", "RR"]))
    assert found.mean == {"RR@10": 0.5, "RR": 0.5}


@pytest.mark.parametrize(
    ("grade", "expected"),
    [(-2, 0.0), (-1, 0.0), (0, 0.0), (1, 1.0), (1000, 1.0), (1_000_000, 1.0), (-1_000_000, 0.0)],
)
def test_grades_of_trec_and_large_ones_are_measured(grade, expected):
    qrels = {"1": {"a": 1_000_000}, "2": {"a": grade}}  # a query of large grades before one that has none
    found = evaluate(qrels, {"1": [("a", 1.0)], "2": [("a", 1.0)]}, parse_measures(["nDCG@10", "nDCG", "AP", "Judged"]))
    assert [found.per_query[name]["2"] for name in ("nDCG@10", "nDCG", "AP")] == [expected] * 3
    assert found.per_query["Judged"]["2"] == 1.0


@pytest.mark.parametrize("grade", [2_000_000_000, 10**20, -(10**20), 1.5, "1", None])
def test_grades_beyond_the_programs_are_refused(grade):
    with pytest.raises(InputError, match="query '1', document 'a': found the grade"):
        evaluate({"1": {"a": grade}}, {"1": [("a", 1.0)]}, parse_measures(["nDCG@10"]))


def test_what_a_measure_cannot_take_is_said():
    with pytest.raises(InputError, match="ERR@10 takes grades up to 4, found 7"):
        evaluate({"1": {"a": 7}}, {"1": [("a", 1.0)]}, parse_measures(["ERR@10"]))
    with pytest.raises(InputError, match=r"cannot compute Accuracy here: .* leave the measure out"):
        evaluate({"1": {"a": 1}}, {"1": [("a", 1.0)]}, parse_measures(["Accuracy"]))


def test_a_query_without_judgements_is_nought():
    assert evaluate({"1": {}, "2": {"a": 1}}, {"1": [("a", 1.0)]}, parse_measures(["RR"])).mean == {"RR": 0.0}
