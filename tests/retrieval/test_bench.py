"""Suites: what is measured, what is kept, and what goes on after a kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.corpus import Document, DocumentReader
from lsr.encoders import load
from lsr.encoders.neural import NeuralEncoder
from lsr.errors import InputError, StorageError
from lsr.eval import (
    CellStore,
    Question,
    load_collection,
    parse_measures,
    read_run,
    read_suite,
    write_collection,
    write_run,
)
from lsr.measuring import Bench, evaluate_system
from lsr.measuring.dense import encode_documents, search_dense
from tests.conftest import ROOT, SAMPLE

BM25 = '[[system]]\nname = "bm25"\nencoder = "bm25"\n'


class Quiet:
    def cell(self, done, total, name):
        pass

    def step(self, what, done, total):
        pass


def written(tmp_path, text=BM25, collections=(SAMPLE,)):
    path = tmp_path / "suite.toml"
    path.write_text(f'title = "t"\ncollections = {[str(c) for c in collections]}\n{text}')
    return path


def ran(path, folder, seconds=None):
    return Bench(read_suite(path), folder, Quiet(), seconds).run()


def test_a_suite_measures_what_eval_measures(tmp_path):
    run = tmp_path / "other-sample.run"
    evaluation = evaluate_system(Question(dataset=str(SAMPLE), encoder="bm25"))
    run.write_text("".join(f"{q} Q0 {h[0][0]} 1 1 x\n" for q, h in evaluation.run.items() if h))
    text = (
        BM25
        + f"""
        [[system]]
        name = "fast"
        encoder = "bm25"
        engine = "windowed"
        [[system]]
        name = "first only"
        runs = "{tmp_path}/other-{{collection}}.run"
        [[system]]
        name = "fused"
        fuse = ["bm25", "first only"]
        method = "linear"
        weights = [1.0, 0.0]
        [[system]]
        name = "away"
        encoder = "nowhere"
        optional = true
        [[system]]
        name = "away too"
        fuse = ["bm25", "away"]
        """
    )
    found = ran(written(tmp_path, text), tmp_path / "out")
    cells = {system: cell for (system, _), cell in found.cells.items()}
    assert cells["bm25"].values == evaluation.values
    assert cells["fused"].values.measures["nDCG@10"] == pytest.approx(evaluation.values.measures["nDCG@10"], abs=0.02)
    assert cells["first only"].values.measures["RR@10"] < cells["bm25"].values.measures["RR@10"]
    assert [point.way for point in cells["fast"].sweep][:2] == ["exact", "approximate"]
    assert cells["fast"].efficiency["p50_us"] > 0
    assert set(found.missing.values()) == {"nowhere is not here"}
    assert {system for system, _ in found.missing} == {"away", "away too"}


def test_statistics_of_one_collection_do_not_reach_the_next(tmp_path):
    other = tmp_path / "other"
    shutil.copytree(SAMPLE, other)
    lines = (other / "corpus.jsonl").read_text().splitlines(keepends=True)
    (other / "corpus.jsonl").write_text("".join(lines[::2]))
    found = ran(written(tmp_path, BM25, [SAMPLE, other]), tmp_path / "out")
    alone = evaluate_system(Question(dataset=str(other), encoder="bm25"))
    assert found.cells["bm25", "other"].values == alone.values
    assert found.cells["bm25", "other"].about == alone.about


def test_a_system_that_is_not_there_is_refused_unless_optional(tmp_path):
    with pytest.raises(InputError, match="put it there, or say optional = true"):
        ran(written(tmp_path, '[[system]]\nname = "a"\nencoder = "nowhere"'), tmp_path / "out")
    with pytest.raises(InputError, match=r"no such file or folder: .*nowhere"):
        ran(written(tmp_path, BM25, ["nowhere"]), tmp_path / "out")


def test_only_what_changed_is_measured_again(tmp_path):
    path, store = written(tmp_path), CellStore(tmp_path / "out" / "cells")
    ran(path, tmp_path / "out")
    run = store.path("bm25", "sample").with_suffix(".run")
    before = run.stat().st_mtime_ns
    path.write_text(f'measures = ["AP", "P@5"]\n{path.read_text()}')
    found = ran(path, tmp_path / "out")
    assert set(found.cells["bm25", "sample"].values.measures) == {"AP", "P@5"}
    assert run.stat().st_mtime_ns != before  # AP needs more results
    before = run.stat().st_mtime_ns
    path.write_text(path.read_text().replace('"AP", ', '"AP", "RR", '))
    found = ran(path, tmp_path / "out")
    assert set(found.cells["bm25", "sample"].values.measures) == {"AP", "RR", "P@5"}
    assert run.stat().st_mtime_ns == before


def test_a_suite_stops_when_told_and_says_what_is_missing(tmp_path):
    path = written(tmp_path)
    told = CliRunner().invoke(
        app, ["bench", str(path), "--out", str(tmp_path / "out"), "--stop-after", "0"], catch_exceptions=False
    )
    assert "1 cells: not measured yet (bm25 on sample)" in told.stderr
    whole = CliRunner().invoke(app, ["bench", str(path), "--out", str(tmp_path / "out")], catch_exceptions=False)
    assert "not measured" not in whole.stderr
    written_files = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"suite.md", "suite.json", "suite.html"} <= written_files
    values = json.loads((tmp_path / "out" / "suite.json").read_text())
    mean = values["cells"][0]["values"]["measures"]["nDCG@10"]
    assert f"| bm25 | {mean:.4f} | {mean:.4f} |" in (tmp_path / "out" / "suite.md").read_text()


def test_the_suite_of_the_sample_needs_nothing_that_a_clone_lacks(tmp_path):
    suite = read_suite(ROOT / "benchmarks" / "suites" / "sample.toml")
    collection = load_collection(suite.collections[0])
    documents = list(DocumentReader([collection.path]))[:20]
    known = {document.id for document in documents}
    qrels = {query: graded for query, graded in collection.qrels.items() if known & graded.keys()}
    write_collection(tmp_path / "small", documents, {query: collection.queries[query] for query in qrels}, qrels)
    small = msgspec.structs.replace(suite, collections=(str(tmp_path / "small"),))
    outcome = Bench(small, tmp_path / "out", Quiet()).run()
    assert not outcome.missing
    assert {system for system, _ in outcome.cells} == {spec.name for spec in suite.system}


def test_braces_in_a_path_are_part_of_it(tmp_path):
    evaluation = evaluate_system(Question(dataset=str(SAMPLE), encoder="bm25"))
    write_run(tmp_path / "{a}-sample.json", evaluation.run)
    text = f'[[system]]\nname = "theirs"\nruns = "{tmp_path}/{{a}}-{{collection}}.json"\n'
    found = ran(written(tmp_path, text), tmp_path / "out")
    assert found.cells["theirs", "sample"].values.measures == evaluation.values.measures


def test_a_killed_suite_goes_on_where_it_was(tmp_path):
    copies = [tmp_path / f"copy{i}" for i in range(4)]
    for copy in copies:
        shutil.copytree(SAMPLE, copy)
    path, out = written(tmp_path, BM25, copies), tmp_path / "out"
    command = [str(Path(sys.executable).with_name("lsr")), "bench", str(path), "--out", str(out)]
    started = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    deadline = time.monotonic() + 120
    while not (done := sorted(out.rglob("bm25.json"))) and time.monotonic() < deadline:
        time.sleep(0.005)
    started.send_signal(signal.SIGKILL)
    started.wait()
    done = sorted(out.rglob("bm25.json"))
    assert 1 <= len(done) < len(copies)
    before = {cell: cell.stat().st_mtime_ns for cell in done}
    found = ran(path, out)
    assert len(found.cells) == len(copies)
    assert {cell: cell.stat().st_mtime_ns for cell in done} == before
    assert len({cell.values.measures["nDCG@10"] for cell in found.cells.values()}) == 1


class Letters:
    """A dense encoder that counts letters: exact numbers, and ties."""

    def __init__(self):
        self.asked = 0

    def encode_dense(self, texts, query=False):
        self.asked += len(texts)
        return np.array([[text.count(letter) for letter in "abcd"] for text in texts], np.float32)


def test_dense_vectors_survive_a_kill_and_are_searched_exactly(tmp_path):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcd"), 6)) for _ in range(600)]
    encoder = Letters()

    def stop(done):
        if done >= 256:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_documents(encoder, texts, tmp_path / "v", stop)
    vectors = encode_documents(encoder, texts, tmp_path / "v", lambda done: None)
    assert encoder.asked == len(texts)
    queries = encoder.encode_dense(texts[:70])
    found = search_dense(vectors, queries, 9)
    scores = queries @ vectors.T
    for i in range(len(queries)):
        assert found.rows[i].tolist() == sorted(range(600), key=lambda row: (-scores[i, row], row))[:9]
    part = min((tmp_path / "v").iterdir())
    part.write_bytes(part.read_bytes()[:50])
    with pytest.raises(StorageError, match="is damaged"):
        encode_documents(encoder, texts, tmp_path / "v", lambda done: None)


PUBLISHED = {"cisi": 0.373, "cacm": 0.481, "cranfield": 0.491}


@pytest.mark.parametrize("name", PUBLISHED)
def test_bm25_is_the_known_one_and_measures_are_those_of_ir_measures_and_trec_eval(name, shared_collection):
    import ir_measures
    import pytrec_eval

    path = shared_collection(name)
    found = evaluate_system(Question(dataset=str(path), encoder="bm25", measures=("nDCG@10", "R@100", "AP", "P@5")))
    assert found.values.measures["nDCG@10"] == pytest.approx(PUBLISHED[name], abs=0.01)
    qrels = load_collection(path).qrels
    run = {query: dict(ranking) for query, ranking in found.run.items()}
    theirs = ir_measures.calc_aggregate(parse_measures(found.values.measures), qrels, run)
    assert found.values.measures == pytest.approx({str(k): v for k, v in theirs.items()}, abs=1e-6)
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"ndcg_cut.10", "recall.100", "map", "P.5"})
    values = evaluator.evaluate(run).values()
    for ours, other in (("nDCG@10", "ndcg_cut_10"), ("R@100", "recall_100"), ("AP", "map"), ("P@5", "P_5")):
        mean = sum(one[other] for one in values) / len(qrels)
        assert found.values.measures[ours] == pytest.approx(mean, abs=1e-6)


def test_bm25_finds_the_pairs_of_limit(shared_collection):
    found = evaluate_system(
        Question(dataset=str(shared_collection("limit-small")), encoder="bm25", measures=("R@2", "nDCG@10"))
    )
    assert found.values.measures["R@2"] > 0.95
    assert found.values.measures["nDCG@10"] == pytest.approx(0.991, abs=0.01)


def test_a_dense_encoder_is_measured_by_scoring_every_document(tmp_path):
    pytest.importorskip("torch")
    from tests.encoders.models import WIDTH, bert

    folder = bert(tmp_path / "dense")
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling")]
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": WIDTH, "pooling_mode_mean_tokens": True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    documents = [Document(str(i), "", text) for i, text in enumerate(["bees dance", "a castle", "walls and moat", "a"])]
    write_collection(tmp_path / "few", documents, {"q": "the moat"}, {"q": {"2": 1}})
    path = written(tmp_path, f'[[system]]\nname = "dense"\nencoder = "{folder}"', [tmp_path / "few"])
    cell = ran(path, tmp_path / "out").cells["dense", "few"]
    found = evaluate_system(Question(dataset=str(tmp_path / "few"), encoder=str(folder)))
    assert cell.values == found.values
    assert cell.about == found.about | {"engine": "dense", "settings": {"width": WIDTH}, "search": "exact"}
    assert cell.lengths == cell.sweep == []
    encoder = load(folder, device="cpu")
    assert isinstance(encoder, NeuralEncoder)
    vectors = encoder.encode_dense([document.full_text for document in documents])
    scores = vectors @ encoder.encode_dense(["the moat"], query=True)[0]
    assert [name for name, _ in found.run["q"]] == [str(row) for row in np.argsort(-scores)]
    (tmp_path / "topics.tsv").write_text("q\tbees\n")
    where = ["eval", str(tmp_path / "few"), "--encoder", str(folder), "--topics", str(tmp_path / "topics.tsv")]
    done = CliRunner().invoke(app, [*where, "--run", str(tmp_path / "x.json")], catch_exceptions=False)
    assert done.exit_code == 0
    scores = vectors @ encoder.encode_dense(["bees"], query=True)[0]
    assert [name for name, _ in read_run(tmp_path / "x.json")["q"]] == [str(row) for row in np.argsort(-scores)]
