"""The examples run in a clone as they are, and print what they promise."""

import re
import sys
from itertools import islice

import pytest
import torch

from lsr.corpus import DocumentReader
from lsr.eval import load_collection, write_collection
from tests.conftest import ROOT, SAMPLE

EXAMPLES = ROOT / "examples"


@pytest.fixture
def example(monkeypatch):
    """Function from a name to the module of that example."""

    def run(name):
        monkeypatch.syspath_prepend(str(EXAMPLES))
        monkeypatch.delitem(sys.modules, name, raising=False)
        return __import__(name)

    return run


def test_every_example_is_tested_and_described():
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == set(re.findall(r"\((\w+\.py)\)", (EXAMPLES / "README.md").read_text()))
    assert all(f'example("{name[:-3]}")' in (ROOT / "tests" / "test_examples.py").read_text() for name in names)


def test_own_documents_are_found_by_what_they_are_for(example, capsys):
    program = example("own_documents")
    program.main()
    found = re.findall(r"^  \d+\.\d+  (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert found == ["HL-11", "TN-03", "DR-18"]


@pytest.fixture
def part_of_the_sample(tmp_path):
    """A third of the documents of the sample, with the queries that are judged on them alone."""
    whole = load_collection(SAMPLE)
    documents = [*islice(DocumentReader([SAMPLE]), 80)]
    names = {document.id for document in documents}
    qrels = {query: grades for query, grades in whole.qrels.items() if grades.keys() <= names}
    write_collection(tmp_path / "part", documents, {query: whole.queries[query] for query in qrels}, qrels)
    return tmp_path / "part"


def test_the_table_marks_what_is_better_than_bm25(example, capsys, tmp_path, part_of_the_sample):
    program = example("beir_table")
    program.main(str(part_of_the_sample), tmp_path)
    printed = capsys.readouterr().out
    rows = {line[:16].strip(): re.findall(r"(0\.\d{4})(\*?)", line) for line in printed.splitlines() if "0." in line}
    assert set(rows) == {"bm25", "default", "both, rrf", "both, min-max"}
    assert [mark for _, mark in rows["bm25"]] == ["", "", ""]
    assert all(
        float(better) > float(worse) for (better, _), (worse, _) in zip(rows["default"], rows["bm25"], strict=True)
    )
    assert rows["default"][0][1] == rows["default"][2][1] == "*"
    page = (tmp_path / "report.html").read_text()
    assert "<svg" in page
    assert "both, rrf" in page


@pytest.fixture
def one_thread():
    """Threads of torch that wait for one another on shared cores take three times as long as one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_training_and_adapting_say_what_came_of_them(example, capsys, tmp_path):
    program = example("train_and_adapt")
    program.main(tmp_path)
    printed = capsys.readouterr().out
    ((before, best),) = re.findall(r"queries: (0\.\d+) before, (0\.\d+)", printed)
    assert float(best) >= float(before) > 0.4
    assert re.search(r"kept back: 0\.\d+ before, 0\.\d+ after: (better|no clear difference|worse)\n", printed)
    assert (tmp_path / "run" / "encoder" / "lsr.json").is_file()
    assert (tmp_path / "adapted" / "report.json").is_file()
