"""How does a request's body become a value? Read with limits, decoded strictly, never echoed."""

from __future__ import annotations

import asyncio
from typing import TypeVar

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from lsr.api.problems import RefusedError
from lsr.api.settings import Settings

JSON = "application/json"
T = TypeVar("T")


async def read_json(request: Request, decoder: msgspec.json.Decoder[T], limits: Settings) -> T:
    """The value in the JSON body of ``request``.

    Raises:
        RefusedError: another content type, a body that is too large or too slow, or one that does not fit the schema.
    """
    _check_type(request)
    body = await _read(request, limits)
    if not body.strip():
        raise RefusedError(422, "the body is empty: wanted a JSON object; see /docs for its fields")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        fault = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise RefusedError(422, f"the request body is not valid: {fault}; see /docs for its fields") from None


def _check_type(request: Request) -> None:
    found = request.headers.get("content-type", JSON)
    kind = found.partition(";")[0].strip().lower()
    if kind != JSON and not (kind.startswith("application/") and kind.endswith("+json")):
        raise RefusedError(
            415, f"found the content type {found!r:.80}, wanted {JSON}: send the header Content-Type: {JSON}"
        )


async def _read(request: Request, limits: Settings) -> bytes:
    _check_size(int(request.headers.get("content-length", 0)), limits)
    parts, size = [], 0
    try:
        async with asyncio.timeout(limits.request_seconds):
            async for part in request.stream():
                parts.append(part)
                size += len(part)
                _check_size(size, limits)
    except TimeoutError:
        raise RefusedError(
            408, f"the body did not arrive in {limits.request_seconds:g} seconds: send it at once"
        ) from None
    except ClientDisconnect:
        raise RefusedError(400, "the client left before the body was there") from None
    return b"".join(parts)


def _check_size(size: int, limits: Settings) -> None:
    if size > limits.max_body_bytes:
        raise RefusedError(413, f"the body is larger than {limits.max_body_bytes:,} bytes: send a shorter one")
