from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from lsr.api import Settings, create_app
from lsr.errors import StorageError


@pytest.fixture(scope="module")
def client(searcher):
    with TestClient(create_app(searcher), raise_server_exceptions=False) as client:
        yield client


def search(client, **body):
    return client.post("/v1/search", json=body)


def test_health_says_what_is_served(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json().items() >= {"status": "ok", "documents": 240, "generation": 1, "encoder": "bm25"}.items()


def test_search_gives_what_the_searcher_gives(client, searcher):
    hits = search(client, query="how do bees dance", k=3).json()["hits"]
    expected = searcher.search("how do bees dance", 3)
    assert hits == [{"id": h.id, "score": h.score, "title": h.title, "text": h.text} for h in expected]


def test_ten_hits_unless_asked(client):
    assert len(search(client, query="water and light and time").json()["hits"]) == 10


def test_a_query_without_known_words_finds_nothing(client):
    assert search(client, query="xylqz").json() == {"hits": []}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"query": ""}, "at least 1 character"),
        ({"query": "   "}, "the query is empty"),
        ({}, "Field required"),
        ({"query": "x", "k": 0}, "greater than or equal to 1"),
        ({"query": "x", "k": 1001}, "at most 1000 hits"),
        ({"query": "x" * 9000}, "at most 8,192"),
        ({"query": "x", "kk": 3}, "Extra inputs are not permitted"),
        ({"query": 5}, "valid string"),
    ],
)
def test_bad_requests_get_422_and_a_reason(client, body, part):
    answer = search(client, **body)
    assert answer.status_code == 422
    assert part in answer.text


def test_broken_json_gets_422(client):
    assert client.post("/v1/search", content=b"{").status_code == 422


def test_a_fault_of_the_index_is_logged_and_not_told(searcher, monkeypatch, caplog):
    def broken(*args, **options):
        raise StorageError("/secret/place is damaged")

    monkeypatch.setattr(searcher, "search", broken)
    with TestClient(create_app(searcher), raise_server_exceptions=False) as client:
        answer = search(client, query="bees")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "/secret/place is damaged" in caplog.text


def test_limits_are_settings(searcher, monkeypatch):
    monkeypatch.setenv("LSR_MAX_K", "5")
    with TestClient(create_app(searcher)) as client:
        assert "at most 5 hits" in search(client, query="bees", k=6).text
    with TestClient(create_app(searcher, Settings(max_k=7))) as client:
        assert search(client, query="bees", k=6).status_code == 200


def test_the_documentation_is_served(client):
    assert client.get("/docs").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/healthz", "/v1/search"}


def test_concurrent_searches_agree(client, searcher):
    expected = [h.id for h in searcher.search("stars and planets", 10)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: search(client, query="stars and planets").json()["hits"], range(64)))
    assert all([hit["id"] for hit in hits] == expected for hits in answers)
