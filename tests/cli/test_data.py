import json

from tests.cli.test_cli import lsr, refused
from tests.conftest import SAMPLE


def test_collections_are_listed_with_where_to_get_others():
    result = lsr("data", "list", SAMPLE.parent)
    assert result.returncode == 0, result.stderr
    assert "sample" in result.stdout
    assert "arguana" in result.stdout


def test_a_made_task_can_be_evaluated(tmp_path):
    made = lsr("data", "task", SAMPLE, "--kind", "part", "--queries", 40, "--out", tmp_path / "task")
    assert "240 documents, 40 queries" in made.stderr
    lsr("eval", tmp_path / "task", "--encoder", "bm25", "--json", tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["measures"]["RR@10"] > 0.9
    refused(lsr("data", "task", SAMPLE, "--out", tmp_path / "task"), "choose a new folder")


def test_a_limit_collection_is_made_and_word_matching_solves_it(tmp_path):
    made = lsr("data", "limit", "--people", 300, "--out", tmp_path / "limit")
    assert "300 documents, 1,000 queries" in made.stderr
    lsr("eval", tmp_path / "limit", "--encoder", "bm25", "--measures", "R@2", "--json", tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text())["measures"]["R@2"] > 0.95
