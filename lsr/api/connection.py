"""What may one connection do? Limits for many, slow and rude clients; answers leave in the order of the requests."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from lsr.api.problems import MEDIA_TYPE, problem_bytes
from lsr.api.settings import Settings

MAX_HEADER_BYTES = 64 << 10
LINGER = 2.0  # seconds for a client that still sends to read why it was refused


def limited_by(settings: Settings) -> type[asyncio.Protocol]:
    """The protocol of a connection that keeps these limits."""

    class Protocol(_Connection):
        limits = settings

    return Protocol


class _Connection(HttpToolsProtocol):
    """Ends connections: too many, with slow or long headers, or with a client that never reads."""

    limits: Settings
    _timer: asyncio.TimerHandle | None = None  # until the headers are there
    _reader: asyncio.TimerHandle | None = None  # until the client reads on
    _fault = "what arrived is no HTTP request"
    _header_bytes = 0
    _unanswered = 0  # requests whose headers are there
    _refusal: bytes | None = None  # waits for the answers to earlier requests
    _running: RequestResponseCycle | None = None  # the request that is being answered

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(_Transport(transport, self))  # type: ignore[arg-type]
        if len(self.connections) > self.limits.max_connections:
            self._refuse(503, f"{self.limits.max_connections:,} connections are open: try again later")
        else:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        self._client_reads()
        self.pipeline.clear()
        if self._running is not None:
            self._running.disconnected = True
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None or self.transport.is_closing():
            return  # nothing that comes now will be answered
        if self._timer is not None:
            self._header_bytes += len(data)
        super().data_received(data)
        if self._timer is not None and self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431, f"the headers are longer than {MAX_HEADER_BYTES:,} bytes: send fewer")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._timer is None:
            self._wait_for_headers()

    def on_headers_complete(self) -> None:
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (not hosts and self.parser.get_http_version() == "1.1"):
            self._fault = f"found {hosts} headers Host, wanted one: send the name of this server in it"
            raise ValueError(self._fault)  # ends the parsing; RFC 9112, section 3.2
        self._headers_are_there()
        self._unanswered += 1
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        if self._refusal is not None and self._unanswered == self._half_sent():
            self._end_with(self._refusal)
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, self._fault)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reader = self.loop.call_later(self.limits.request_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._client_reads()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def lacks_body(self) -> bool:
        """Whether a part of the latest request's body has not arrived."""
        return self.cycle is not None and self.cycle.more_body

    def _half_sent(self) -> bool:
        return self.lacks_body() and not self.cycle.response_complete

    def _client_reads(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            self._reader = None

    def _wait_for_headers(self) -> None:
        self._header_bytes = 0
        self._timer = self.loop.call_later(self.limits.request_seconds, self._too_slow)

    def _headers_are_there(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._refuse(408, f"no request arrived in {self.limits.request_seconds:g} seconds")

    def _refuse(self, status: int, detail: str) -> None:
        self._headers_are_there()
        body = problem_bytes(status, detail)
        head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        answer = STATUS_LINE[status] + head.encode() + body
        if self._unanswered > self._half_sent():
            self._refusal = answer
        else:
            self._end_with(answer)

    def _end_with(self, answer: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close(linger=True)  # type: ignore[call-arg]


class _Transport:
    """Closes in two steps where the client still sends: TCP would throw the answer away with what nobody has read."""

    def __init__(self, inner: asyncio.Transport, connection: _Connection) -> None:
        self._inner, self._connection, self._lingers = inner, connection, False
        self.write = inner.write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def is_closing(self) -> bool:
        return self._lingers or self._inner.is_closing()

    def close(self, linger: bool = False) -> None:
        if self.is_closing() or not (linger or self._connection.lacks_body()):
            self._inner.close()
            return
        self._lingers = True
        self._inner.write_eof()
        self._inner.resume_reading()
        self._connection.loop.call_later(LINGER, self._inner.abort)
