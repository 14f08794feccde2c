"""What `lsr index` takes and what it says of it, in the user's own words."""

import json
import subprocess
import sys

import pytest

from lsr.errors import InputError
from lsr.retrieval import Searcher
from tests.cli.test_encode import run

DRILL = {"_id": "1", "name": "Cordless drill", "about": "bees like it", "price": 19, "in_stock": True}
SAW = {"_id": "2", "name": "Saw", "about": "\U0001f600", "brand": "A"}


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "catalogue.json"
    path.write_text(json.dumps([DRILL, SAW], indent=2))
    return path


def index(*args):
    result = run("index", *args, "--encoder", "bm25")
    return result, " ".join(result.stderr.split())


def test_lost_fields_and_documents_without_words_are_said(catalogue, tmp_path):
    result, said = index(catalogue, "--out", tmp_path / "index", "--text-field", "about")
    assert result.exit_code == 0
    assert "1 document holds no term (no text, or no word that the encoder reads there)" in said
    assert "fields: name: keyword (2 values), price: integer, in_stock: boolean, brand: keyword (1 value)" in said


def test_several_text_fields_are_joined_in_order(catalogue, tmp_path):
    fields = ("--text-field", "name", "--text-field", "about", "--title-field", "nmae")
    result, said = index(catalogue, "--out", tmp_path / "index", *fields)
    assert result.exit_code == 0
    assert "no record has the field 'nmae' of --title-field" in said
    hits = Searcher.open(tmp_path / "index").search("bees cordless")
    assert [(hit.id, hit.text) for hit in hits] == [("1", "Cordless drill bees like it")]


def test_encoding_says_lost_fields_too(catalogue, tmp_path):
    result = run("encode", catalogue, "--out", tmp_path / "v.parquet", "--text-field", "about", "--text-field", "name")
    assert result.exit_code == 0
    assert "ignored fields: brand, in_stock, price" in " ".join(result.stderr.split())


REFUSED = {
    "two ids": (["--id-field", "_id", "--id-field", "name"], "found the id fields _id, name, wanted one"),
    "no text": (["--text-field", "abuot"], "line 2, record 1: no text field: found the fields '_id', 'name', 'about'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_fields_that_cannot_be_are_refused(catalogue, tmp_path, name):
    options, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        index(catalogue, "--out", tmp_path / "index", *options)


PIPES = """
lsr() { "$0" -c 'from lsr.cli import main; main()' "$@" --encoder bm25 --text-field name; }
lsr index <(cat catalogue.json) --out a && cat catalogue.json | gzip | lsr index - --out b && lsr index - --out c <&-
"""


def test_pipes_of_a_shell_are_read_and_closed_input_is_said(catalogue, tmp_path):
    command = ["bash", "-c", PIPES, sys.executable]
    done = subprocess.run(command, cwd=catalogue.parent, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == "error: standard input is closed: give a file, or pipe documents in"
    assert [hit.id for name in "ab" for hit in Searcher.open(tmp_path / name).search("saw")] == ["2", "2"]


def test_a_collection_without_documents_is_refused(tmp_path):
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "bees"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n1\td1\t1\n")
    for command in (["index", tmp_path, "--out", tmp_path / "index"], ["eval", tmp_path]):
        with pytest.raises(InputError, match=r"found qrels, queries.jsonl but no documents; wanted corpus.jsonl"):
            run(*command, "--encoder", "bm25")


@pytest.mark.parametrize("ids", [("q1", "q2"), ("d1", "d2")])
def test_topics_beside_documents_are_asked_and_not_found(tmp_path, ids):
    """Also where a topic has the id of a document."""
    texts = ("how do bees dance", "what is a moat")
    documents = [{"id": "d1", "contents": "bees dance"}, {"id": "d2", "contents": "a moat"}]
    (tmp_path / "docs.jsonl").write_text("\n".join(map(json.dumps, documents)))
    topics = [{"_id": name, "text": text} for name, text in zip(ids, texts, strict=True)]
    (tmp_path / "topics.jsonl").write_text("\n".join(map(json.dumps, topics)))
    (tmp_path / "qrels.txt").write_text(f"{ids[0]} 0 d1 1\n{ids[1]} 0 d2 1\n")
    result = run("eval", tmp_path, "--encoder", "bm25", "--measures", "RR@10", "--json", tmp_path / "x.json")
    assert result.exit_code == 0
    found = json.loads((tmp_path / "x.json").read_text())
    assert (found["documents"], found["measures"]) == (2, {"RR@10": 1.0})
