"""The commands about encoders, as a shell sees them."""

import json
import os
import re

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.corpus import DocumentReader
from lsr.encoders import load, system_names
from lsr.errors import InputError
from lsr.formats import VectorSource
from tests.conftest import SAMPLE


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


def test_every_system_is_listed():
    lines = run("encoders", "list").stdout.splitlines()
    names = [line.split()[0] for line in lines if line and not line.startswith((" ", "Declared"))]
    assert names == ["default", "bm25", *(name for name in system_names() if name != "bm25")]
    assert "    queries    bare > table idf" in lines


def test_a_declaration_is_shown_as_toml():
    import tomllib

    shown = tomllib.loads(run("encoders", "show", "splade-v3").stdout)
    assert shown["document"] == {"head": "vocabulary", "backbone": "masked-lm", "activation": "log1p"}


def test_documents_become_a_parquet_file(splade_tiny, tmp_path):
    pytest.importorskip("torch")
    done = run("encode", SAMPLE, "--encoder", splade_tiny, "--out", tmp_path / "v.parquet", "--devices", "cpu")
    assert "truncated documents" in done.stdout
    lines = (SAMPLE / "corpus.jsonl").read_text().splitlines()
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["id"].to_pylist() == [json.loads(line)["_id"] for line in lines]
    assert all(table["indices"].to_pylist())


def test_an_output_that_is_no_parquet_file_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"wanted a name that ends in \.parquet"):
        run("encode", SAMPLE, "--encoder", "bm25", "--out", tmp_path / "v.jsonl")


def test_encoders_are_written_in_other_layouts(splade_tiny, tmp_path):
    pytest.importorskip("onnxscript")
    fingerprint = load(splade_tiny, device="cpu").fingerprint
    for layout in ("onnx", "lsr"):
        done = run("encoders", "export", splade_tiny, "--out", tmp_path / layout, "--to", layout)
        assert fingerprint in done.stdout
    assert (
        "sentence-transformers"
        in run("encoders", "export", splade_tiny, "--out", tmp_path / "st", "--to", "sentence-transformers").stdout
    )
    assert (tmp_path / "st" / "modules.json").is_file()


def test_an_unknown_layout_is_refused(splade_tiny, tmp_path):
    with pytest.raises(InputError, match="--to gguf: wanted onnx, sentence-transformers, lsr"):
        run("encoders", "export", splade_tiny, "--out", tmp_path / "x", "--to", "gguf")


@pytest.mark.parametrize("language", [None, "german"])
def test_bm25_sees_all_documents_before_it_weighs_the_first(tmp_path, language):
    options = [] if language is None else ["--language", language]
    done = run("encode", SAMPLE, *options, "--encoder", "bm25", "--out", tmp_path / "v.parquet")
    documents = list(DocumentReader([SAMPLE]))
    encoder = load("bm25" if language is None else f"bm25:{language}")
    encoder.observe([document.full_text for document in documents])
    assert "counting" in done.stderr
    wanted = encoder.encode_documents([document.full_text for document in documents]).to_dicts()
    source = VectorSource([tmp_path / "v.parquet"])
    assert [row for batch in source for row in batch.matrix.to_dicts()] == wanted
    assert list(source.vocabulary) == list(encoder.terms)
    assert source.vocabulary.about["fingerprint"] == encoder.fingerprint
    assert [path.name for path in tmp_path.iterdir()] == ["v.parquet"]


def test_bm25_on_several_devices_is_one(tmp_path):
    run("encode", SAMPLE, "--encoder", "bm25", "--devices", "cpu,cpu", "--out", tmp_path / "v.parquet")
    assert pq.read_metadata(tmp_path / "v.parquet").num_rows == 240


@pytest.mark.parametrize("source", ["-", "pipe"])
def test_bm25_says_what_to_do_with_documents_that_can_be_read_once(tmp_path, source):
    if source == "pipe":
        source = tmp_path / "pipe"
        os.mkfifo(source)
    with pytest.raises(InputError, match=r"bm25 reads the documents twice, and .* can be read once: write them to a"):
        run("encode", source, "--encoder", "bm25", "--out", tmp_path / "v.parquet")
    assert not list(tmp_path.glob("v.*"))


def test_long_documents_are_counted_by_encoders_that_learn_too(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "text": "' + "bees dance " * 3000 + '"}\n{"id": "b", "text": "c"}')
    for flags, count in (([], 0), (["--truncate"], 1)):
        done = run("encode", tmp_path / "x.jsonl", "--out", tmp_path / f"{count}.parquet", *flags)
        assert re.search(rf"truncated documents +{count} *\n", done.stdout)
