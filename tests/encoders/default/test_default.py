"""The model that comes with lsr: small, without torch, and what its vectors hold."""

import subprocess
import sys

import numpy as np
import pytest

from lsr.corpus import DocumentReader
from lsr.encoders import load
from lsr.encoders.registry import folder_of
from lsr.eval import Question
from lsr.measuring import evaluate_system
from lsr.retrieval import index_documents
from tests.conftest import ROOT, generation_of

MEGABYTES = 25
SAMPLE = ROOT / "data" / "sample"


@pytest.fixture(scope="module")
def encoder():
    return load()


def weights(encoder, text, query=False):
    row = (encoder.encode_queries if query else encoder.encode_documents)([text])
    return {encoder.terms[term]: weight for term, weight in zip(row.terms.tolist(), row.values.tolist(), strict=True)}


def size(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_it_is_small_and_there_under_both_names():
    assert size(folder_of("default")) <= MEGABYTES * 10**6
    assert (ROOT / "data" / "models" / "default").resolve() == folder_of("default").resolve()
    assert load("default").fingerprint == load().fingerprint


def test_an_index_holds_it_as_small_as_it_is(encoder, tmp_path):
    encoder.save(tmp_path)
    assert size(tmp_path) < 1.02 * size(folder_of("default"))
    again = load(tmp_path)
    assert again.fingerprint == encoder.fingerprint
    assert weights(again, "bees dance") == weights(encoder, "bees dance")


def test_a_document_weighs_its_stems_most_and_fires_others(encoder):
    found = weights(encoder, "The cost of medical care at an emergency room visit ranges from $150 to $3000.")
    assert {"cost", "medic", "care", "emergenc", "room", "visit"} <= found.keys()
    assert {"price", "hospit"} <= found.keys()
    assert "the" not in found
    assert min(found["cost"], found["emergenc"]) > found["hospit"]


def test_a_query_is_what_stands_in_it(encoder):
    found = weights(encoder, "what do the computers compute", query=True)
    assert found.keys() == {"comput"}


def test_it_needs_no_torch():
    code = (
        "import sys, lsr.encoders as e; v = e.load().encode_documents(['bees dance']); "
        "print(v.nnz > 2, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


@pytest.fixture(scope="module")
def index(encoder, tmp_path_factory):
    """Folder of an index of the sample."""
    folder = tmp_path_factory.mktemp("default") / "index"
    index_documents(DocumentReader(SAMPLE), encoder, folder)
    return folder


def test_it_finds_what_words_do_not(index, sample_index):
    values = []
    for folder in (sample_index, index):
        question = Question(dataset=str(SAMPLE), index=str(folder), exact=True, measures=("nDCG@10",))
        values.append(evaluate_system(question).values.measures["nDCG@10"])
    assert values[1] > values[0] + 0.01


def test_pairs_that_dense_vectors_cannot_tell_apart_are_found(shared_collection):
    place = str(shared_collection("limit-small"))
    assert evaluate_system(Question(dataset=place, measures=("R@2",))).values.measures["R@2"] > 0.95


def test_documents_are_short(index):
    sizes = sorted(generation_of(index).terms_per_document().tolist())
    assert sum(sizes) / len(sizes) <= 180
    assert sizes[int(0.99 * len(sizes))] <= 350


def test_torch_gives_the_same_vectors(encoder):
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from lsr.encoders.network.assemble import read_network
    from lsr.encoders.runners.torch_runner import TorchRunner

    side = encoder.base.source.document
    texts = ["Xylem transports water and minerals from roots to leaves.", "bees dance", ""]
    found, _ = TorchRunner(read_network(side), side.tokenizer, "cpu").run(texts)
    wanted = encoder.base.encode_documents(texts)
    assert np.allclose(found.to_scipy().toarray(), wanted.to_scipy().toarray(), atol=1e-3)
