"""What does a refused request get? One shape for every error, RFC 9457 problem details with a code."""

from __future__ import annotations

import http
import logging
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from lsr.api.schemas import Problem, content
from lsr.errors import InputError, LsrError

MEDIA_TYPE = "application/problem+json"
CODES = {
    400: "malformed_http",
    404: "not_found",
    405: "method_not_allowed",
    408: "request_too_slow",
    413: "body_too_large",
    415: "unsupported_media_type",
    422: "invalid_request",
    431: "headers_too_large",
    500: "internal_fault",
    503: "too_many_connections",
}
DETAILS = {
    404: "no such path; /docs lists the paths",
    405: "the path takes another method: see the header Allow, or /docs",
}


class RefusedError(Exception):
    """A request that cannot be answered.

    Args:
        status: of HTTP; a key of `CODES`.
        detail: what was found, what was wanted, what to do.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


def problem_bytes(status: int, detail: str) -> bytes:
    """The body of an answer that refuses."""
    title = http.HTTPStatus(status).phrase
    return msgspec.json.encode(Problem(title, status, CODES.get(status, "refused"), detail, detail))


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these refusals, and of those that every route has."""
    return {
        status: {"description": http.HTTPStatus(status).phrase, **content(Problem, MEDIA_TYPE)}
        for status in sorted({*statuses, 400, 408, 431, 500, 503})
    }


def add_handlers(app: FastAPI) -> None:
    """Let every error of ``app`` be answered as a `Problem`."""
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(LsrError, _library_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _fault)


def _answer(status: int, detail: str, headers: Any = None) -> Response:
    """What refuses; where the body was not read the connection ends, so that nobody waits for the rest of it."""
    if status not in (422, 500):
        headers = {**(headers or {}), "connection": "close"}
    return Response(problem_bytes(status, detail), status, headers, MEDIA_TYPE)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)  # noqa: S101
    return _answer(error.status, error.detail)


async def _library_error(request: Request, error: Exception) -> Response:
    """What the caller can fix is 422, the rest 500; only the former tells why."""
    return _answer(422, str(error)) if isinstance(error, InputError) else await _fault(request, error)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _answer(error.status_code, DETAILS.get(error.status_code, str(error.detail)), error.headers)


async def _fault(request: Request, error: Exception) -> Response:
    logging.getLogger(__name__).error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(500, "internal fault, see the server's log")
