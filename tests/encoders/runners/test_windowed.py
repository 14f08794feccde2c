"""Long texts under every runner: of each term the largest weight of the windows stays."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders import read_system
from lsr.encoders.runners.rows import maxima
from lsr.sparse import SparseMatrix
from tests.reference import largest_of

torch = pytest.importorskip("torch")

from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.encoders.storage.layout import truncated  # noqa: E402
from tests.encoders import models  # noqa: E402
from tests.encoders.systems.test_stems import CORPUS, started, varied  # noqa: E402

LONG = "bees dance to tell other bees where flowers are , a castle had thick walls and a moat " * 9 + "spring garden"
TEXTS = ["the moat", LONG, "", "a castle " * 60, "spring"]


@st.composite
def rows_of_texts(draw):
    row = st.dictionaries(st.integers(0, 9), st.integers(1, 40).map(lambda n: n / 8), max_size=6)
    rows = draw(st.lists(row, min_size=1, max_size=9))
    cuts = draw(st.sets(st.integers(1, len(rows) - 1))) if len(rows) > 1 else set()
    return rows, np.diff([0, *sorted(cuts), len(rows)]).tolist()


@given(rows_of_texts())
def test_the_largest_weight_of_every_term_stays(case):
    rows, counts = case
    assert maxima(SparseMatrix.from_dicts(rows, 10), counts).to_dicts() == largest_of(rows, counts)


def test_rows_of_short_texts_are_left_alone():
    rows = SparseMatrix.from_dicts([{1: 2.0}, {}], 3)
    assert maxima(rows, [1, 1]) is rows
    assert maxima(SparseMatrix.from_dicts([{}, {}, {}], 3), [1, 2]).to_dicts() == [{}, {}]


SYSTEMS = ["splade-v2", "splade-sum", "unicoil", "echo-splade", "csr", "abs-topk", "opensearch-doc-v3"]


def of_stems(system, folder):
    """An encoder of stems whose length is that of the network."""
    source = varied(started(folder, system))
    side = msgspec.structs.replace(source.document.side, max_length=64)
    declaration = source.declaration.replace(document=side)
    return NeuralEncoder(replace(source, declaration=declaration, document=replace(source.document, side=side)), "cpu")


@pytest.fixture(scope="module", params=[*SYSTEMS, "stems", "pooled-stems"])
def encoder(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("windowed")
    if "stems" in request.param:
        return of_stems(request.param, folder)
    network = models.llama if request.param == "echo-splade" else models.bert
    return NeuralEncoder(untrained(read_system(request.param), network(folder / "m"), codes=48, seed=1), device="cpu")


def test_a_long_text_has_the_largest_weights_of_its_windows(encoder):
    runner = encoder.documents
    windows = runner._windows(TEXTS)
    alone = [runner._encoded([tokens]).to_dicts()[0] for tokens in windows.tokens]
    wanted = largest_of(alone, windows.counts)
    assert len(alone) > len(TEXTS)
    for found, expected in zip(runner.run(TEXTS)[0].to_dicts(), wanted, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


def test_short_texts_beside_long_ones_have_the_weights_that_they_have_alone(encoder):
    short = NeuralEncoder(truncated(encoder.source), device="cpu").encode_documents([TEXTS[0], "", TEXTS[4]])
    found = encoder.encode_documents(TEXTS).to_dicts()
    for one, other in zip((found[0], found[2], found[4]), short.to_dicts(), strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_terms_of_a_long_text_come_from_where_they_stand(encoder):
    found = encoder.explain(LONG)
    weights = encoder.encode_documents([LONG]).to_dicts()[0]
    assert {o.term: o.weight for o in found} == pytest.approx(weights, abs=1e-5)
    assert all(-1 <= o.start <= o.end <= len(LONG) for o in found)
    if encoder.source.document.side.head == "token-weight":
        assert all(encoder.terms[o.term] == LONG[o.start : o.end] for o in found)


@pytest.mark.parametrize("name", ["stems", "pooled-stems"])
def test_every_word_of_a_long_text_is_a_term_of_its_vector(name, tmp_path):
    encoder = of_stems(name, tmp_path)
    text = " ".join(CORPUS * 12) + " zirconium"
    spans = {span.term for span in encoder.spans(text)}
    assert spans <= set(encoder.encode_documents([text]).terms.tolist())
    origin = next(o for o in encoder.explain(text) if o.term == encoder.spans("zirconium")[0].term)
    assert text[origin.start : origin.end] == "zirconium"


def test_a_table_looks_up_all_of_a_long_query(tmp_path):
    encoder = NeuralEncoder(untrained(read_system("opensearch-doc-v3"), models.bert(tmp_path / "m")), device="cpu")
    found = encoder.encode_queries([LONG, "bees"])
    assert encoder.terms.index("garden") in found.row(0)[0]
    short = NeuralEncoder(truncated(encoder.source), device="cpu").encode_queries([LONG, "bees"])
    assert encoder.terms.index("garden") not in short.row(0)[0]


def test_dense_systems_read_the_beginning(tmp_path):
    encoder = NeuralEncoder(untrained(read_system("dense-mean"), models.bert(tmp_path / "m")), device="cpu")
    assert np.array_equal(*encoder.encode_dense(["a castle " * 60, "a castle " * 70]))
    assert truncated(encoder.source) is encoder.source


def test_what_truncates_is_saved_and_has_a_fingerprint_of_its_own(tmp_path):
    from lsr.encoders import load, save
    from lsr.encoders.registry import fingerprint_of

    source = untrained(read_system("splade-v2"), models.bert(tmp_path / "m"))
    save(NeuralEncoder(source, "cpu"), tmp_path / "windows")
    truncating = load(tmp_path / "windows", "cpu", truncate=True)
    save(truncating, tmp_path / "truncating")
    again = load(tmp_path / "truncating", "cpu")
    assert again.fingerprint == truncating.fingerprint == fingerprint_of(tmp_path / "windows", truncate=True)
    assert again.fingerprint != fingerprint_of(tmp_path / "windows")
    assert again.observe([LONG]).truncated == 1
    assert 'long_texts = "truncate"' in (tmp_path / "truncating" / "encoder.toml").read_text()
