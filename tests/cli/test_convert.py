"""Vectors of other systems, from file to measured search, as a shell sees it."""

import json
import struct

import numpy as np
import pytest

from lsr.corpus import DocumentReader
from lsr.encoders import PrecomputedVectors, load
from lsr.encoders.bulk.vector_file import write_vectors
from lsr.errors import InputError, MismatchError
from lsr.eval import load_collection
from lsr.formats import VectorSource, Vocabulary, convert, read_ground_truth
from lsr.retrieval import Searcher, index_vectors
from tests.cli.test_cli import lsr, refused
from tests.cli.test_encode import run
from tests.conftest import SAMPLE

DOCUMENTS = {"d1": {"bee": 2.5, "##s": 1.0}, "d2": {"moat": 3.25, "bee": 0.5}, "d3": {"castle": 1.5}}
TOPICS = {"q1": {"bee": 2, "unknown": 1}, "q2": {"castle": 1, "moat": 2}}


@pytest.fixture
def files(tmp_path):
    def lines(vectors):
        return "".join(json.dumps({"id": name, "vector": row}) + "\n" for name, row in vectors.items())

    (tmp_path / "docs.jsonl").write_text(lines(DOCUMENTS))
    (tmp_path / "topics.jsonl").write_text(lines(TOPICS))
    (tmp_path / "qrels.txt").write_text("q1 0 d1 1\nq2 0 d2 1\n")
    return tmp_path


@pytest.mark.parametrize("name", ["docs.jsonl", "docs.csr", "docs.bin", "docs.parquet", "docs.ciff"])
def test_vectors_of_each_format_are_indexed_and_asked_with_topics(files, name):
    if name != "docs.jsonl":
        scale = ["--scale", 4] if name.endswith("ciff") else []
        assert run("convert", files / "docs.jsonl", files / name, *scale).exit_code == 0
    made = run(
        "index", files / name, "--out", files / "index", *(["--vectors", "auto"] if name == "docs.jsonl" else [])
    )
    assert "given vectors" in made.stdout
    for topics in ("topics.jsonl", "topics.tsv"):
        if topics == "topics.tsv":
            run("convert", files / "topics.jsonl", files / topics)
        options = ("--index", files / "index", "--topics", files / topics, "--run", files / "x.run")
        run("eval", files / "qrels.txt", *options, "--measures", "RR@10", "--json", files / "x.json")
        assert json.loads((files / "x.json").read_text())["measures"] == {"RR@10": 1.0}
        factor = 4 if name.endswith("ciff") else 1
        found = [line.split() for line in (files / "x.run").read_text().splitlines()]
        assert [(q, d, float(s)) for q, _, d, _, s, _ in found] == [
            ("q1", "d1", 5.0 * factor),
            ("q1", "d2", 1.0 * factor),
            ("q2", "d2", 6.5 * factor),
            ("q2", "d3", 1.5 * factor),
        ]
    shown = json.loads(run("search", files / "index", "moat moat castle", "--json").stdout)["hits"]
    assert [hit["id"] for hit in shown] == ["d2", "d3"]


def test_a_shell_sees_one_line_for_each_mistake(files):
    refused(
        lsr("convert", files / "docs.jsonl", files / "x.ciff"), "has the weight 2.5", "give --scale 100 or --bits 8"
    )
    done = lsr("convert", files / "docs.jsonl", files / "x.ciff", "--bits", 8)
    assert all(word in done.stdout for word in ("seismic to ciff", "largest error", "weight moved", "rounded to 0"))
    assert "100%" in done.stderr
    (files / "docs.csr").write_bytes(b"no matrix")
    refused(lsr("index", files / "docs.csr", "--out", files / "index"), "docs.csr, byte 0: found [")
    assert not (files / "index").exists()


def test_vectors_of_an_encoder_are_indexed_with_it(splade_tiny, tmp_path):
    pytest.importorskip("torch")
    encoder = load(splade_tiny, device="cpu")
    documents = list(DocumentReader([SAMPLE]))[:8]
    write_vectors(documents, encoder, tmp_path / "v.parquet")
    index_vectors(VectorSource([tmp_path / "v.parquet"]), tmp_path / "index", encoder)
    hits = Searcher.open(tmp_path / "index").search(documents[3].full_text[:200], exact=True)
    direct = encoder.encode_queries([documents[3].full_text[:200]]).to_dicts()[0]
    rows = encoder.encode_documents([document.full_text for document in documents]).to_dicts()
    scores = {d.id: sum(w * row.get(t, 0) for t, w in direct.items()) for d, row in zip(documents, rows, strict=True)}
    assert hits[0].id == max(scores, key=lambda name: scores[name])
    assert hits[0].score == pytest.approx(max(scores.values()), rel=1e-4)
    run("convert", tmp_path / "v.parquet", tmp_path / "v.jsonl", "--to", "seismic")
    words = json.loads((tmp_path / "v.jsonl").read_text().splitlines()[0])["vector"]
    assert set(words) <= set(encoder.terms), "names, not numbers"


