import gzip
import json
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lsr.cli.app import app, command_names
from tests.conftest import SAMPLE

LSR = Path(sys.executable).with_name("lsr")


def lsr(*args, **options):
    return subprocess.run([LSR, *map(str, args)], capture_output=True, text=True, timeout=240, check=False, **options)


def refused(result, *parts):
    """Exit code 2, one line on standard error, no traceback."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert result.returncode == 2, result.stderr
    assert len(lines) == 1
    assert "Traceback" not in result.stderr
    assert all(part in lines[0] for part in parts), lines[0]


def test_the_version_is_printed():
    result = lsr("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("lsr 0.")


@pytest.mark.parametrize("name", command_names())
def test_every_command_shows_an_example(name):
    result = CliRunner().invoke(app, [name, "--help"])
    assert result.exit_code == 0
    assert f"Example: lsr {name} " in result.stdout


def test_no_torch_is_loaded_for_bm25(sample_index):
    code = (
        "import sys; from lsr.retrieval import Collection; from lsr.api import create_app\n"
        f"app = create_app(Collection.open({str(sample_index)!r}))\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_corpus_is_indexed_searched_and_checked(tmp_path):
    corpus = tmp_path / "corpus.jsonl.gz"
    lines = (SAMPLE / "corpus.jsonl").read_bytes().splitlines(keepends=True)
    some = [line for at, line in enumerate(lines) if at % 6 == 0 or b" bees" in line]
    corpus.write_bytes(gzip.compress(b"".join(some)))
    made = lsr("index", corpus, "--out", tmp_path / "index")
    assert made.returncode == 0, made.stderr
    facts = ("documents", str(len(some)), "terms", "non-zeros", "bytes", "seconds", "truncated documents")
    assert all(fact in made.stdout for fact in facts)
    assert "100%" in made.stderr

    shown = lsr("search", tmp_path / "index", "bees", "-k", 2, "--explain")
    assert "**" in shown.stdout
    assert "score" in shown.stdout

    hits = json.loads(lsr("search", tmp_path / "index", "how do bees dance", "--json", "--explain").stdout)["hits"]
    assert 0 < len(hits) <= 10
    for hit in hits:
        assert sum(term["share"] for term in hit["terms"]) == pytest.approx(hit["score"], rel=1e-5)
        assert all(0 <= start < end <= len(hit["snippet"]) for start, end in hit["marks"])
    exact = json.loads(lsr("search", tmp_path / "index", "how do bees dance", "--json", "--exact").stdout)["hits"]
    assert [h["id"] for h in exact] == [h["id"] for h in hits]

    checked = lsr("check", tmp_path / "index")
    assert "all checksums right" in checked.stdout


def test_no_word_of_a_long_document_is_lost_unless_it_is_truncated(tmp_path):
    (tmp_path / "c.jsonl").write_text(json.dumps({"id": "long", "text": "bees dance " * 600 + "zirconium"}))
    whole = lsr("index", tmp_path / "c.jsonl", "--out", tmp_path / "whole")
    assert "warning" not in whole.stderr
    assert json.loads(lsr("search", tmp_path / "whole", "zirconium", "--json").stdout)["hits"][0]["id"] == "long"
    begun = lsr("index", tmp_path / "c.jsonl", "--out", tmp_path / "begun", "--truncate")
    assert "warning: 1 document is longer than default reads (256 word-pieces)" in begun.stderr
    nothing = lsr("search", tmp_path / "begun", "zirconium").stderr
    assert "of a long document the first 256 word-pieces are read" in nothing


def test_standard_input_and_named_fields_are_indexed(tmp_path):
    lines = '{"key": 1, "body": "bees dance"}\n{"key": 2, "body": "castle moat"}\n'
    args = ("index", "-", "--out", tmp_path / "index", "--id-field", "key", "--text-field", "body")
    assert lsr(*args, input=lines).returncode == 0
    assert json.loads(lsr("search", tmp_path / "index", "moats", "--json").stdout)["hits"][0]["id"] == "2"


def test_evaluation_writes_table_run_and_json(tmp_path, sample_index):
    files = ("--run", tmp_path / "x.run", "--json", tmp_path / "x.json")
    direct = lsr("eval", SAMPLE, "--encoder", "bm25", "--measures", "nDCG@10", "R@100", "P@5", *files)
    assert direct.returncode == 0, direct.stderr
    values = json.loads((tmp_path / "x.json").read_text())
    assert list(values["measures"]) == ["nDCG@10", "R@100", "P@5"]
    assert f"{values['measures']['nDCG@10']:.4f}" in direct.stdout
    assert len(values["per_query"]["nDCG@10"]) == values["queries"] == 90
    assert (tmp_path / "x.run").read_text().splitlines()[0].split()[1] == "Q0"
    served = lsr("eval", "--measures", "nDCG@10", "R@100", SAMPLE, "--index", sample_index)
    assert f"{values['measures']['nDCG@10']:.2f}" in served.stdout
    assert "approximate" in served.stdout


def test_an_index_is_tuned_on_queries(tmp_path, sample_index):
    shutil.copytree(sample_index, tmp_path / "index")
    tuned = lsr("tune", tmp_path / "index", "--recall", 0.9, "--queries", SAMPLE / "queries.jsonl")
    assert tuned.returncode == 0, tuned.stderr
    assert all(name in tuned.stdout for name in ("recall", "95 %", "p50 us", "p99 us", "cut"))
    assert "measured on 44 queries held out (given queries)" in tuned.stderr
    assert "now give recall 0.9 at k = 10" in tuned.stderr
    assert lsr("check", tmp_path / "index").returncode == 0
    found = [
        lsr("search", tmp_path / "index", "bees", "--json", *how).stdout for how in (["--recall", "1"], ["--exact"])
    ]
    assert found[0] == found[1] != ""


def test_the_server_answers_over_http(sample_index):
    process = subprocess.Popen([LSR, "serve", sample_index, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr
    try:
        line = next(line for line in process.stderr if "http://" in line)
        address = line.split(" at ")[1].split()[0]
        with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
            assert json.load(answer)["status"] == "ok"
        request = urllib.request.Request(f"{address}/v1/search", b'{"query": "bees", "k": 1}')
        request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert len(json.load(answer)["hits"]) == 1
        port = address.rsplit(":", 1)[1]
        refused(lsr("serve", sample_index, "--port", port), f"cannot listen on 127.0.0.1:{port}", "choose another")
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(30)


def test_a_reader_that_leaves_early_is_no_fault(sample_index):
    command = f"{LSR} search {sample_index} water --json | head -c 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=240, check=False)
    assert result.stdout == "{"
    assert result.stderr == ""


@pytest.mark.parametrize("query", ["xylqz", "the of", "?!", "東京", "5" * 5000])
def test_unknown_words_find_nothing_and_are_no_error(sample_index, query):
    found = lsr("search", sample_index, query, "--json")
    assert found.returncode == 0
    assert json.loads(found.stdout) == {"query": query, "hits": []}
    found = lsr("search", sample_index, query)
    assert found.returncode == 0
    assert found.stdout == ""
    assert "no hits: no word of the query" in found.stderr


class TestBadInput:
    def index(self, tmp_path, content, *more):
        (tmp_path / "c.jsonl").write_bytes(content)
        result = lsr("index", tmp_path / "c.jsonl", "--out", tmp_path / "index", *(more or ("--encoder", "bm25")))
        assert not (tmp_path / "index").exists()
        return result

    def test_missing_file(self, tmp_path):
        result = lsr("index", tmp_path / "none.jsonl", "--out", tmp_path / "index")
        refused(result, "no such file or folder", "none.jsonl")
        assert not (tmp_path / "index").exists()

    def test_broken_json(self, tmp_path):
        refused(self.index(tmp_path, b'{"id": "1", "text": "x"}\n{"id"\n'), "c.jsonl, line 2: not JSON")

    def test_duplicate_id(self, tmp_path):
        line = b'{"id": "same", "text": "x y z"}\n'
        refused(self.index(tmp_path, line + line), "line 2: the id 'same' was given before")

    def test_not_utf8(self, tmp_path):
        refused(self.index(tmp_path, b'{"id": "1", "text": "\xe9"}\n'), "c.jsonl, line 1: not UTF-8")

    def test_unknown_encoder(self, tmp_path):
        result = self.index(tmp_path, b'{"id": "1", "text": "x"}\n', "--encoder", "nope")
        refused(result, "unknown encoder 'nope'", "wanted default, bm25 or a folder")

    def test_no_documents(self, tmp_path):
        refused(self.index(tmp_path, b""), "no documents")

    def test_empty_text_is_indexed_and_told(self, tmp_path):
        (tmp_path / "c.jsonl").write_text('{"id": "1", "text": "word here"}\n{"id": "2", "text": ""}\n')
        result = lsr("index", tmp_path / "c.jsonl", "--out", tmp_path / "index", "--encoder", "bm25")
        assert result.returncode == 0
        assert "warning: 1 document holds no term" in result.stderr

    def test_the_previous_index_is_untouched(self, tmp_path):
        good = tmp_path / "good.jsonl"
        good.write_text('{"id": "1", "text": "word here"}\n')
        lsr("index", good, "--out", tmp_path / "index", "--encoder", "bm25")
        before = self.files(tmp_path / "index")
        (tmp_path / "bad.jsonl").write_text('{"id": "1", "text": "word"}\n{')
        refused(lsr("index", tmp_path / "bad.jsonl", "--out", tmp_path / "index"), "line 2: not JSON")
        assert self.files(tmp_path / "index") == before

    def files(self, folder):
        """What is in each file, but for that which says who writes."""
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}

    def test_half_written_index(self, tmp_path):
        (tmp_path / "index" / "segments" / "000001-0123abcd").mkdir(parents=True)
        refused(lsr("search", tmp_path / "index", "x"), "half-written index", "run lsr index again")

    def test_wrong_format_version(self, tmp_path):
        (tmp_path / "manifest.json").write_text('{"format": "lsr-index", "version": 7}')
        refused(lsr("search", tmp_path, "x"), "has index format 7, this lsr reads formats 2 and 3")

    def test_empty_query(self, sample_index):
        refused(lsr("search", sample_index, " "), "the query is empty")

    def test_a_file_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").touch()
        for path, fault in ((tmp_path / "file" / "x.json", "exists"), (tmp_path, "a folder")):
            result = lsr("eval", SAMPLE, "--encoder", "bm25", "--json", path)
            refused(result, "cannot write", fault, "name another file")
            assert "%" not in result.stderr  # before anything is measured

    def test_the_folder_of_a_file_is_made(self, tmp_path):
        result = lsr("eval", SAMPLE, "--encoder", "bm25", "--json", tmp_path / "new" / "x.json")
        assert result.returncode == 0, result.stderr
        assert (tmp_path / "new" / "x.json").is_file()

    def test_a_recall_that_is_none(self, sample_index):
        refused(lsr("search", sample_index, "bees", "--recall", "1.5"), "recall is 1.5: wanted a share above 0")
        refused(lsr("tune", sample_index, "--recall", "0"), "recall is 0.0: wanted a share above 0")

    def test_unknown_measure(self):
        refused(lsr("eval", SAMPLE, "--measures", "wow@3"), "unknown measure 'wow@3'")

    def test_encoder_and_index_together(self, sample_index):
        refused(lsr("eval", SAMPLE, "--encoder", "bm25", "--index", sample_index), "exclude each other")

    def test_unknown_option(self):
        result = lsr("search", "x", "y", "--colour")
        assert result.returncode == 2
        assert "No such option" in result.stderr
