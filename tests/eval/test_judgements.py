"""Files of judgements: BEIR and TREC lines, and what is neither."""

import gzip
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsr.errors import InputError
from lsr.eval import load_collection, load_judged, load_qrels
from tests.conftest import outcome


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"1 0 a 2\n1 0 b -1\n1 0 c -2\n", {"1": {"a": 2, "b": -1, "c": -2}}),
        (b"1\t0\ta\t2\r\n2\tQ0\tb\t1\r\n", {"1": {"a": 2}, "2": {"b": 1}}),
        (b"\xef\xbb\xbfquery-id\tcorpus-id\tscore\n1\ta\t2\n", {"1": {"a": 2}}),
        (b"qid\tdocid\trelevance\r\n1\ta\t2", {"1": {"a": 2}}),
        (b"\n \n1 a +2\n\n1 a 2\n", {"1": {"a": 2}}),
        (b"  1   0  a   2  \n", {"1": {"a": 2}}),
        (b"Ann Lee\tb c\t1\n", {"Ann Lee": {"b c": 1}}),
        (b"1\ta\t1 \n", {"1": {"a": 1}}),
        ("1 0 a\u00a0b 1\n".encode(), {"1": {"a\u00a0b": 1}}),
        ("ü 0 日本 1000000\n".encode(), {"ü": {"日本": 1_000_000}}),
        (b"1 0 a 1\r2 0 b 1\r", {"1": {"a": 1}, "2": {"b": 1}}),
        (b"score 0 score 1\n", {"score": {"score": 1}}),
    ],
)
@pytest.mark.parametrize("name", ["q.txt", "q.tsv.gz"])
def test_lines_of_both_layouts_are_read(tmp_path, name, content, expected):
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    assert load_qrels(tmp_path / name) == expected
    assert load_judged(tmp_path / name).qrels == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\t5\n", r"q.txt, line 1: wanted query id, document id, grade, .* \(found 2 columns\)"),
        (b"1 0 a 1\n1 0 Ann Lee 2\n", r"q.txt, line 2: wanted .* \(found 5 columns\)"),
        (b"1\n", r"line 1: .*\(found 1 columns\)"),
        (b"1 0 a 2000000000\n", r"line 1: .*found the grade '2000000000', wanted .* from -1,000,000 to 1,000,000"),
        (b"1 0 a 100000000000000000000\n", r"line 1: .*found the grade '1000"),
        (b"1 0 a " + b"1" * 5000, r"line 1: .*found the grade '1111"),
        (b"1 0 a 1_000\n", r"line 1: .*found the grade '1_000'"),
        ("1 0 a ٣\n".encode(), r"line 1: .*found the grade '٣'"),
        (b"1 0 a 1.0\n", r"line 1: .*found the grade '1.0'"),
        (b"1 0 a 1e2\n", r"line 1: .*found the grade '1e2'"),
        (b"1 0 a nan\n", r"line 1: .*found the grade 'nan'"),
        (b"1\ta\t\n", r"line 1: .*found the grade ''"),
        (b"1\t\t1\n", r"line 1: .*found the document id ''"),
        (b"\ta\t1\n", r"line 1: .*found the query id ''"),
        (b"1 0 a 1\n1 0 caf\xe9 1\n", r"q.txt, line 2: not UTF-8 \(byte 0xe9 at position 7\); convert"),
        (b"1 0 a\0b 1\n", r"line 1: found a NUL character"),
        (b"1 0 a 1\r2 0 b 1\r\n3 0 c 1\n", r"line 1: found a carriage return inside the line"),
        (b"a b score\n1 a 1\nquery document score\n", r"line 3: .*found the grade 'score'"),
        (b"1 0 a 1\n1 0 a 2\n", r"line 2: grade 2 for query '1' and document 'a', which had 1 before"),
        (b"", r"q.txt holds no judgements"),
        (b"query-id\tcorpus-id\tscore\n", r"q.txt holds no judgements"),
    ],
)
def test_other_lines_are_refused_with_their_number(tmp_path, content, message):
    (tmp_path / "q.txt").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_qrels(tmp_path / "q.txt")
    assert len(str(caught.value)) < 350


def test_a_file_alone_is_no_collection_and_the_way_out_is_named(tmp_path):
    (tmp_path / "q.txt").write_text("1 0 a 1\n")
    with pytest.raises(InputError, match=r"q.txt is neither a folder nor a zip.* give the queries too, --topics FILE"):
        load_collection(tmp_path / "q.txt")


lines = st.lists(
    st.sampled_from([b"1", b"0", b"a", b"-2", b"9" * 30, b"score", b" ", b"\t", b"\r", b"\0", b"\xe9", b"\xc2\xa0"])
).map(b"".join)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["q.txt", "q.tsv.gz"]), st.lists(lines, max_size=4).map(b"\n".join))
def test_any_bytes_are_judgements_or_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(gzip.compress(content)[: -len(content) % 3 or None] if ".gz" in name else content)
    found = outcome(load_qrels, tmp_path / name)
    if isinstance(found, str):
        assert name in found
    else:
        assert all(query and graded for query, graded in found.items())


def test_the_layout_of_topics_in_json_beside_documents_is_evaluated(tmp_path):
    from lsr.eval import Question
    from lsr.measuring import evaluate_system

    texts = {"1": "bees dance", "2": "rivers flow"}
    (tmp_path / "docs.jsonl").write_text(
        "".join(json.dumps({"id": i, "text": f"{t} here"}) + "\n" for i, t in texts.items())
    )
    (tmp_path / "topics.jsonl").write_text("".join(json.dumps({"_id": i, "text": t}) + "\n" for i, t in texts.items()))
    (tmp_path / "qrels.txt").write_text("1 0 1 1\n2 0 2 1\n")
    found = evaluate_system(Question(dataset=str(tmp_path), encoder="bm25", measures=("RR@10",)))
    assert (found.documents, found.values.measures["RR@10"]) == (2, 1.0)


def test_queries_are_no_documents(tmp_path):
    from lsr.eval import Question
    from lsr.measuring import evaluate_system

    (tmp_path / "qrels").mkdir()
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "one"}\n')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\ta\t1\n")
    with pytest.raises(InputError, match=r"no documents|corpus.jsonl"):
        evaluate_system(Question(dataset=str(tmp_path), encoder="bm25"))


def test_cranfield_has_its_numbers_in_the_layout_of_trec_too(shared_collection, tmp_path):
    from lsr.corpus import DocumentReader
    from lsr.eval import Question
    from lsr.measuring import evaluate_system

    cranfield = load_collection(shared_collection("cranfield"))
    documents = [{"id": one.id, "title": one.title, "text": one.text} for one in DocumentReader([cranfield.path])]
    topics = [{"_id": query, "text": text} for query, text in cranfield.queries.items()]
    for name, records in (("docs.jsonl", documents), ("topics.jsonl", topics)):
        (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    pairs = [(query, *pair) for query, graded in cranfield.qrels.items() for pair in graded.items()]
    (tmp_path / "qrels.txt").write_text("".join(f"{query} 0 {name} {grade}\n" for query, name, grade in pairs))
    found = evaluate_system(Question(dataset=str(tmp_path), encoder="bm25", measures=("nDCG@10", "RR@10")))
    assert found.documents == 1400
    assert found.values.measures == pytest.approx({"nDCG@10": 0.491, "RR@10": 0.773}, abs=5e-4)
