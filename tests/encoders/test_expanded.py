"""Encoders of stems that hold what another encoder says: sums against a slow oracle, places, folders, faults."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from typer.testing import CliRunner

from lsr import Searcher, index_documents
from lsr.cli.app import app
from lsr.encoders import load
from lsr.encoders.declaration import read_system
from lsr.encoders.expanded import ExpandedEncoder, Settings, StemVectors
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.encoders.registry import fingerprint_of
from lsr.encoders.storage.reader import read_source
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from lsr.corpus import Document  # noqa: E402
from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.training.data.sources import Raw, TrainingData  # noqa: E402
from lsr.training.recipe import StemChoice  # noqa: E402
from lsr.training.student.stem_initialisation import write_start  # noqa: E402
from lsr.training.teachers.expander import TERMS, expand, fit  # noqa: E402
from tests.encoders import models  # noqa: E402

CORPUS = ["bees dance to tell other bees where flowers are", "a castle had thick walls", "the moat of the castle", ""]
CHOICE = StemChoice(named=8, buckets=16, rows=6)
SETTINGS = Settings(factor=0.7, above=0.1)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folded")
    return write_start(read_system("pooled-stems"), models.bert(folder / "model"), CORPUS, CHOICE, folder / "start")


@pytest.fixture(scope="module")
def splade(tmp_path_factory):
    folder = models.bert(tmp_path_factory.mktemp("expander") / "splade", seed=1)
    return NeuralEncoder(untrained(read_system("splade-v2"), folder), device="cpu")


@pytest.fixture(scope="module")
def encoder(base, splade):
    random = np.random.default_rng(0)
    terms = np.array([random.permutation(splade.dim)[:4] for _ in range(CHOICE.rows)])
    weights = np.sort(random.uniform(0, 1, terms.shape).astype(np.float32))[:, ::-1].astype(np.float16)
    own = load(base, device="cpu")
    assert isinstance(own, NeuralEncoder)
    own.source.document.parts["vocabulary_bias"] -= 0.2  # fires less than it could
    return ExpandedEncoder(own, splade, StemVectors(terms, weights.astype(np.float32), SETTINGS), "both")


@pytest.fixture(scope="module")
def saved(encoder, tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "both"
    folder.mkdir()
    encoder.save(folder)
    return folder


def dense(matrix):
    return matrix.to_scipy().toarray()


def oracle(encoder, texts):
    """Vectors of texts, stem by stem."""
    found = dense(encoder.base.encode_documents(texts))
    for own, other, text in zip(found, dense(encoder.expander.encode_documents(texts)), texts, strict=True):
        stems = [span.term for span in encoder.base.spans(text)]
        for stem in range(CHOICE.rows):
            if stems and stem not in stems:
                pairs = zip(encoder.stem_vectors.terms[stem], encoder.stem_vectors.weights[stem], strict=True)
                added = sum(other[term] * weight for term, weight in pairs) - SETTINGS.above
                own[stem] += max(0, added) * SETTINGS.factor
        own[own <= encoder.base.declaration.document.threshold * own.max()] = 0
    return found


def test_stems_that_do_not_stand_in_a_text_get_what_the_other_says(encoder):
    found = dense(encoder.encode_documents(CORPUS))
    assert found == pytest.approx(oracle(encoder, CORPUS), abs=1e-5)
    assert (found > 0).sum() > (dense(encoder.base.encode_documents(CORPUS)) > 0).sum()
    assert not found[3].any()
    for text, row in zip(CORPUS, found, strict=True):
        assert dense(encoder.encode_documents([text]))[0] == pytest.approx(row, abs=1e-3)
    assert dense(encoder.encode_queries(CORPUS)) == pytest.approx(dense(encoder.base.encode_queries(CORPUS)))


def test_the_heaviest_terms_of_a_document_stay(encoder):
    few = ExpandedEncoder(
        encoder.base, encoder.expander, replace(encoder.stem_vectors, settings=Settings(0.7, 0.1, most=3)), "few"
    )
    whole, found = dense(encoder.encode_documents(CORPUS)), dense(few.encode_documents(CORPUS))
    assert ((found > 0).sum(1) == np.minimum(3, (whole > 0).sum(1))).all()
    for row, kept in zip(whole, found, strict=True):
        assert np.sort(kept)[-3:] == pytest.approx(np.sort(row)[-3:])
        assert set(np.flatnonzero(kept)) <= set(np.flatnonzero(row))
    assert few.fingerprint != encoder.fingerprint


def test_an_explanation_names_the_word_that_adds_most(encoder):
    text, asked = CORPUS[0], 0
    known = {origin.term for origin in encoder.base.explain(text)}
    others = {origin.term: origin for origin in encoder.expander.explain(text)}
    for origin in encoder.explain(text):
        if origin.term not in known:
            terms, weights = encoder.stem_vectors.terms[origin.term], encoder.stem_vectors.weights[origin.term]
            adds = {
                t: others[t].weight * w for t, w in zip(terms.tolist(), weights.tolist(), strict=True) if t in others
            }
            best = others[max(adds, key=adds.__getitem__)]
            assert (origin.start, origin.end) == (best.start, best.end)
            asked += 1
    assert asked
    assert encoder.explain("walls", query=True) == encoder.base.explain("walls", query=True)


def test_a_folder_comes_back(encoder, saved):
    again = load(saved, device="cpu")
    assert isinstance(again, ExpandedEncoder)
    assert again.fingerprint == encoder.fingerprint
    assert dense(again.encode_documents(CORPUS)) == pytest.approx(dense(encoder.encode_documents(CORPUS)), abs=1e-6)


def test_an_index_learns_its_corpus_and_is_opened_again(saved, tmp_path):
    documents = [Document(str(i), "", text) for i, text in enumerate(CORPUS[:3])]
    before = load(saved, device="cpu")
    index_documents(documents, before, tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    assert [hit.id for hit in searcher.search("castle walls", k=1)] == ["1"]
    assert before.fingerprint != load(saved, device="cpu").fingerprint


def test_vectors_of_stems_are_fitted_to_queries(base, splade):
    own = load(base, device="cpu")
    found = fit(own, splade, CORPUS[:3], SETTINGS)
    assert found.terms.shape == found.weights.shape == (CHOICE.rows, min(16, splade.dim))
    assert found.terms.max() < min(TERMS, splade.dim)
    assert (np.diff(found.weights) <= 0).all()
    assert found.weights.min() >= 0
    assert found.weights.max() > 0


def test_the_command_writes_a_folder_without_torch_for_the_other(base, tmp_path):
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text("".join(json.dumps({"query": text[:12], "positive": text}) + "\n" for text in CORPUS[:3]))
    command = ["encoders", "expand", str(models.bert(tmp_path / "splade", seed=2)), "--base", str(base)]
    result = CliRunner().invoke(
        app, [*command, "--data", str(pairs), "--out", str(tmp_path / "out"), "--factor", "0.5"]
    )
    assert result.exit_code == 0, result.output
    found = load(tmp_path / "out", device="cpu")
    assert isinstance(found, ExpandedEncoder)
    assert (tmp_path / "out" / "expander" / "document" / "body.onnx").is_file()
    assert found.stem_vectors.settings == Settings(0.5, 0.1, 180)
    assert found.encode_documents(CORPUS).nnz >= load(base, device="cpu").encode_documents(CORPUS).nnz
    again = CliRunner().invoke(app, [*command, "--data", str(pairs), "--out", str(tmp_path / "out")])
    assert "is there already" in str(again.exception)


def test_a_folded_encoder_is_folded_anew_and_stands_in_suites(saved, base, tmp_path):
    pairs = TrainingData()
    pairs.add([Raw(text[:12], [text]) for text in CORPUS[:3]], "pairs")
    expand(saved, models.bert(tmp_path / "splade", seed=3), pairs, tmp_path / "anew", 0.5)
    again, before = (load(folder, device="cpu") for folder in (tmp_path / "anew", saved))
    assert isinstance(again, ExpandedEncoder)
    assert isinstance(before, ExpandedEncoder)
    assert again.base.fingerprint == before.base.fingerprint
    assert again.fingerprint != before.fingerprint == fingerprint_of(saved)
    with pytest.raises(EncoderError, match="two encoders, folded into one"):
        read_source(saved)


def test_faults_are_named(encoder, saved, base, splade, tmp_path):
    with pytest.raises(EncoderError, match="has no stems"):
        ExpandedEncoder(BM25Encoder(), splade, encoder.stem_vectors, "x")
    with pytest.raises(EncoderError, match="fires no stems"):
        fit(splade, splade, CORPUS, SETTINGS)
    pairs = TrainingData()
    pairs.add([Raw(text, [text]) for text in CORPUS[:3]], "pairs")
    (tmp_path / "dense").mkdir()
    NeuralEncoder(untrained(read_system("dense-mean"), models.bert(tmp_path / "plain")), "cpu").save(tmp_path / "dense")
    for other in (Path("bm25"), tmp_path / "dense"):
        with pytest.raises(EncoderError, match="wanted the folder of a SPLADE"):
            expand(base, other, pairs, tmp_path / "none", 0.5)
    with pytest.raises(EncoderError, match="0 queries: wanted more than 0 of both"):
        expand(base, base, TrainingData(), tmp_path / "none", 0.5)
    large = StemVectors(encoder.stem_vectors.terms + splade.dim, encoder.stem_vectors.weights, SETTINGS)
    with pytest.raises(EncoderError, match="but splade has 25 terms"):
        ExpandedEncoder(load(base, device="cpu"), splade, large, "x")
    for name, change, fault in (
        ("folded.json", lambda p: p.write_text('{"factor": "much"}'), "not the settings of an expanded encoder"),
        (
            "folded.json",
            lambda p: p.write_bytes(msgspec.json.encode(msgspec.structs.replace(SETTINGS, format=9))),
            "format 9",
        ),
        ("folding.safetensors", lambda p: p.write_bytes(b"x"), "not a readable safetensors file"),
        ("folding.safetensors", lambda p: save_file(load_file(p) | {"terms": np.zeros((2, 2))}, p), "of one shape"),
        (
            "folding.safetensors",
            lambda p: save_file({n: v * np.float16("nan") for n, v in load_file(p).items()}, p),
            "NaN",
        ),
    ):
        copy = tmp_path / fault[:5]
        shutil.copytree(saved, copy)
        change(copy / name)
        with pytest.raises(EncoderError, match=fault):
            load(copy, device="cpu")
