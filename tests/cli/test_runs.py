import json
import os
import re

import pytest

from lsr.errors import InputError
from lsr.eval import load_collection, read_run, write_trec_run
from tests.cli.test_cli import lsr, refused
from tests.cli.test_encode import run
from tests.conftest import SAMPLE


def written(tmp_path):
    """A run that puts the best document first, and one that puts another before it for half of the queries."""
    qrels = load_collection(SAMPLE).qrels
    best = {query: [(max(graded, key=lambda name: graded[name]), 2.0)] for query, graded in qrels.items()}
    worse = {query: [("nothing", 3.0), *hits] if i % 2 else hits for i, (query, hits) in enumerate(best.items())}
    write_trec_run(tmp_path / "best.run", best)
    write_trec_run(tmp_path / "worse.run", worse)
    return tmp_path / "worse.run", tmp_path / "best.run"


def test_runs_are_compared_query_by_query(tmp_path):
    worse, best = written(tmp_path)
    result = lsr(
        "compare",
        worse,
        best,
        "--qrels",
        SAMPLE,
        "--measures",
        "RR@10",
        "--queries",
        2,
        env={**os.environ, "COLUMNS": "80"},
    )
    assert result.returncode == 0, result.stderr
    row = next(line for line in result.stdout.splitlines() if line.startswith("RR@10")).split()
    assert row[:4] == ["RR@10", "0.7500", "1.0000", "+0.2500"]
    assert row[6] == "45/0/45"
    assert row[-1] == "<.0001"
    assert result.stdout.count("0.5000 -> 1.0000 (+0.5000)") == 2


def test_one_run_is_measured(tmp_path):
    worse, best = written(tmp_path)
    result = lsr("compare", worse, "--qrels", SAMPLE)
    assert result.returncode == 0, result.stderr
    both = lsr("compare", worse, best, "--qrels", SAMPLE).stdout
    found = re.search(r"^RR@10 +([\d.]+) +95 %: [\d.]+ to [\d.]+", result.stdout, re.MULTILINE)
    assert found
    value = found[1]
    assert re.search(rf"^RR@10 +{value} ", both, re.MULTILINE)


def test_queries_that_not_every_run_has_are_noted(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name} Q0 d 1 1.0 x\n")
    result = lsr("fuse", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "fused.run")
    assert "note: 2 queries are not in every run" in result.stderr


def test_runs_are_fused_into_a_run(tmp_path):
    result = lsr("fuse", *written(tmp_path), "--out", tmp_path / "fused.run", "--method", "min-max")
    assert result.returncode == 0, result.stderr
    assert "fused-min-max" in (tmp_path / "fused.run").read_text()
    refused(lsr("fuse", tmp_path / "fused.run", "--out", tmp_path / "x.run"), "found one run, ")


def test_a_damaged_run_is_refused_with_its_line(tmp_path):
    worse, best = written(tmp_path)
    best.write_text(best.read_text() + "1 Q0 d 1 nan x\n")
    refused(lsr("compare", worse, best, "--qrels", SAMPLE), "best.run, line 91: the score is nan")


def test_the_convention_and_intervals_are_written(tmp_path):
    result = lsr("eval", SAMPLE, "--encoder", "bm25", "--convention", "beir", "--json", tmp_path / "x.json")
    values = json.loads((tmp_path / "x.json").read_text())
    assert values["convention"] == "beir"
    low, high = values["intervals"]["nDCG@10"]
    assert low < values["measures"]["nDCG@10"] < high
    assert f"95 %: {low:.4f} to {high:.4f}" in result.stdout
    refused(lsr("eval", SAMPLE, "--convention", "mteb"), "unknown convention 'mteb'")


def test_what_a_search_costs_is_shown_with_how_good_it_is(tmp_path, sample_index):
    result = lsr("eval", SAMPLE, "--index", sample_index, "--threads", 2, "--json", tmp_path / "x.json")
    costs = json.loads((tmp_path / "x.json").read_text())["efficiency"]
    assert 0 < costs["p50_us"] <= costs["p95_us"] <= costs["p99_us"]
    assert 0.5 < costs["recall"] <= 1
    assert costs["threads"] == 2
    assert costs["documents_per_second"] is None  # the index was made before
    assert costs["bytes_per_document"] > costs["document_terms"] > costs["flops"] > 0
    assert all(name in result.stdout for name in ("encode ms", "p99 us", "qps", "flops"))


def test_runs_are_converted_into_each_other(tmp_path):
    (tmp_path / "x.run").write_text("0 Q0 7 1 2.5 x\n0 Q0 12 2 1.5 x\n")
    for name in ("x.json", "x.tsv", "x.gt", "again.run"):
        assert run("convert", tmp_path / "x.run", tmp_path / name).exit_code == 0
    assert read_run(tmp_path / "x.json") == read_run(tmp_path / "again.run") == {"0": [("7", 2.5), ("12", 1.5)]}
    assert read_run(tmp_path / "x.tsv") == {"0": [("7", 1.0), ("12", 0.5)]}
    (tmp_path / "lead.run").write_text("0 Q0 007 1 2.5 x\n0 Q0 7 2 1.5 x\n")
    with pytest.raises(InputError, match=r"by number only: this run has names \('007'\)"):
        run("convert", tmp_path / "lead.run", tmp_path / "lead.gt")
    (tmp_path / "spaced.json").write_text('{"Ann Lee": {"b c": 1}}')
    with pytest.raises(InputError, match=r"the id 'Ann Lee' has white space"):
        run("convert", tmp_path / "spaced.json", tmp_path / "spaced.run", "--from", "json-run")
    run("convert", tmp_path / "spaced.json", tmp_path / "spaced.tsv", "--from", "json-run")
    assert read_run(tmp_path / "spaced.tsv") == {"Ann Lee": [("b c", 1.0)]}


def test_a_run_that_is_fused_is_not_overwritten(tmp_path):
    one, other = written(tmp_path)[:2]
    before = one.read_bytes()
    refused(lsr("fuse", one, other, "--out", one), "is one of the runs: name another file")
    assert one.read_bytes() == before


def test_a_shallow_run_says_that_a_deep_measure_may_be_higher(tmp_path):
    one = written(tmp_path)[0]
    lines = one.read_text().splitlines(keepends=True)
    first = [line for line in lines if line.split()[3] in ("1", "2")]
    (tmp_path / "few.run").write_text("".join(first))
    result = lsr("compare", tmp_path / "few.run", "--qrels", SAMPLE, "--measures", "R@100", "nDCG@2")
    assert "no query has more than 2 results, so R@100 may be higher than this" in " ".join(result.stderr.split())
    assert "so nDCG@2" not in result.stderr
