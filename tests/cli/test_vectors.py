"""Vectors from outside at the borders of what numbers can be, indexed and asked."""

import json
import math
import struct

import pytest
from fastapi.testclient import TestClient

from lsr.api import create_app
from lsr.errors import InputError, LsrError
from lsr.formats import VectorSource, Vocabulary
from lsr.retrieval import Collection, Searcher, index_vectors, read_vector_topics
from lsr.sparse import SparseMatrix
from tests.cli.test_cli import lsr, refused
from tests.cli.test_encode import run


def lines(path, **vectors):
    path.write_text("".join(json.dumps({"id": name, "vector": row}) + "\n" for name, row in vectors.items()))
    return path


def index(tmp_path, **vectors):
    source = VectorSource([lines(tmp_path / "docs.jsonl", **vectors)])
    index_vectors(source, tmp_path / "index")
    return Searcher.open(tmp_path / "index")


def test_a_shell_sees_why_weights_are_too_large(tmp_path):
    path = lines(tmp_path / "x.jsonl", good={"t": 1}, bad={"t": 3e38})
    done = lsr("index", path, "--vectors", "seismic", "--out", tmp_path / "index")
    refused(done, "document 'bad' has the weight 3e+38, wanted at most 1e+15, so that scores")
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("exact", [True, False])
def test_scores_of_the_largest_weights_are_finite(tmp_path, exact):
    searcher = index(tmp_path, a={"t": 1e15, "u": 1e15}, b={"t": 1e-30})
    hits = searcher.search("t " * 1000 + "u", exact=exact)
    assert [hit.id for hit in hits] == ["a", "b"]
    assert math.isfinite(hits[0].score)
    largest = SparseMatrix.from_dicts([{0: 1e15, 1: 1e15}], 2)
    assert searcher.search(largest, exact=exact)[0].score == pytest.approx(2e30)


def test_query_vectors_are_held_to_the_same_bound(tmp_path):
    searcher = index(tmp_path, a={"t": 1.0})
    with pytest.raises(InputError, match=r"query 0 has the weight -3e\+38, wanted at most 1e\+15"):
        searcher.search(SparseMatrix.from_dicts([{0: -3e38}], 1))
    topics = lines(tmp_path / "q.jsonl", q7={"t": 2e15})
    with pytest.raises(InputError, match=r"query 'q7' has the weight 2e\+15"):
        read_vector_topics(VectorSource([topics]), searcher.encoder)


@pytest.mark.parametrize("token", ["9" * 5000, "1" + "0" * 5000, "0" * 5000, "²", "-1", "1.0", "99", "\ud800"])
def test_tokens_that_are_no_number_of_a_term_find_nothing(tmp_path, token):
    (tmp_path / "x.bin").write_bytes(struct.pack("<3If", 1, 1, 7, 0.5))
    index_vectors(VectorSource([tmp_path / "x.bin"]), tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    assert [hit.id for hit in searcher.search(f"7 {token}")] == ["0"]
    assert searcher.search(token) == []
    assert searcher.encoder.spans(f"{token} 7")[0].term == 7


def test_a_shell_asks_for_a_number_of_thousands_of_digits(tmp_path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<3If", 1, 1, 7, 0.5))
    run("index", tmp_path / "x.bin", "--out", tmp_path / "index")
    assert json.loads(run("search", tmp_path / "index", "7 " + "9" * 5000, "--json").stdout)["hits"][0]["id"] == "0"


def test_documents_of_negative_weights_have_the_term_and_are_no_hits(tmp_path):
    index(tmp_path, a={"bee": -1.5})
    done = run("search", tmp_path / "index", "bee")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "no hits: no document scores above 0 for a term of the query 'bee'" in done.output


def test_a_service_is_asked_for_a_number_of_thousands_of_digits(tmp_path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<3If", 1, 1, 7, 0.5))
    index_vectors(VectorSource(tmp_path / "x.bin"), tmp_path / "index")
    with Collection.open(tmp_path / "index") as collection, TestClient(create_app(collection)) as client:
        for query, ids in (("9" * 5000, []), ("7 " + "9" * 5000, ["0"])):
            answer = client.post("/v1/search", json={"query": query})
            assert (answer.status_code, [hit["id"] for hit in answer.json()["hits"]]) == (200, ids)


def test_vectors_come_through_a_pipe(tmp_path):
    line = '{"id": "a", "vector": {"bee": 1.5}}\n'
    done = lsr("index", "-", "--vectors", "seismic", "--out", tmp_path / "index", input=line)
    assert done.returncode == 0, done.stderr
    assert [hit.id for hit in Searcher.open(tmp_path / "index").search("bee")] == ["a"]
    done = lsr("convert", "-", tmp_path / "x.ciff", "--from", "seismic", "--scale", "2", input=line)
    assert done.returncode == 0, done.stderr
    assert [batch.matrix.to_dicts() for batch in VectorSource(tmp_path / "x.ciff")] == [[{0: 3.0}]]
    refused(
        lsr("convert", "-", tmp_path / "y.ciff", "--from", "seismic", "--bits", "8", input=line),
        "standard input is read once, and --bits reads twice: write a file first, or give --scale",
    )


@pytest.mark.parametrize("term", [2**24, 2**32 - 2])
def test_numbers_of_terms_that_would_fill_the_memory_are_refused_with_the_way_out(tmp_path, term):
    (tmp_path / "x.bin").write_bytes(struct.pack("<4IfIf", 1, 2, 7, term, 0, 0, 0)[:16] + struct.pack("<2f", 0.5, 1.5))
    with pytest.raises(InputError, match=f"numbers of terms up to {term:,}, an index takes .* lsr convert FILE"):
        run("index", tmp_path / "x.bin", "--out", tmp_path / "index")
    run("convert", tmp_path / "x.bin", tmp_path / "x.jsonl", "--to", "seismic")
    run("index", tmp_path / "x.jsonl", "--vectors", "seismic", "--out", tmp_path / "index")
    hits = Searcher.open(tmp_path / "index").search(f"{term}")
    assert [(hit.id, hit.score) for hit in hits] == [("0", 1.5)]


def test_large_whole_weights_of_an_index_are_called_rounded(tmp_path):
    path = lines(tmp_path / "x.jsonl", a={"t": 2**24 + 1, "u": 2})
    done = run("index", path, "--vectors", "seismic", "--out", tmp_path / "index")
    assert "rounded: 1 weights are whole numbers above 16,777,216 (float32)" in done.output


def test_terms_have_names_or_numbers():
    vocabulary = Vocabulary()
    vocabulary.learn(["a"])
    with pytest.raises(LsrError, match="the vectors before had names"):
        vocabulary.renumber(None, 3)
