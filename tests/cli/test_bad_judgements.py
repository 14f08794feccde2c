"""What is wrong with a judged collection or a run is said in one line, with its place and what to do."""

import json

import pytest

from lsr.errors import InputError
from tests.cli.test_cli import lsr, refused
from tests.cli.test_encode import run
from tests.eval.test_eval import write_set

HEAD = "query-id\tcorpus-id\tscore\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"qrels__test.tsv": HEAD + "1\ta\t1\n1\ta\n"}, r"test.tsv, line 3: wanted query id, document id, grade"),
        ({"qrels__test.tsv": HEAD + "1\ta\t1.5\n"}, r"test.tsv, line 2: .* the grade is a whole number"),
        ({"qrels__test.tsv": HEAD + "1\ta\t1\n1\ta\t2\n"}, r"line 3: grade 2 .* had 1 before: keep one of the lines"),
        ({"qrels__test.tsv": HEAD + "9\ta\t1\n"}, r"judged query '9' is not among the queries \(1 such\)"),
        (
            {"qrels__test.tsv": HEAD + "1\tzz\t1\n"},
            r"no relevant document is in the index: judged is 'zz', .* indexed 'a'",
        ),
        ({"qrels__test.tsv": ""}, r"test.tsv holds no judgements"),
        ({"corpus.jsonl": ""}, r"no documents: the sources are empty; give at least one document"),
        ({"queries.jsonl": '{"_id": "1", "text": "x"}\n{"_id": "1", "text": "y"}\n'}, r"line 2: the id '1' was given"),
    ],
)
def test_bad_collections(tmp_path, files, message):
    with pytest.raises(InputError, match=message):
        run("eval", write_set(tmp_path, **files))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("1 Q0 a 1 nan x\n", r"line 1: the score is nan: wanted a finite number"),
        ("1 Q0 a 1 2 x\n1 Q0 a 2 1 x\n", r"line 2: document 'a' was given before for query '1': keep its best line"),
        ("1 Q0 a 1 2 x\n1 Q0 b\n", r"line 2: found 3 columns, wanted 6"),
        ("1 Q0 a 1 high x\n", r"line 1: found the score 'high' in column 5"),
        ("", "holds no results"),
        ("7 Q0 a 1 2 x\n", r"bad.run: no query is judged; it has '7', the judgements '1'"),
    ],
)
def test_bad_runs(tmp_path, lines, message):
    collection = write_set(tmp_path / "set")
    (tmp_path / "good.run").write_text("1 Q0 a 1 2 x\n")
    (tmp_path / "bad.run").write_text(lines)
    with pytest.raises(InputError, match=message):
        run("compare", tmp_path / "good.run", tmp_path / "bad.run", "--qrels", collection)


def test_relevant_documents_that_are_not_there_are_counted(tmp_path):
    folder = write_set(tmp_path, **{"qrels__test.tsv": HEAD + "1\ta\t1\n1\tzz\t1\n"})
    assert "1 of 2 relevant documents are not in the index ('zz', ...)" in run("eval", folder).stderr


def test_the_shell_gets_one_line(tmp_path):
    folder = write_set(tmp_path, **{"qrels__test.tsv": HEAD + "1\ta\tgood\n"})
    refused(lsr("eval", folder), "test.tsv, line 2: wanted query id", "the grade is a whole number")


def test_a_folder_of_collections_is_measured_as_their_mean(tmp_path):
    for name, answer in (("android", "a"), ("english", "b")):
        corpus = '{"_id": "a", "text": "one"}\n{"_id": "b", "text": "other"}\n'
        write_set(tmp_path / "cqa" / name, **{"corpus.jsonl": corpus, "qrels__test.tsv": f"{HEAD}1\t{answer}\t1\n"})
    shown = run(
        "eval", tmp_path / "cqa", "--encoder", "bm25", "--measures", "RR@10", "--json", tmp_path / "x.json"
    ).stdout
    values = json.loads((tmp_path / "x.json").read_text())
    assert {name: part["measures"]["RR@10"] for name, part in values["parts"].items()} == {
        "android": 1.0,
        "english": 0.0,
    }
    assert values["mean"] == {"RR@10": 0.5}
    assert "mean of 2" in shown
    with pytest.raises(InputError, match="--index, --topics, --run, --report and --certificate are for one"):
        run("eval", tmp_path / "cqa", "--run", tmp_path / "x.run")
