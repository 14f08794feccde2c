"""Averages of encoders: the mean of every tensor, and what cannot be averaged is told apart."""

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.encoders import load
from lsr.encoders.convert.average import average
from lsr.encoders.declaration import read_system
from lsr.encoders.storage.files import read_tensors
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from tests.encoders import models  # noqa: E402


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two encoders with one tokenizer and other weights."""
    home = tmp_path_factory.mktemp("runs")
    for seed in (1, 2):
        model = models.bert(home / f"model-{seed}", seed=seed)
        (home / str(seed)).mkdir()
        NeuralEncoder(untrained(read_system("unicoil"), model, seed=seed), device="cpu").save(home / str(seed))
    return home / "1", home / "2"


def test_every_tensor_is_the_mean(runs, tmp_path):
    done = CliRunner().invoke(app, ["encoders", "average", *map(str, runs), "--out", str(tmp_path / "mean")])
    assert done.exit_code == 0
    places = sorted(path.relative_to(runs[0]) for path in runs[0].rglob("*.safetensors"))
    assert places
    for place in places:
        first, second, mean = (read_tensors(folder / place) for folder in (*runs, tmp_path / "mean"))
        for name, tensor in mean.items():
            assert np.allclose(tensor, (first[name] + second[name]) / 2, atol=1e-6)
    found = load(tmp_path / "mean", device="cpu")
    assert len(found.encode_documents(["bees dance"])) == 1
    assert found.fingerprint not in {load(folder, device="cpu").fingerprint for folder in runs}


def test_what_does_not_fit_together_is_refused(runs, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    text = (other / "encoder.toml").read_text()
    (other / "encoder.toml").write_text(text + "\n# changed\n")
    with pytest.raises(EncoderError, match=r"differ in encoder\.toml: wanted two runs of one start"):
        average([runs[0], other], tmp_path / "mean")
    with pytest.raises(EncoderError, match="wanted two or more"):
        average(runs[:1], tmp_path / "mean")
    with pytest.raises(EncoderError, match="is there already"):
        average(runs, runs[0])
    with pytest.raises(EncoderError, match=r"holds no encoder\.toml"):
        average([runs[0], tmp_path], tmp_path / "mean")


def test_tensors_of_other_shapes_leave_nothing_behind(runs, tmp_path):
    from safetensors.numpy import save_file

    other = tmp_path / "other"
    shutil.copytree(runs[1], other)
    place = next(other.rglob("parts.safetensors"))
    save_file({name: np.zeros(7, np.float32) for name in read_tensors(place)}, place)
    with pytest.raises(EncoderError, match="hold other tensors: wanted two runs of one start"):
        average([runs[0], other], tmp_path / "mean")
    assert not (tmp_path / "mean").exists()
