"""Collections of ir_datasets, from files on this disk; nothing is fetched."""

import importlib.util

import pytest

from lsr.corpus import Document, DocumentReader
from lsr.corpus.layouts import irds
from lsr.errors import InputError, MissingExtraError
from lsr.eval import load_collection

INSTALLED = importlib.util.find_spec("ir_datasets") is not None


@pytest.mark.skipif(INSTALLED, reason="ir_datasets is installed")
def test_the_missing_extra_is_named():
    with pytest.raises(
        MissingExtraError, match=r"irds:beir/scifact/test needs the package 'ir_datasets': run pip .*irds"
    ):
        load_collection("irds:beir/scifact/test")


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """A collection of three files, known to ir_datasets by a name."""
    monkeypatch.setenv("IR_DATASETS_HOME", str(tmp_path / "home"))
    ir_datasets = pytest.importorskip("ir_datasets")
    from ir_datasets.datasets.base import Dataset
    from ir_datasets.formats import TrecQrels, TsvDocs, TsvQueries
    from ir_datasets.util import Download, LocalDownload, RequestsDownload

    (tmp_path / "docs.tsv").write_text("d1\tbees dance\nd2\tmoats\n")
    (tmp_path / "queries.tsv").write_text("q1\tbees\n")

    def local(name):
        return LocalDownload(tmp_path / name)

    away = Download([RequestsDownload("https://example.org/qrels")], cache_path=tmp_path / "qrels.txt", size_hint=77)
    name = f"lsr-test-{tmp_path.name}"
    ir_datasets.registry.register(
        name, Dataset(TsvDocs(local("docs.tsv")), TsvQueries(local("queries.tsv")), TrecQrels(away, {}))
    )
    return f"irds:{name}"


def test_a_collection_on_this_disk_is_read(registered, tmp_path):
    (tmp_path / "qrels.txt").write_text("q1 0 d1 2\n")
    irds.fetch(registered)  # all is here: nothing to fetch
    found = load_collection(registered)
    assert (found.name, found.queries, found.qrels) == (registered, {"q1": "bees"}, {"q1": {"d1": 2}})
    assert list(DocumentReader([found.path])) == [Document("d1", "", "bees dance"), Document("d2", "", "moats")]


def test_nothing_is_fetched_unasked(registered, tmp_path):
    with pytest.raises(InputError, match=r"would fetch https://example.org/qrels \(77 bytes\) .* add --download"):
        load_collection(registered)
    assert not (tmp_path / "qrels.txt").exists()


def test_an_unknown_name_is_refused():
    pytest.importorskip("ir_datasets")
    with pytest.raises(InputError, match="ir_datasets knows no collection 'no/such'"):
        load_collection("irds:no/such")
    with pytest.raises(InputError, match="irds:beir has no docs"):
        list(DocumentReader(["irds:beir"]))
