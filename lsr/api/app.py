"""What does the service answer? Routes over one open index."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from fastapi.routing import APIRoute

from lsr._version import __version__
from lsr.api.bodies import read_json
from lsr.api.problems import add_handlers, responses
from lsr.api.schemas import HealthResponse, HitResponse, SearchRequest, SearchResponse, components, content
from lsr.api.settings import Settings, read_settings
from lsr.errors import InputError
from lsr.retrieval import Collection

DESCRIPTION = "Learned sparse retrieval: search one index."
DEFAULT_K = 10
THREADS = 32  # searches at once; the kernels let go of the interpreter lock
SHORT = 1e-3  # seconds of a search that the event loop can wait for
REMEMBERED = 0.98  # of the slowest search, from one search to the next


def create_app(collection: Collection, settings: Settings | None = None) -> FastAPI:
    """The service over one open collection; searches run in threads.

    Bodies are read and written by msgspec, beside FastAPI's machinery, which takes longer than a search.

    Args:
        collection: answers the queries; changes of other processes are seen.
        settings: None reads the environment.

    Raises:
        InputError: an environment variable with a value that does not fit.
    """
    limits = settings or read_settings()
    app = FastAPI(title="lsr", version=__version__, description=DESCRIPTION)
    app.router.route_class = _Route
    add_handlers(app)
    _add_health(app, collection)
    _add_search(app, collection, limits)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


class _Route(APIRoute):
    """Calls the endpoint with the request: nothing is left for FastAPI to solve, check or convert."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        return self.endpoint


def _add_health(app: FastAPI, collection: Collection) -> None:
    async def health(request: Request) -> Response:
        """Whether the service is ready, and what it serves."""
        current = collection.searcher.generation
        name = current.summary.about.encoder.name
        return _json(HealthResponse("ok", __version__, len(current), current.number, name))

    app.get("/healthz", responses={200: content(HealthResponse), **responses()}, response_model=None)(health)
    app.head("/healthz", include_in_schema=False)(health)


def _add_search(app: FastAPI, collection: Collection, limits: Settings) -> None:
    decoder = msgspec.json.Decoder(SearchRequest)
    searches = _Searches(collection)

    @app.post(
        "/v1/search",
        response_model=None,
        responses={200: content(SearchResponse), **responses(413, 415, 422)},
        openapi_extra={"requestBody": {**content(SearchRequest), "required": True}},
    )
    async def search(request: Request) -> Response:
        """The best documents for a query."""
        question = await read_json(request, decoder, limits)
        k = _checked_k(question, limits)
        return _json(await searches.answer(question.query, k, question.recall))


class _Searches:
    """Searches beside the event loop, or in it where they are so short that changing the thread takes longer.

    What is expected is the slowest of the last searches, forgotten by and by: after a slow one all go to threads.
    """

    def __init__(self, collection: Collection) -> None:
        self._search = collection.search
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="search")
        self._expected = 2 * SHORT  # seconds

    async def answer(self, query: str, k: int, recall: float | None) -> SearchResponse:
        if self._expected < SHORT:
            return self._answer(query, k, recall)
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._answer, query, k, recall)

    def _answer(self, query: str, k: int, recall: float | None) -> SearchResponse:
        started = time.perf_counter()
        hits = self._search(query, k, recall=recall)
        self._expected = max(time.perf_counter() - started, REMEMBERED * self._expected)
        return SearchResponse([HitResponse(hit.id, hit.score, hit.title, hit.text) for hit in hits])


def _checked_k(question: SearchRequest, limits: Settings) -> int:
    """How many hits are wanted.

    Raises:
        InputError: more than the service gives, or a query that is too long.
    """
    k = min(DEFAULT_K, limits.max_k) if question.k is None else question.k
    if k > limits.max_k:
        raise InputError(f"k is {k}: this service gives at most {limits.max_k} hits")
    if len(question.query) > limits.max_query_characters:
        raise InputError(f"the query has {len(question.query):,} characters: at most {limits.max_query_characters:,}")
    return k


def _json(value: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(value), media_type="application/json")


def _openapi(app: FastAPI) -> dict[str, Any]:
    """What FastAPI knows of the routes, with the schemas of msgspec."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
        found.setdefault("components", {})["schemas"] = components()
        app.openapi_schema = found
    return app.openapi_schema
