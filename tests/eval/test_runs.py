import gzip
from contextlib import nullcontext
from typing import cast

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import (
    fuse,
    load_qrels,
    read_run,
    write_ground_truth_run,
    write_msmarco_run,
    write_run,
    write_trec_run,
)
from tests.conftest import outcome

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
    from lsr.eval.runs.conventions import trec_order

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


SPACED = {"Ann Lee": [("b c", 2.5), ("d", -0.25)], "2": [("e\u00a0f", 1e-300)]}


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
def test_a_json_run_keeps_scores_and_any_id(tmp_path, name):
    write_run(tmp_path / name, SPACED)
    assert read_run(tmp_path / name) == SPACED
    assert read_run(tmp_path / name, {"Ann Lee", "2"}, {"b c", "d", "e\u00a0f"}) == SPACED
    with pytest.raises(InputError, match=r"query 'Ann Lee': unknown query 'Ann Lee'"):
        read_run(tmp_path / name, {"2"})


@pytest.mark.parametrize("name", ["x.tsv", "x.tsv.gz"])
def test_an_ms_marco_run_keeps_ids_with_spaces(tmp_path, name):
    write_run(tmp_path / name, SPACED)
    assert read_run(tmp_path / name) == {"Ann Lee": [("b c", 1.0), ("d", 0.5)], "2": [("e\u00a0f", 1.0)]}


@pytest.mark.parametrize("name", ["x.run", "x.run.gz", "x"])
def test_a_trec_run_refuses_them_and_names_the_forms_that_do_not(tmp_path, name):
    with pytest.raises(InputError, match=r"'Ann Lee' has white space, .*call the file .tsv .* or .json"):
        write_run(tmp_path / name, SPACED)
    assert not (tmp_path / name).exists()
    write_run(tmp_path / name, {"2": SPACED["2"]})  # a space that does not break separates nothing
    assert read_run(tmp_path / name) == {"2": SPACED["2"]}


@pytest.mark.parametrize("bad", ["a\tb", "a\nb", "a\rb", "a\0b", "\ud800", ""])
def test_ids_that_a_form_cannot_hold_are_refused(tmp_path, bad):
    for name in ("x.run", "x.tsv", "x.json"):
        keeps = name == "x.json" and bad in ("a\tb", "a\nb", "a\rb")
        with nullcontext() if keeps else pytest.raises(InputError, match=r"the id|found the id"):
            write_run(tmp_path / name, {"q": [(bad, 1.0)]})
        assert not keeps or read_run(tmp_path / name) == {"q": [(bad, 1.0)]}


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_scores_that_no_file_keeps_are_refused(tmp_path, score):
    for name in ("x.run", "x.json"):
        with pytest.raises(InputError, match=r"query 'q', document 'a': the score is .* wanted a finite number"):
            write_run(tmp_path / name, {"q": [("a", score)]})


