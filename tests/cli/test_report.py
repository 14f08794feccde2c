"""`lsr eval` with a report or a certificate, as a shell sees it."""

import json
import shutil
from html.parser import HTMLParser

import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.errors import InputError
from tests.conftest import SAMPLE


def lsr(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)


class Page(HTMLParser):
    """Notes whether elements are closed in order, and what is loaded from elsewhere."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.words = [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.loaded += [value for name, value in attrs if name in ("src", "href") and not value.startswith("#")]
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory, sample_index):
    """A folder with report, certificate and run of the sample's index, against a run of its own."""
    folder = tmp_path_factory.mktemp("evaluated")
    collection = folder / "a <b>"
    shutil.copytree(SAMPLE, collection)
    queries = [json.loads(line) for line in (SAMPLE / "queries.jsonl").read_text().splitlines()]
    texts = [json.dumps({**query, "text": f"<script> {query['text']}"}) for query in queries]
    (collection / "queries.jsonl").write_text("\n".join(texts))
    (folder / "wrong.run").write_text("".join(f"{query['_id']} Q0 nothing 1 1.0 x\n" for query in queries))
    made = lsr(
        *("eval", collection, "--index", sample_index, "--report", folder / "r.html"),
        *("--baseline", folder / "wrong.run", "--certificate", folder / "c.json"),
    )
    assert made.exit_code == 0
    return folder, made


def test_a_report_is_one_sound_file_that_loads_nothing(evaluated):
    folder, made = evaluated
    text = (folder / "r.html").read_text()
    page = Page(text)
    assert page.open == []
    assert page.loaded == []
    assert "<script" not in text
    assert "<script> " in page.words
    assert "prefers-color-scheme: dark" in text
    for part in ("nDCG@10 against ms a query", "recall@10 of exact against us a search", "nDCG@10 difference", "terms"):
        assert f'aria-label="{part}"' in text
    assert "Query by query against wrong" in page.words
    assert "Conventions" in page.words
    assert "approximate (cut 0.12, effort 1)" in made.stdout


def test_a_certificate_is_verified_line_by_line(evaluated):
    folder, _ = evaluated
    done = lsr("eval", "--verify", folder / "c.json")
    assert done.exit_code == 0, done.stdout
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    told = {rest.split("  ")[0]: verdict for verdict, rest in lines}
    for name in ("data: documents", "data: index", "system: fingerprint", "results, in order", "mean: nDCG@10"):
        assert told[name] == "agrees"
    assert told["cost: p50_us"] == "reported"


def test_what_differs_from_a_certificate_is_named(evaluated, tmp_path):
    folder, _ = evaluated
    stated = json.loads((folder / "c.json").read_text())
    stated["measures"]["RR@10"] += 1e-12
    (tmp_path / "c.json").write_text(json.dumps(stated))
    done = lsr("eval", SAMPLE, "--verify", tmp_path / "c.json")  # where queries have other texts
    assert done.exit_code == 1
    differing = [line for line in done.stdout.splitlines() if line.startswith("DIFFERS")]
    assert any("data: queries" in line for line in differing)
    assert any("mean: RR@10" in line for line in differing)
    assert not any("data: documents" in line for line in differing)


def test_a_file_that_is_no_certificate_is_refused(tmp_path):
    (tmp_path / "c.json").write_text('{"format": "x"}')
    with pytest.raises(InputError, match=r"is no certificate .* give a file that --certificate wrote"):
        lsr("eval", "--verify", tmp_path / "c.json")
    for content in (b'{"format": "caf\xe9"}', b"[" * 9999, b"", b"\xff\xfe"):
        (tmp_path / "c.json").write_bytes(content)
        with pytest.raises(InputError, match=r"c.json is no certificate .* give a file that --certificate wrote"):
            lsr("eval", "--verify", tmp_path / "c.json")
    with pytest.raises(InputError, match="--baseline is what --report compares with"):
        lsr("eval", SAMPLE, "--baseline", "x.run")


@pytest.mark.parametrize(("shift", "verdict"), [(1e-7, "agrees"), (1e-3, "DIFFERS")])
def test_another_processor_may_round_otherwise_but_means_agree_as_printed(evaluated, tmp_path, shift, verdict):
    folder, _ = evaluated
    stated = json.loads((folder / "c.json").read_text())
    stated["made"]["machine"]["processor"] = "another one"
    stated["measures"]["RR@10"] += shift
    stated["run"] = stated["per_query"] = "of an order that differs in two equal documents"
    (tmp_path / "c.json").write_text(json.dumps(stated))
    done = lsr("eval", "--verify", tmp_path / "c.json")
    told = {rest.split("  ")[0]: mark for mark, rest in (line.split(maxsplit=1) for line in done.stdout.splitlines())}
    assert told["mean: RR@10"] == verdict
    assert told["results, in order"] == told["values by query"] == "reported"
    assert done.exit_code == (verdict == "DIFFERS")
