"""What does the service answer? Routes, and errors to status codes in one place."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from lsr._version import __version__
from lsr.api.schemas import ErrorResponse, HealthResponse, HitResponse, SearchRequest, SearchResponse
from lsr.api.settings import Settings
from lsr.errors import InputError, LsrError
from lsr.retrieval import Searcher


def create_app(searcher: Searcher, settings: Settings | None = None) -> FastAPI:
    """The service over one open index.

    Search runs in a pool of threads; the kernels let go of the interpreter lock.

    Args:
        searcher: answers the queries.
        settings: None reads the environment.
    """
    limits = settings or Settings()
    app = FastAPI(title="lsr", version=__version__, description="Learned sparse retrieval: search one index.")
    app.add_exception_handler(LsrError, _refuse)

    @app.get("/healthz")
    def health() -> HealthResponse:
        """Whether the service is ready, and what it serves."""
        manifest = searcher.collection.manifest
        return HealthResponse(
            status="ok",
            version=__version__,
            documents=manifest.documents,
            generation=manifest.generation,
            encoder=manifest.encoder.name,
        )

    @app.post("/v1/search", responses={422: {"model": ErrorResponse, "description": "The request cannot be used."}})
    def search(request: SearchRequest) -> SearchResponse:
        """The best documents for a query."""
        _check_limits(request, limits)
        hits = searcher.search(request.query, request.k, recall=request.recall)
        return SearchResponse(
            hits=[HitResponse(id=hit.id, score=hit.score, title=hit.title, text=hit.text) for hit in hits]
        )

    return app


def _check_limits(request: SearchRequest, limits: Settings) -> None:
    if request.k > limits.max_k:
        raise InputError(f"k is {request.k}: this service gives at most {limits.max_k} hits")
    if len(request.query) > limits.max_query_characters:
        raise InputError(f"the query has {len(request.query):,} characters: at most {limits.max_query_characters:,}")


async def _refuse(request: Request, error: Exception) -> JSONResponse:
    """What the caller can mend is 422, the rest 500; only the former tells why."""
    if isinstance(error, InputError):
        return JSONResponse(ErrorResponse(error=str(error)).model_dump(), 422)
    logging.getLogger(__name__).error("%s %s failed", request.method, request.url.path, exc_info=error)
    return JSONResponse(ErrorResponse(error="internal fault, see the server's log").model_dump(), 500)
