"""An index is a source of vectors, for files of every format and for another index."""

import json

import pytest

from lsr.corpus import DocumentReader
from lsr.encoders import load
from lsr.errors import InputError, StorageError
from lsr.formats import FORMATS, VectorSource
from lsr.index import IndexSettings
from lsr.retrieval import Searcher, index_documents, index_vectors
from lsr.retrieval.index_source import INDEX, vector_source
from tests.cli.test_cli import lsr, refused
from tests.cli.test_encode import run
from tests.conftest import SAMPLE


@pytest.fixture(scope="module")
def bm25():
    """An encoder that has seen the sample, and its rows by name."""
    encoder, documents = load("bm25"), list(DocumentReader([SAMPLE]))
    encoder.observe([document.full_text for document in documents])
    matrix = encoder.encode_documents([document.full_text for document in documents])
    return encoder, documents, [{encoder.terms[t]: w for t, w in row.items()} for row in matrix.to_dicts()]


def rows_of(source):
    batches = list(source)
    assert source.position == source.size
    ids = [document.id for batch in batches for document in batch.documents]
    return ids, [{source.vocabulary[t]: w for t, w in row.items()} for b in batches for row in b.matrix.to_dicts()]


@pytest.mark.parametrize("name", FORMATS)
def test_the_vectors_of_an_index_become_a_file_of_each_format(sample_index, bm25, tmp_path, name):
    target = tmp_path / ("v" + FORMATS[name].endings[0])
    rounding = ["--scale", "1000"] if FORMATS[name].whole else []
    done = run("convert", sample_index, target, "--to", name, *rounding)
    assert f"index to {name}" in done.stdout
    ids, rows = rows_of(VectorSource([target], name))
    wanted = bm25[2]
    if rounding:
        wanted = [{t: round(1000 * w) for t, w in row.items() if round(1000 * w)} for row in wanted]
    assert ids == [document.id for document in bm25[1]]
    assert [sorted(row) for row in rows] == [sorted(row) for row in wanted]
    assert all(
        row == pytest.approx(right, abs=1 if rounding else 1e-6) for row, right in zip(rows, wanted, strict=True)
    )


def test_texts_and_the_encoder_come_along(sample_index, bm25, tmp_path):
    run("convert", sample_index, tmp_path / "v.jsonl", "--to", "anserini", "--bits", 8)
    contents = [json.loads(line)["contents"] for line in (tmp_path / "v.jsonl").read_text().splitlines()]
    assert contents == [document.full_text for document in bm25[1]]
    source = vector_source(sample_index)
    next(iter(source))
    assert source.vocabulary.about == {"encoder": "bm25", "fingerprint": bm25[0].fingerprint}


@pytest.mark.parametrize("options", [[], ["--vectors", "auto"]])
def test_an_index_is_made_of_an_index_and_answers_as_it_does(sample_index, tmp_path, options):
    done = run("index", sample_index, "--out", tmp_path / "other", "--engine", "seismic", *options)
    assert "bm25" in done.stdout
    first, second = Searcher.open(sample_index), Searcher.open(tmp_path / "other")
    assert second.generation.summary.about.settings["engine"] == "seismic"
    for query in ("how do bees find flowers", "castle walls"):
        assert second.search(query, exact=True) == first.search(query, exact=True)


def test_an_index_may_be_made_of_itself(tmp_path):
    index_documents(list(DocumentReader([SAMPLE]))[:5], load("bm25"), tmp_path / "index")
    before = Searcher.open(tmp_path / "index").search("bees dance", exact=True)
    index_vectors(vector_source(tmp_path / "index"), tmp_path / "index", settings=IndexSettings("seismic"))
    assert Searcher.open(tmp_path / "index").search("bees dance", exact=True) == before


def test_numbers_of_terms_stay_numbers(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "vector": {"x": 1.5}}')
    run("convert", tmp_path / "x.jsonl", tmp_path / "x.csr")
    (tmp_path / "x.csr.terms").unlink()
    run("index", tmp_path / "x.csr", "--out", tmp_path / "index")
    run("convert", tmp_path / "index", tmp_path / "y.csr")
    assert (tmp_path / "y.csr").read_bytes() == (tmp_path / "x.csr").read_bytes()
    assert not (tmp_path / "y.csr.terms").exists()
    source = vector_source(tmp_path / "index")
    assert rows_of(source) == (["a"], [{"0": 1.5}])
    assert source.vocabulary.about == {}


def test_several_indexes_share_a_vocabulary(tmp_path):
    for name, row in (("one", {"bee": 1, "hive": 2}), ("two", {"hive": 4, "moat": 3})):
        (tmp_path / "x.jsonl").write_text(json.dumps({"id": name, "vector": row}))
        run("index", tmp_path / "x.jsonl", "--vectors", "seismic", "--out", tmp_path / name)
    run("index", tmp_path / "one", tmp_path / "two", "--out", tmp_path / "both")
    hits = Searcher.open(tmp_path / "both").search("hive moat")
    assert [(hit.id, hit.score) for hit in hits] == [("two", 7.0), ("one", 2.0)]


def test_an_index_and_a_file_share_a_vocabulary(tmp_path):
    for name, row in (("one", {"bee": 1}), ("two", {"bee": 4, "moat": 3})):
        (tmp_path / f"{name}.jsonl").write_text(json.dumps({"id": name, "vector": row}))
    run("index", tmp_path / "one.jsonl", "--vectors", "seismic", "--out", tmp_path / "one")
    run("index", tmp_path / "one", tmp_path / "two.jsonl", "--vectors", "seismic", "--out", tmp_path / "both")
    hits = Searcher.open(tmp_path / "both").search("bee")
    assert [(hit.id, hit.score) for hit in hits] == [("two", 4.0), ("one", 1.0)]


def test_an_index_is_not_encoded(sample_index, tmp_path):
    with pytest.raises(InputError, match=f"is an index, and has the vectors: lsr convert {sample_index} "):
        run("encode", sample_index, "--encoder", "bm25", "--out", tmp_path / "x.parquet")
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_index_is_no_source(tmp_path):
    (tmp_path / "index" / "generation-000001").mkdir(parents=True)
    (tmp_path / "index" / "manifest.json").write_text("[")
    refused(lsr("convert", tmp_path / "index", tmp_path / "x.csr"), "manifest.json")
    with pytest.raises(StorageError):
        list(vector_source(tmp_path / "index"))


def test_a_folder_of_files_is_read_without_hidden_ones_and_folders(tmp_path):
    folder = tmp_path / "parts"
    (folder / "c.jsonl").mkdir(parents=True)
    (folder / "a.jsonl").write_text('{"id": "a", "vector": {"x": 1.5}}')
    (folder / ".b.jsonl").write_text("no JSON")
    assert rows_of(vector_source(folder)) == (["a"], [{"x": 1.5}])
    with pytest.raises(InputError, match="an index is written by lsr index"):
        INDEX.write(iter(()), tmp_path, vector_source(folder).vocabulary)
