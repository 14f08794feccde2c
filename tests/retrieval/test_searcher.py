import threading

import numpy as np
import pytest

from lsr.corpus import Document, DocumentReader
from lsr.encoders import load
from lsr.errors import InputError
from lsr.eval import load_collection
from lsr.index import IndexSettings
from lsr.index.live.snapshots import verify
from lsr.retrieval import Searcher, index_documents
from tests.conftest import SAMPLE

QUERIES = list(load_collection(SAMPLE).queries.values())


def test_shares_add_up_to_the_score(searcher):
    for query in QUERIES[:20]:
        for hit in searcher.search(query):
            shares = searcher.explain(query, hit)
            assert sum(s.share for s in shares) == pytest.approx(hit.score, rel=1e-5)
            assert all(s.share == pytest.approx(s.query_weight * s.document_weight) for s in shares)
            assert [s.share for s in shares] == sorted((s.share for s in shares), reverse=True)


def test_hits_carry_their_document(searcher):
    documents = {d.id: d for d in DocumentReader([SAMPLE])}
    for hit in searcher.search(QUERIES[0]):
        assert documents[hit.id] == Document(hit.id, hit.title, hit.text)


@pytest.mark.parametrize("engine", ["windowed", "seismic"])
def test_approximate_search_finds_what_exact_search_finds(tmp_path, engine):
    index_documents(DocumentReader([SAMPLE]), load("bm25"), tmp_path / "index", IndexSettings(engine))
    assert recall(Searcher.open(tmp_path / "index"), QUERIES) >= 0.95


@pytest.mark.parametrize("engine", ["windowed", "seismic"])
def test_approximate_search_finds_what_exact_search_finds_on_scifact(shared_collection, tmp_path, engine):
    path = shared_collection("scifact")
    index_documents(DocumentReader([path]), load("bm25"), tmp_path / "index", IndexSettings(engine))
    assert recall(Searcher.open(tmp_path / "index"), list(load_collection(path).queries.values())) >= 0.95


def recall(searcher, queries):
    exact, found = (searcher.rank(queries, 10, exact=exact) for exact in (True, False))
    shares = [len({d for d, _ in a} & {d for d, _ in b}) / len(a) for a, b in zip(exact, found, strict=True) if a]
    return np.mean(shares)


def test_a_query_without_known_words_finds_nothing(searcher):
    assert searcher.search("xylqz wqrst") == []


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(searcher, query):
    with pytest.raises(InputError, match="the query is empty"):
        searcher.search(query)


def test_a_vector_asks_what_its_words_ask(searcher):
    vector = searcher.encode(QUERIES[0])
    assert searcher.search(vector) == searcher.search(QUERIES[0])
    with pytest.raises(InputError, match="the query has 2 rows"):
        searcher.search(searcher.encoder.encode_queries(QUERIES[:2]))


def test_k_beyond_the_collection_gives_every_match(searcher):
    found = searcher.search("water", 10_000)
    assert 0 < len(found) < 240
    assert searcher.search("water", 10**15) == found


def test_threads_get_the_same_hits(searcher):
    expected = [searcher.search(query) for query in QUERIES]
    found = {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: [searcher.search(q) for q in QUERIES]})) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[n] for n in range(4)] == [expected] * 4


def test_indexing_twice_gives_the_same_index(tmp_path):
    for name in ("a", "b"):
        index_documents(DocumentReader([SAMPLE]), load("bm25"), tmp_path / name)
    a, b = (verify(tmp_path / name) for name in ("a", "b"))
    assert [info.files for info in a.segments.values()] == [info.files for info in b.segments.values()]
    assert (a.about, a.corpora, a.terms) == (b.about, b.corpora, b.terms)


def test_repeated_ids_are_named_with_their_place(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "x", "text": "a"}\n{"id": "y", "text": "b"}\n{"id": "x", "text": "c"}\n')
    with pytest.raises(InputError, match=r"c.jsonl, line 3: the id 'x' was given before"):
        index_documents(DocumentReader([tmp_path / "c.jsonl"]), load("bm25"), tmp_path / "index")


def test_empty_documents_are_counted(tmp_path):
    documents = [Document("a", "", "bees"), Document("b", "", ""), Document("c", "The", "of")]
    summary = index_documents(documents, load("bm25"), tmp_path / "index")
    assert (summary.documents, summary.empty, summary.truncated) == (3, 2, 0)
    files = (path for path in (tmp_path / "index").rglob("*") if path.is_file() and path.name != ".lock")
    assert summary.bytes == sum(path.stat().st_size for path in files)


def test_a_splade_index_answers_and_explains(splade_tiny, tmp_path):
    documents = list(DocumentReader([SAMPLE]))[:24]
    documents.append(Document("long", "", "word " * 2000 + "zirconium"))
    assert index_documents(documents, load(splade_tiny, truncate=True), tmp_path / "short").truncated == 1
    assert "long" not in {hit.id for hit in Searcher.open(tmp_path / "short").search("zirconium", k=30)}
    assert index_documents(documents, load(splade_tiny), tmp_path / "index").truncated == 0
    searcher = Searcher.open(tmp_path / "index")
    assert searcher.encoder.name == "splade-tiny"
    assert searcher.search("zirconium")[0].id == "long"
    hit = searcher.search(documents[5].title)[0]
    assert hit.id == documents[5].id
    assert sum(s.share for s in searcher.explain(documents[5].title, hit)) == pytest.approx(hit.score, rel=1e-5)
    assert searcher.snippet(documents[5].title, hit).marks
