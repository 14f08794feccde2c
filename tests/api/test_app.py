import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lsr.api import Settings, create_app, read_settings
from lsr.errors import InputError, StorageError


@pytest.fixture(scope="module")
def client(collection):
    with TestClient(create_app(collection), raise_server_exceptions=False) as client:
        yield client


def search(client, **body):
    return client.post("/v1/search", json=body)


def problem(answer, status):
    """The problem in an answer that refuses, checked for its shape."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = answer.json()
    assert found.keys() == {"title", "status", "code", "detail", "error"}
    assert found["status"] == status
    assert found["detail"] == found["error"] != ""
    return found


def test_health_says_what_is_served(client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json().items() >= {"status": "ok", "documents": 240, "generation": 1, "encoder": "bm25"}.items()


def test_search_gives_what_the_searcher_gives(client, searcher):
    hits = search(client, query="how do bees dance", k=3).json()["hits"]
    expected = searcher.search("how do bees dance", 3)
    assert hits == [{"id": h.id, "score": h.score, "title": h.title, "text": h.text} for h in expected]


def test_a_recall_of_one_is_exact(client, searcher):
    hits = search(client, query="how do bees dance", recall=1).json()["hits"]
    assert [hit["id"] for hit in hits] == [hit.id for hit in searcher.search("how do bees dance", exact=True)]


def test_ten_hits_unless_asked(client):
    assert len(search(client, query="water and light and time").json()["hits"]) == 10


def test_a_query_without_known_words_finds_nothing(client):
    assert search(client, query="xylqz").json() == {"hits": []}


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"query": ""}, "`str` of length >= 1"),
        ({"query": "   "}, "the query is empty"),
        ({}, "missing required field `query`"),
        ({"query": "x", "k": 0}, "`int` >= 1"),
        ({"query": "x", "k": 1001}, "at most 1000 hits"),
        ({"query": "x" * 9000}, "at most 8,192"),
        ({"query": "x", "recall": 0}, "> 0.0"),
        ({"query": "x", "recall": 1.1}, "<= 1.0"),
        ({"query": "x", "kk": 3}, "unknown field `kk`"),
        ({"query": 5}, "Expected `str`, got `int`"),
        ({"query": "x", "k": True}, "got `bool`"),
        ({"query": "x", "k": "3"}, "got `str`"),
        ({"query": "x", "k": 1.5}, "got `float`"),
        ({"query": "x", "k": 10**30}, "at most 1000 hits"),
        ({"query": "x", "recall": "1"}, "got `str`"),
        (["x"], "Expected `object`, got `array`"),
        ("x", "Expected `object`, got `str`"),
        (None, "Expected `object`, got `null`"),
    ],
)
def test_bad_requests_get_422_and_a_reason(client, body, part):
    answer = client.post("/v1/search", content=json.dumps(body), headers={"content-type": "application/json"})
    assert part in problem(answer, 422)["detail"]


BROKEN = {
    "half an object": b"{",
    "nothing": b"",
    "NaN": b'{"query":"bees","recall":NaN}',
    "Infinity": b'{"query":"bees","recall":Infinity}',
    "a number too large": b'{"query":"bees","recall":1e999}',
    "Latin-1": '{"query":"café"}'.encode("latin-1"),
    "UTF-16": '{"query":"bees"}'.encode("utf-16"),
    "half a surrogate pair": b'{"query":"\\ud800"}',
    "deep nesting": b"[" * 100_000,
    "deep nesting in a field": b'{"query":' + b'{"a":' * 100_000,
    "two values": b'{"query":"bees"}{"query":"bees"}',
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_broken_json_gets_422(client, body):
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert problem(answer, 422)


@pytest.mark.parametrize("body", [{"query": "5" * 5000}, {"query": "\0bees\x1b[2J"}, {"query": "bees", "k": None}])
def test_unusual_requests_are_answered(client, body):
    assert client.post("/v1/search", json=body).status_code == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "rubbish"])
def test_another_content_type_gets_415(client, kind):
    answer = client.post("/v1/search", content=b'{"query":"bees"}', headers={"content-type": kind})
    assert "send the header Content-Type: application/json" in problem(answer, 415)["detail"]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"])
def test_json_by_any_name_is_read(client, kind):
    answer = client.post("/v1/search", content=b'{"query":"bees"}', headers={"content-type": kind})
    assert answer.status_code == 200


def test_a_large_body_gets_413_and_no_echo(collection):
    with TestClient(create_app(collection, Settings(max_body_bytes=2000))) as client:
        body = b'{"query":"bees","x":"' + b"a" * 2000 + b'"}'
        stated = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
        parts = client.post(
            "/v1/search", content=iter([body[:1500], body[1500:]]), headers={"content-type": "application/json"}
        )
    for answer in (stated, parts):
        assert "larger than 2,000 bytes" in problem(answer, 413)["detail"]
        assert "aaa" not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nothing", 404), ("GET", "/v1/search", 405), ("DELETE", "/healthz", 405), ("OPTIONS", "/v1/search", 405)],
)
def test_other_paths_and_methods_get_a_problem_too(client, method, path, status):
    answer = client.request(method, path)
    assert problem(answer, status)
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize("path", ["/healthz", "/docs", "/openapi.json"])
def test_head_answers_without_a_body(client, path):
    answer = client.head(path)
    assert answer.status_code == 200
    assert answer.content == b""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(["query", "k", "recall"]), inner),
    max_leaves=8,
)
REQUESTS = st.fixed_dictionaries(
    {"query": st.text(min_size=1)}, optional={"k": st.integers(-1, 2000), "recall": st.floats(), "x": JSON}
)


@given((JSON | REQUESTS).map(lambda value: json.dumps(value).encode()) | st.binary())
@example(b'{"query":"bees"}')
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_answered_or_refused(client, body):
    answer = client.post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200 or problem(answer, 422)


def test_a_fault_of_the_index_is_logged_and_not_told(collection, monkeypatch, caplog):
    def broken(*args, **options):
        raise StorageError("/secret/place is damaged")

    monkeypatch.setattr(collection, "search", broken)
    with TestClient(create_app(collection), raise_server_exceptions=False) as client:
        answer = search(client, query="bees")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert problem(answer, 500)["code"] == "internal_fault"
    assert "/secret/place is damaged" in caplog.text


def test_limits_are_settings(collection, monkeypatch):
    monkeypatch.setenv("LSR_MAX_K", "5")
    with TestClient(create_app(collection)) as client:
        assert "at most 5 hits" in search(client, query="bees", k=6).text
        assert len(search(client, query="bees").json()["hits"]) == 5
    with TestClient(create_app(collection, Settings(max_k=7))) as client:
        assert search(client, query="bees", k=6).status_code == 200


def test_the_documentation_is_served(client):
    assert client.get("/docs").status_code == 200
    paths = client.get("/openapi.json").json()["paths"]
    assert set(paths) == {"/healthz", "/v1/search"}


def test_the_openapi_says_what_is_answered(client):
    found = client.get("/openapi.json").json()
    answers = found["paths"]["/v1/search"]["post"]["responses"]
    assert set(answers) == {"200", "400", "408", "413", "415", "422", "431", "500", "503"}
    for status, answer in answers.items():
        kind, schema = next(iter(answer["content"].items()))
        assert kind == ("application/json" if status == "200" else "application/problem+json")
        name = schema["schema"]["$ref"].removeprefix("#/components/schemas/")
        assert name == ("SearchResponse" if status == "200" else "Problem")
        assert name in found["components"]["schemas"]
    asked = found["components"]["schemas"]["SearchRequest"]
    assert asked["required"] == ["query"]
    assert set(asked["properties"]) == {"query", "k", "recall"}


@pytest.mark.parametrize(
    ("name", "value"), [("LSR_MAX_K", "abc"), ("LSR_MAX_K", "0"), ("LSR_REQUEST_SECONDS", "soon"), ("LSR_MAX_K", "")]
)
def test_a_setting_that_does_not_fit_is_named(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match=rf"the environment variable {name} is '{value}': wanted"):
        read_settings()


def test_concurrent_searches_agree(client, searcher):
    expected = [h.id for h in searcher.search("stars and planets", 10)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: search(client, query="stars and planets").json()["hits"], range(64)))
    assert all([hit["id"] for hit in hits] == expected for hits in answers)
