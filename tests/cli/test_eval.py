"""`lsr eval` and its neighbours, as a shell sees them: judgements alone, runs of topics, names of measures, the end."""

import json
import os
import signal
import subprocess
import time

import pytest

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.eval import load_collection, read_run, write_collection
from tests.cli.test_cli import LSR, lsr, refused
from tests.cli.test_encode import run
from tests.conftest import SAMPLE

DOCUMENTS = [Document("b c", "", "bees dance in spring"), Document("d", "", "rivers flow"), Document("e", "", "bees")]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Judgements and topics of the sample, each a file alone."""
    folder = tmp_path_factory.mktemp("asked")
    sample = load_collection(SAMPLE)
    (folder / "topics.tsv").write_text("".join(f"{query}\t{text}\n" for query, text in sample.queries.items()))
    pairs = [(query, *pair) for query, graded in sample.qrels.items() for pair in graded.items()]
    (folder / "qrels.txt").write_text("".join(f"{query} 0 {name} {grade}\n" for query, name, grade in pairs))
    return folder


@pytest.fixture(scope="module")
def spaced(tmp_path_factory):
    """A collection and its index whose ids hold spaces."""
    folder = tmp_path_factory.mktemp("spaced")
    write_collection(
        folder / "set", DOCUMENTS, {"Ann Lee": "bees", "2": "rivers"}, {"Ann Lee": {"b c": 1}, "2": {"d": 1}}
    )
    run("index", folder / "set", "--out", folder / "index", "--encoder", "bm25")
    return folder


def test_judgements_alone_say_what_else_is_wanted(asked, sample_index):
    with pytest.raises(InputError, match=r"qrels.txt is neither a folder nor a zip, .* --topics FILE, .* --index DIR"):
        run("eval", asked / "qrels.txt", "--index", sample_index)
    with pytest.raises(InputError, match=r"qrels.txt holds judgements, no documents: give --index DIR"):
        run("eval", asked / "qrels.txt", "--topics", asked / "topics.tsv", "--encoder", "bm25")


@pytest.mark.parametrize("given", [(), ("--topics", "t"), ("--run", "r"), ("--topics", "t", "--exact")])
def test_without_judgements_index_topics_and_run_are_wanted(sample_index, given):
    with pytest.raises(
        InputError, match=r"missing argument DATASET: .* --index, --topics and --run together write a run"
    ):
        run("eval", "--index", sample_index, *given)


@pytest.mark.parametrize("name", ["x.run", "x.tsv", "x.json"])
def test_topics_without_judgements_become_a_run(asked, sample_index, tmp_path, name):
    done = run("eval", "--index", sample_index, "--topics", asked / "topics.tsv", "--exact", "--run", tmp_path / name)
    found = read_run(tmp_path / name)
    results = sum(map(len, found.values()))
    assert (
        f"wrote {tmp_path / name}: 90 queries, {results:,} results (exact search, at most 1,000 a query)" in done.stderr
    )
    assert done.stdout == ""
    run("eval", SAMPLE, "--index", sample_index, "--exact", "--measures", "AP", "--run", tmp_path / "judged.run")
    judged = read_run(tmp_path / "judged.run")
    assert {query: {name for name, _ in hits} for query, hits in judged.items()} == {
        query: {name for name, _ in hits} for query, hits in found.items()
    }


def test_measures_say_how_many_results_a_run_of_topics_has(asked, sample_index, tmp_path):
    where = ("--index", sample_index, "--topics", asked / "topics.tsv", "--run", tmp_path / "x.run")
    assert "at most 5 a query" in run("eval", *where, "--measures", "P@5").stderr
    assert max(map(len, read_run(tmp_path / "x.run").values())) == 5
    with pytest.raises(InputError, match=r"--json: wanted a judged collection beside it"):
        run("eval", *where, "--json", tmp_path / "x.json")


def test_ids_with_spaces_go_into_the_forms_that_are_named(spaced, tmp_path):
    (tmp_path / "topics.tsv").write_text("Ann Lee\tbees\n2\trivers\n")
    where = ("--index", spaced / "index", "--measures", "RR@10")
    for source in ((spaced / "set",), ("--topics", tmp_path / "topics.tsv")):
        with pytest.raises(InputError, match=r"the id 'Ann Lee' has white space, .*call the file .tsv .* or .json"):
            run("eval", *source, *where, "--run", tmp_path / "x.run")
        for name in ("x.tsv", "x.json"):
            run("eval", *source, *where, "--run", tmp_path / name)
            assert [hit for hit, _ in read_run(tmp_path / name)["Ann Lee"]] == ["e", "b c"]
    compared = run("compare", tmp_path / "x.tsv", tmp_path / "x.json", "--qrels", spaced / "set", "--measures", "RR@10")
    assert compared.stdout.splitlines()[-1].split()[:3] == ["RR@10", "0.7500", "0.7500"]
    run("fuse", tmp_path / "x.tsv", tmp_path / "x.json", "--out", tmp_path / "fused.json")
    assert [hit for hit, _ in read_run(tmp_path / "fused.json")["Ann Lee"]] == ["e", "b c"]
    report = ("--report", tmp_path / "r.html", "--baseline", tmp_path / "fused.json")
    assert run("eval", spaced / "set", *where, *report).exit_code == 0


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["MRR@10", "map"], {"RR@10", "AP"}),
        (["map", "ndcg_cut_10", "recall_100", "P_10"], {"AP", "nDCG@10", "R@100", "P@10"}),
        (["nDCG@10,R@5"], {"nDCG@10", "R@5"}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_measures_have_the_names_of_other_tools_too(spaced, tmp_path, words, names, first):
    given = ["--measures", *words]
    given = [*given, spaced / "set"] if first else [spaced / "set", *given]
    run("eval", *given, "--index", spaced / "index", "--json", tmp_path / "x.json")
    assert {*json.loads((tmp_path / "x.json").read_text())["measures"]} == names


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["MRR@10", "foo"], "unknown measure 'foo': wanted names such as .* no file or folder has this name"),
        (["MRR@10", "nDCG10"], r"unknown measure 'nDCG10': did you mean nDCG@10\?"),
        (["nDGC@10"], r"unknown measure 'nDGC@10': did you mean nDCG@10\?"),
        *[([name], f"unknown measure '{name}'") for name in ("P@0", "R@0", "nDCG@5.5", "P@1e2", "INST", "Judged@0")],
        (["RR", "P@0"], "unknown measure 'P@0': cutoff is 0"),
    ],
)
def test_other_names_are_refused_before_anything_is_read(words, message):
    with pytest.raises(InputError, match=message):
        run("eval", "nowhere", "--measures", *words)
    with pytest.raises(InputError, match=message):
        run("compare", "a.run", "b.run", "--qrels", "nowhere", "--measures", *words)


def test_a_measure_that_would_end_the_process_is_one_line(spaced):
    refused(lsr("eval", spaced / "set", "--encoder", "bm25", "--measures", "P@0"), "unknown measure 'P@0'")


def test_numbers_that_meet_by_chance_are_not_noted(tmp_path):
    texts = {"1": "bees dance", "2": "rivers flow", "3": "bees and rivers"}
    documents = [Document(name, "", f"{text} in spring") for name, text in texts.items()]
    write_collection(tmp_path / "set", documents, texts, {"1": {"3": 1}, "2": {"2": 1}, "3": {"1": 1}})
    shown = run("eval", tmp_path / "set", "--encoder", "bm25")
    assert "own id" in shown.stderr  # each query is the first document that it finds, mostly not the relevant one
    write_collection(tmp_path / "own", documents, texts, {name: {name: 1} for name in texts})
    assert "own id" not in run("eval", tmp_path / "own", "--encoder", "bm25").stderr
    beir = run("eval", tmp_path / "own", "--encoder", "bm25", "--convention", "beir").stderr
    assert "3 queries found the document of the query's own id: taken out; kept in trec" in beir


def test_cranfield_has_no_note_of_own_ids(shared_collection):
    assert "own id" not in run("eval", shared_collection("cranfield"), "--encoder", "bm25").stderr


def test_sums_are_compared_as_sums(spaced, tmp_path):
    (tmp_path / "a.tsv").write_text("Ann Lee\te\t1\n2\td\t1\n")
    (tmp_path / "b.tsv").write_text("Ann Lee\te\t1\nAnn Lee\tb c\t2\n2\td\t1\n")
    shown = run(
        "compare", tmp_path / "a.tsv", tmp_path / "b.tsv", "--qrels", spaced / "set", "--measures", "NumRet", "P@2"
    )
    rows = {
        line.split()[0]: line.split()[1:4] for line in shown.stdout.splitlines() if line.startswith(("NumRet", "P@2"))
    }
    assert rows == {"NumRet": ["2.0000", "3.0000", "+1.0000"], "P@2": ["0.2500", "0.5000", "+0.2500"]}


def test_what_is_piped_has_one_row_a_line():
    rows = run("data", "list", SAMPLE.parent).stdout.splitlines()
    quora = [line for line in rows if line.startswith("quora")]
    assert len(quora) == 1
    assert "get quora: https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/quora.zip" in rows
    assert "a query may be one of the documents: use --convention beir" in quora[0]
    result = lsr("data", "list", SAMPLE.parent, env={**os.environ, "COLUMNS": "60"})
    assert [line.rstrip() for line in result.stdout.splitlines()] == [line.rstrip() for line in rows]


def test_weights_that_make_no_numbers_are_refused(spaced, tmp_path):
    (tmp_path / "a.run").write_text("1 Q0 a 1 1e308 x\n")
    for weights in (("nan", "1"), ("inf", "1")):
        with pytest.raises(InputError, match=r"found the weights .* wanted finite numbers"):
            run("fuse", *[tmp_path / "a.run"] * 2, "--out", tmp_path / "o.run", *_each("--weight", weights))
    with pytest.raises(InputError, match="query '1', document 'a': the linear score is inf"):
        run("fuse", *[tmp_path / "a.run"] * 2, "--out", tmp_path / "o.run", "--method", "linear")
    assert not (tmp_path / "o.run").exists()


def _each(option, values):
    return [word for value in values for word in (option, value)]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_request_to_end_leaves_nothing_temporary(tmp_path, number, code):
    with (tmp_path / "corpus.jsonl").open("w") as corpus:  # enough to read for a while
        corpus.writelines(f'{{"_id": "{i}", "text": "word{i} and more"}}\n' for i in range(400_000))
    (tmp_path / "queries.jsonl").write_text('{"_id": "1", "text": "x"}\n')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("1\ta\t1\n")
    (tmp_path / "tmp").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(
        [LSR, "eval", tmp_path, "--encoder", "bm25"], stderr=subprocess.PIPE, env=environment
    ) as process:
        deadline = time.monotonic() + 60
        while (
            not list((tmp_path / "tmp").glob("lsr-eval-*/*")) and time.monotonic() < deadline and process.poll() is None
        ):
            time.sleep(0.02)
        assert list((tmp_path / "tmp").glob("lsr-eval-*/*"))
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert b"Traceback" not in said
    assert not list((tmp_path / "tmp").iterdir())
