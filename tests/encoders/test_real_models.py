"""Weights that people use, where they are beside the tests (LSR_TEST_MODELS)."""

import os
from pathlib import Path

import numpy as np
import pytest

from lsr.encoders import load, read_system
from tests.conftest import ROOT

pytest.importorskip("torch")

from lsr.encoders.network.assemble import untrained
from lsr.encoders.neural import NeuralEncoder

TEXTS = ["Bees dance to tell other bees where flowers are.", "A castle had thick walls.", "how do bees find flowers"]


def real(name):
    folder = Path(os.environ.get("LSR_TEST_MODELS", ROOT / ".cache" / "models")) / name
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"no weights in {folder}")
    return folder


def test_minilm_gives_the_vectors_of_sentence_transformers():
    package = pytest.importorskip("sentence_transformers")
    folder = real("all-MiniLM-L6-v2")
    encoder = load(folder, device="cpu")
    assert isinstance(encoder, NeuralEncoder)
    expected = package.SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(TEXTS)
    assert np.abs(encoder.encode_dense(TEXTS) - expected).max() < 1e-4


def test_codes_of_minilm_keep_at_most_k_latents():
    encoder = NeuralEncoder(untrained(read_system("csr"), real("all-MiniLM-L6-v2")), device="cpu")
    matrix = encoder.encode_documents(TEXTS)
    assert matrix.dim == 4 * 384
    assert (np.diff(matrix.indptr) <= 32).all()
    products = (matrix.to_scipy() @ matrix.to_scipy().T).toarray()
    assert np.diag(products) == pytest.approx(1, abs=1e-5)
    assert products[0, 2] > products[0, 1]  # even random projections keep near texts near


@pytest.mark.parametrize("system", ["csplade", "echo-splade"])
def test_a_real_decoder_is_a_sparse_encoder(system):
    encoder = load(real("smollm2"), device="cpu", system=system)
    assert encoder.encode_documents(TEXTS).shape == (3, 49152)
    assert encoder.explain(TEXTS[0])[0].weight > 0
