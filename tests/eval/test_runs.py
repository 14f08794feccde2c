import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import fuse, load_qrels, read_run, write_msmarco_run, write_trec_run

RUN = {"1": [("a", 2.5), ("b", 1.0)], "2": [("c", 0.25)]}


def test_a_trec_run_comes_back_as_it_was(tmp_path):
    write_trec_run(tmp_path / "x.run", RUN)
    assert read_run(tmp_path / "x.run") == RUN
    (tmp_path / "x.run.gz").write_bytes(gzip.compress((tmp_path / "x.run").read_bytes()))
    assert read_run(tmp_path / "x.run.gz", {"1", "2"}, set("abc")) == RUN


def test_an_ms_marco_run_keeps_the_order(tmp_path):
    write_msmarco_run(tmp_path / "x.tsv", RUN)
    assert (tmp_path / "x.tsv").read_text() == "1\ta\t1\n1\tb\t2\n2\tc\t1\n"
    assert read_run(tmp_path / "x.tsv") == {"1": [("a", 1.0), ("b", 0.5)], "2": [("c", 1.0)]}


def test_results_are_sorted_by_score_and_rank_columns_are_ignored(tmp_path):
    (tmp_path / "x.run").write_text("1 Q0 a 1 0.5 x\n1 Q0 b 2 0.75 x\n")
    assert read_run(tmp_path / "x.run") == {"1": [("b", 0.75), ("a", 0.5)]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 Q0 a 1 2.5 x\n1 Q0 b 2 x\n", r"x.run, line 2: found 5 columns, wanted 6"),
        ("1 Q0 a 1 good x\n", r"line 1: found the score 'good' in column 5, wanted a number"),
        ("1 Q0 a 1 2 x\n1 Q0 b 1 nan x\n", r"line 2: the score is nan: wanted a finite number"),
        ("1 Q0 a 1 inf x\n", r"line 1: the score is inf"),
        ("1 Q0 a 1 2 x\n\n1 Q0 a 2 1 x\n", r"line 3: document 'a' was given before for query '1'"),
        ("9 Q0 a 1 2 x\n", r"line 1: unknown query '9'"),
        ("1 Q0 z 1 2 x\n", r"line 1: unknown document 'z'"),
        ("1\ta\t0\n", r"line 1: found the rank '0' in column 3"),
        ("1\ta\t1\n1 Q0 b 1 2 x\n", r"line 2: found 6 columns, wanted 3 as before"),
        ("\n", r"holds no results"),
    ],
)
def test_a_bad_line_is_named_with_its_number(tmp_path, content, message):
    (tmp_path / "x.run").write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "x.run", {"1"}, {"a", "b"})


def test_a_missing_run_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none.run"):
        read_run(tmp_path / "none.run")


def test_qrels_are_read_from_files_of_both_layouts(tmp_path):
    (tmp_path / "trec.txt").write_text("1 0 a 2\n1 0 b 0\n")
    (tmp_path / "beir.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t2\n1\tb\t0\n")
    assert load_qrels(tmp_path / "trec.txt") == load_qrels(tmp_path / "beir.tsv") == {"1": {"a": 2, "b": 0}}
    (tmp_path / "trec.txt").write_text("1 0 a 2\n1 0 a 1\n")
    with pytest.raises(InputError, match=r"trec.txt, line 2: grade 1 for query '1' and document 'a', which had 2"):
        load_qrels(tmp_path / "trec.txt")


def test_reciprocal_rank_fusion_adds_up_by_rank():
    fused = fuse([{"1": [("a", 9.0), ("b", 8.0)]}, {"1": [("b", 0.2)], "2": [("c", 1.0)]}])
    assert [name for name, _ in fused["1"]] == ["b", "a"]
    assert [score for _, score in fused["1"]] == pytest.approx([1 / 62 + 1 / 61, 1 / 61])
    assert [score for _, score in fused["2"]] == pytest.approx([1 / 61])


def test_min_max_and_linear_fusion_follow_their_formulas():
    runs = [{"1": [("a", 10.0), ("b", 6.0), ("c", 2.0)]}, {"1": [("b", 3.0), ("c", 3.0)]}]
    assert fuse(runs, "min-max", [1, 2]) == {"1": [("b", 2.5), ("c", 2.0), ("a", 1.0)]}
    assert fuse(runs, "linear", depth=2) == {"1": [("a", 10.0), ("b", 9.0)]}


scores = st.dictionaries(st.sampled_from("abcdef"), st.floats(0, 9), min_size=1)


@given(st.dictionaries(st.sampled_from("12"), scores.map(lambda hits: list(hits.items()))))
def test_a_run_fused_with_itself_keeps_its_order(run):
    from lsr.eval.conventions import trec_order

    fused = fuse([run, run])
    assert {query: [name for name, _ in hits] for query, hits in fused.items()} == {
        query: trec_order(hits) for query, hits in run.items()
    }


def test_wrong_numbers_of_runs_and_weights_are_refused():
    with pytest.raises(InputError, match="1 runs and 1 weights"):
        fuse([RUN])
    with pytest.raises(InputError, match="2 runs and 3 weights"):
        fuse([RUN, RUN], weights=[1, 2, 3])
    with pytest.raises(InputError, match="unknown method 'borda': wanted rrf, min-max, linear"):
        fuse([RUN, RUN], "borda")
