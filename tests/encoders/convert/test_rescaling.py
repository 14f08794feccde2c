"""Rescaled encoders of stems: logits times a factor, another threshold, everything else as it was."""

import math
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.encoders import load
from lsr.encoders.convert.rescale import rescale
from lsr.encoders.declaration import read_system
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

from lsr.encoders.convert.export import export_onnx  # noqa: E402
from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.training.recipe import StemChoice  # noqa: E402
from lsr.training.student.stem_initialisation import write_start  # noqa: E402
from tests.encoders import models  # noqa: E402

CORPUS = ["bees dance to tell other bees where flowers are", "a castle had thick walls", "the moat of the castle"]
CHOICE = StemChoice(named=8, buckets=16, rows=6)
TEXT = "bees in the garden"


@pytest.fixture(scope="module", params=["stems", "pooled-stems"])
def start(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rescaling")
    return write_start(
        read_system(request.param), models.bert(folder / "model", layers=2), CORPUS, CHOICE, folder / "start"
    )


def weights(folder):
    matrix = load(folder, device="cpu").encode_documents([TEXT])
    return dict(zip(matrix.terms.tolist(), matrix.values.tolist(), strict=True))


def test_expansions_grow_and_literal_weights_stay(start, tmp_path):
    everything = ["--threshold", "0"]
    for factor in ("1", "3"):
        command = ["encoders", "rescale", str(start), "--expansions", factor, *everything]
        assert CliRunner().invoke(app, [*command, "--out", str(tmp_path / factor)]).exit_code == 0
    before, after = weights(tmp_path / "1"), weights(tmp_path / "3")
    encoder = load(start, device="cpu")
    own = {span.term for span in encoder.spans(TEXT)}
    fired = before.keys() - own
    assert fired
    assert own
    assert before.keys() == after.keys()
    for term in fired:
        assert after[term] == pytest.approx(math.log1p(3 * math.expm1(before[term])), rel=0.01, abs=1e-3)


def widest_gap(values):
    """The neighbours of ascending values that are farthest apart."""
    return max(pairwise(values), key=lambda pair: pair[1] - pair[0])


def test_a_threshold_leaves_small_weights_out(start, tmp_path):
    rescale(start, tmp_path / "all", 1.0, 0.0)
    every = weights(tmp_path / "all")
    small, large = widest_gap(sorted(every.values()))
    share = (small + large) / 2 / max(every.values())  # on no weight, so that rounding decides nothing
    rescale(start, tmp_path / "few", 1.0, share)
    kept = {term: weight for term, weight in every.items() if weight >= large}
    assert 0 < len(kept) < len(every)
    assert weights(tmp_path / "few") == pytest.approx(kept)


def test_what_cannot_be_rescaled_is_refused(start, tmp_path):
    encoder = load(start, device="cpu")
    assert isinstance(encoder, NeuralEncoder)
    export_onnx(encoder, tmp_path / "onnx")
    other = NeuralEncoder(untrained(read_system("unicoil"), models.bert(tmp_path / "model")), device="cpu")
    (tmp_path / "other").mkdir()
    other.save(tmp_path / "other")
    for folder in (tmp_path / "onnx", tmp_path / "other"):
        with pytest.raises(EncoderError, match="wanted an encoder of stems that lsr train"):
            rescale(folder, tmp_path / "new")
    with pytest.raises(EncoderError, match="is there already"):
        rescale(start, start)
    with pytest.raises(EncoderError, match="factor 0, threshold None: wanted more than 0"):
        rescale(start, tmp_path / "new", 0.0)
