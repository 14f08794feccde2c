"""lsr mine writes a training folder; lsr adapt shows before and after, and its exit code says what was written."""

import json

import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.errors import InputError
from lsr.training.data.sources import read_data
from tests.conftest import SAMPLE
from tests.encoders.models import bert
from tests.training.adaptation.test_adaptation import RECIPE, corpus


def test_negatives_are_mined_into_a_folder_that_is_read_again(tmp_path):
    words = ["mine", str(SAMPLE), "--out", str(tmp_path / "mined"), "--negatives", "2", "--filter", "0.9", "--scores"]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert "dropped: scored like the positive" in found.output
    record = json.loads((tmp_path / "mined" / "mined.json").read_text())
    assert (record["settings"]["share"], record["report"]["pairs"]) == (0.9, 240)
    examples = read_data([tmp_path / "mined"]).examples[0]
    assert examples.documents.size == 240 + record["report"]["negatives"]
    assert examples.scores is not None
    with pytest.raises(InputError, match="holds training data: choose a new folder"):
        CliRunner().invoke(app, words, catch_exceptions=False)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_an_adapted_encoder_that_is_no_better_ends_with_code_3(tmp_path):
    lines = [json.dumps({"_id": d.id, "title": d.title, "text": d.text}) for d in corpus()]
    (tmp_path / "corpus.jsonl").write_text("\n".join(lines))
    (tmp_path / "slow.toml").write_text(RECIPE.format(rate=1e-12))
    words = ["adapt", str(tmp_path / "corpus.jsonl"), "--encoder", str(bert(tmp_path / "bert")), "--steps", "1"]
    words += ["--recipe", str(tmp_path / "slow.toml"), "--out", str(tmp_path / "out"), "--judged", str(SAMPLE)]
    found = CliRunner().invoke(app, words, catch_exceptions=False)
    assert found.exit_code == 3
    assert "questions kept back" in found.output
    assert f"judged queries of {SAMPLE.name}" in " ".join(found.output.split())
    assert "the adapted encoder was not written (--force keeps it all the same)" in " ".join(found.output.split())
    assert not (tmp_path / "out" / "encoder").exists()
    assert json.loads((tmp_path / "out" / "report.json").read_text())["judged"]["queries"] > 0