def test_scores_of_numpy_are_written_as_numbers(tmp_path):
    for name in ("x.run", "x.json"):
        write_run(tmp_path / name, {"q": [("a", cast(float, np.float32(2.5)))]})
        assert read_run(tmp_path / name) == {"q": [("a", 2.5)]}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"q\tQ0\td\t1\t2.0\tx\n", {"q": [("d", 2.0)]}),
        (b"q \t Q0   d 1  2.0 x  \r\n", {"q": [("d", 2.0)]}),
        (b"Ann Lee\tQ0\tb c\t1\t2.0\tx\n", {"Ann Lee": [("b c", 2.0)]}),
        (b"q\tQ0\td\t1\t2.0\tx\nq Q0 e 2 1.0 x\n", {"q": [("d", 2.0), ("e", 1.0)]}),
        ("q Q0 d\u00a01 1 2.0 x\n".encode(), {"q": [("d\u00a01", 2.0)]}),
        ("q Q0 d\u20281 1 2.0 x\n".encode(), {"q": [("d\u20281", 2.0)]}),
        (b"\xef\xbb\xbfq Q0 d 1 2.0 x\n\n  \nq Q0 e 2 -1e-3 x", {"q": [("d", 2.0), ("e", -0.001)]}),
        (b"q d 1\nq e 2\n", {"q": [("d", 1.0), ("e", 0.5)]}),
        (b"q\td\t100000000000000000\n", {"q": [("d", 1e-17)]}),
    ],
)
def test_columns_are_divided_as_trec_eval_does_or_at_tabs(tmp_path, content, expected):
    (tmp_path / "x.run").write_bytes(content)
    assert read_run(tmp_path / "x.run") == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"q Q0 d 1 2 x\nq Q0 caf\xe9 1 2 x\n", r"x.run, line 2: not UTF-8 \(byte 0xe9 at position 8\); convert"),
        (b"q\td\t" + b"1" * 5000, r"line 1: found the rank '1{50,} in column 3, wanted a whole number from 1"),
        (b"q\td\t1_0", r"line 1: found the rank '1_0'"),
        ("q\td\t٣".encode(), r"line 1: found the rank '٣'"),
        (b"q Q0 d 1 1_000 x", r"line 1: found the score '1_000' in column 5, wanted a number"),
        ("q Q0 d 1 ٣ x".encode(), r"line 1: found the score '٣'"),
        (b"q Q0 d 1 0x1p3 x", r"line 1: found the score '0x1p3'"),
        (b"q Q0 d 1 1e400 x", r"line 1: the score is inf: wanted a finite number"),
        (b"q Q0 d 1 -Infinity x", r"line 1: the score is -inf"),
        (b"q Q0 d 1 " + b"9" * 5000 + b" x", r"line 1: found the score"),
        (b"q Q0 d 1 2 x\rq Q0 e 2 1 x\nq Q0 f 3 0 x\n", r"line 1: found a carriage return inside the line"),
        (b"q\0a Q0 d 1 2 x\n", r"line 1: found a NUL character"),
        (b"\tQ0\td\t1\t2.0\tx\n", r"line 1: found an empty id"),
        (b"q\t\t1\n", r"line 1: found an empty id"),
        (b"", r"holds no results"),
        (b"\xff\xfeq\0 \0", r"found text in UTF-16"),
    ],
)
def test_odd_bytes_and_numbers_are_named_with_their_line(tmp_path, content, message):
    (tmp_path / "x.run").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_run(tmp_path / "x.run")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"[]",
            r"x.json: not JSON \(Expected `object`, got `array`\); wanted an object \{query: \{document: score\}\}",
        ),
        (b'{"q": {"d": "high"}}', r"x.json: .*Expected `float`, got `str`"),
        (b'{"q": {"d": NaN}}', r"x.json: .*wanted an object"),
        (b'{"q": {"d": 1e400}}', r"x.json"),
        (b'{"q": {"": 1}}', r"x.json, query 'q': found the document id ''"),
        (b'{"q": {"a\\u0000": 1}}', r"query 'q': the document id 'a\\x00' holds a NUL"),
        (b"[" * 9999, r"x.json: "),
        (b'{"q\xe9": {}}', r"x.json: "),
        (b"{}", r"holds no results"),
        (b"", r"holds no results"),
    ],
)
def test_a_bad_json_run_is_refused(tmp_path, content, message):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path / "x.json")


def test_damaged_gzip_is_said(tmp_path):
    write_run(tmp_path / "x.run.gz", {str(i): [("d", float(i))] for i in range(500)})
    content = bytearray((tmp_path / "x.run.gz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "x.run.gz").write_bytes(content)
    with pytest.raises(InputError, match=r"x.run.gz: damaged after line \d+|x.run.gz, line \d+: "):
        read_run(tmp_path / "x.run.gz")


@pytest.mark.parametrize("weights", [[1, float("nan")], [float("inf"), 1]])
def test_weights_that_are_no_numbers_are_refused(weights):
    with pytest.raises(InputError, match=r"found the weights .* wanted finite numbers"):
        fuse([RUN, RUN], "linear", weights)


def test_sums_beyond_numbers_are_refused_and_ranges_are_not():
    large = {"1": [("a", 1e308), ("b", 0.0), ("c", -1e308)]}
    with pytest.raises(InputError, match=r"query '1', document 'a': the linear score is inf, .* or --method rrf"):
        fuse([large, large], "linear")
    with pytest.raises(InputError, match="the rrf score is inf"):
        fuse([large] * 200, "rrf", [1e308] * 200)
    assert fuse([large, large], "min-max") == {"1": [("a", 2.0), ("b", 1.0), ("c", 0.0)]}


@pytest.mark.parametrize("name", ["007", "-5", "3000000000", "1" * 5000, "x", "1.0", "٣", " 1"])
def test_ground_truth_takes_no_names_for_numbers(tmp_path, name):
    with pytest.raises(InputError, match="knows queries and documents by number only"):
        write_ground_truth_run(tmp_path / "x.gt", {"0": [(name, 1.0), ("7", 0.5)]})
    assert not (tmp_path / "x.gt").exists()


def test_scores_that_float32_cannot_hold_are_refused(tmp_path):
    with pytest.raises(InputError, match="keeps scores as float32, and one of this run is too large"):
        write_ground_truth_run(tmp_path / "x.gt", {"0": [("7", 1e300), ("8", 0.5)]})
    assert not (tmp_path / "x.gt").exists()


lines = st.lists(
    st.sampled_from([b"q", b"Q0", b"d", b"1", b"2.5", b"x", b" ", b"\t", b"\r", b"\0", b"\xe9", b"nan", b"\xc2\xa0"])
).map(b"".join)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["x.run", "x.run.gz", "x.json", "x.tsv"]), st.lists(lines, max_size=4).map(b"\n".join))
def test_any_bytes_are_a_run_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(gzip.compress(content)[: -len(content) % 3 or None] if ".gz" in name else content)
    found = outcome(read_run, tmp_path / name)
    if isinstance(found, str):
        assert name in found
    else:
        assert all(query and hits and all(document for document, _ in hits) for query, hits in found.items())
