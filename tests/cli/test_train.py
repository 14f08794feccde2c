"""lsr train lists recipes, trains, and says what is missing."""

import json
import re

import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.errors import InputError, TrainingError
from tests.conftest import ROOT
from tests.encoders.models import bert
from tests.training.runs import PENALTY, TOML, pairs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_the_list_names_every_recipe():
    found = CliRunner().invoke(app, ["train", "list"])
    assert found.exit_code == 0
    assert re.search(r"^\| idf-flops +\| opensearch-doc-v2 +\| kl ", found.output, re.MULTILINE)
    assert found.output in (ROOT / "docs" / "TRAINING.md").read_text()


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match="training needs --model, --data, --dev, --out"):
        CliRunner().invoke(app, ["train", "splade"], catch_exceptions=False)


@pytest.mark.parametrize("mix", [["1"], ["1", "-1"], ["0", "0"], ["1", "inf"]])
def test_weights_that_do_not_fit_the_data_are_refused_before_anything_is_read(mix):
    words = ["train", "splade", "--model", "m", "--data", "a", "--data", "b", "--dev", "d", "--out", "o"]
    with pytest.raises(TrainingError, match="for 2 sources: wanted one each, none negative, one above 0"):
        CliRunner().invoke(app, words + [word for weight in mix for word in ("--mix", weight)], catch_exceptions=False)


def test_a_recipe_file_trains_and_goes_on(tmp_path):
    pairs(tmp_path)
    bert(tmp_path / "bert")
    (tmp_path / "mine.toml").write_text(TOML.format(system="unicoil", more=PENALTY))
    dev = tmp_path / "dev"
    (dev / "qrels").mkdir(parents=True)
    (dev / "corpus.jsonl").write_text('{"_id": "a", "text": "bees dance"}\n{"_id": "b", "text": "castle walls"}\n')
    (dev / "queries.jsonl").write_text('{"_id": "q", "text": "bees"}\n')
    (dev / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    words = ["train", str(tmp_path / "mine.toml"), "--data", str(tmp_path / "pairs.jsonl"), "--dev", str(dev)]
    words += ["--model", str(tmp_path / "bert"), "--out", str(tmp_path / "run")]
    words += ["--data", str(tmp_path / "pairs.jsonl"), "--mix", "3", "--mix", "1"]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "nDCG@10 best" in found.output
    facts = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (facts["examples"], facts["mixing"]) == ([12, 12], [3, 1])
    assert (tmp_path / "run" / "encoder" / "encoder.toml").is_file()
    path = tmp_path / "run" / "checkpoints" / "step-00000008" / "state.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    resumed = CliRunner().invoke(app, [*words, "--resume"], catch_exceptions=False)
    assert resumed.exit_code == 0
    assert "step-00000008: the checkpoint is damaged" in resumed.output
    assert "going on from step 4" in resumed.output
    with pytest.raises(TrainingError, match="learns from no teacher"):
        CliRunner().invoke(app, [*words, "--resume", "--teacher", "bm25"], catch_exceptions=False)