def test_vectors_of_another_encoder_are_refused(files):
    with pytest.raises(InputError, match="--encoder bm25 learns from texts"):
        index_vectors(VectorSource([files / "docs.jsonl"]), files / "index", load("bm25"))
    vocabulary = Vocabulary()
    vocabulary.learn(["bee", "moat", "castle"])
    with pytest.raises(MismatchError, match="the term '##s' is not in the vocabulary of given vectors"):
        index_vectors(VectorSource([files / "docs.jsonl"]), files / "index", PrecomputedVectors(vocabulary))
    source = VectorSource([files / "docs.jsonl"])
    source.vocabulary.about.update(encoder="theirs", fingerprint="f" * 64)
    convert(source, files / "docs.parquet")
    with pytest.raises(MismatchError, match=r"the vectors come from theirs \(f{12}\), not from given vectors"):
        index_vectors(VectorSource([files / "docs.parquet"]), files / "index", PrecomputedVectors(vocabulary))
    assert not (files / "index").exists()


def test_ground_truth_is_a_judged_collection(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.random((40, 8)).astype("f4")
    head = struct.pack(f"<3q{41}q", 40, 8, 320, *range(0, 321, 8))
    (tmp_path / "base.csr").write_bytes(head + np.tile(np.arange(8, dtype="<i4"), 40).tobytes() + values.tobytes())
    (tmp_path / "queries.csr").write_bytes((tmp_path / "base.csr").read_bytes())
    products = values @ values.T
    best = np.argsort(-products, axis=1)[:, :10].astype("<i4")
    scores = np.take_along_axis(products, best, axis=1)
    (tmp_path / "x.gt").write_bytes(struct.pack("<2I", 40, 10) + best.tobytes() + scores.tobytes())
    run("index", tmp_path / "base.csr", "--out", tmp_path / "index")
    options = ("--index", tmp_path / "index", "--topics", tmp_path / "queries.csr", "--exact", "--measures", "R@10")
    run("eval", tmp_path / "x.gt", *options, "--json", tmp_path / "x.json", "--run", tmp_path / "found.run")
    assert json.loads((tmp_path / "x.json").read_text())["measures"] == {"R@10": 1.0}
    run("convert", tmp_path / "x.gt", tmp_path / "true.run")
    run("convert", tmp_path / "true.run", tmp_path / "again.gt")
    assert (read_ground_truth(tmp_path / "again.gt").rows == best).all()


def test_topics_that_are_not_judged_are_refused(files):
    run("index", files / "docs.jsonl", "--out", files / "index", "--vectors", "seismic")
    (files / "qrels.txt").write_text("7 0 d1 1\n")
    with pytest.raises(InputError, match="no query is judged; it has the id 'q1', the judgements '7'"):
        run("eval", files / "qrels.txt", "--index", files / "index", "--topics", files / "topics.jsonl")
    (files / "topics.jsonl").write_text('{"id": 1, "vector": {}}\n{"id": 1, "vector": {}}\n')
    with pytest.raises(InputError, match="the query '1' was given before"):
        run("eval", files / "qrels.txt", "--index", files / "index", "--topics", files / "topics.jsonl")


BM25 = ("--encoder", "bm25")


def test_text_topics_take_the_place_of_the_queries(tmp_path):
    texts = load_collection(SAMPLE).queries
    (tmp_path / "topics.tsv").write_text("".join(f"{name}\t{text}\n" for name, text in texts.items()))
    assert run("eval", SAMPLE, *BM25, "--json", tmp_path / "a.json").exit_code == 0
    assert run("eval", SAMPLE, *BM25, "--topics", tmp_path / "topics.tsv", "--json", tmp_path / "b.json").exit_code == 0
    a, b = (json.loads((tmp_path / name).read_text())["per_query"] for name in ("a.json", "b.json"))
    assert a == b
