"""How does the service listen? Sockets without delay, limits for slow and many clients, a clean end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from lsr.api.problems import MEDIA_TYPE, problem_bytes
from lsr.api.settings import Settings
from lsr.errors import InputError

MAX_HEADER_BYTES = 64 << 10
BACKLOG = 2048
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def listen(host: str, port: int) -> socket.socket:
    """A socket that accepts connections at ``host``, IPv4 or IPv6; port 0 takes a free one.

    Its protocol is named, TCP: asyncio sets TCP_NODELAY only where it is.

    Raises:
        InputError: no such address, or one that cannot be taken.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = min(
            found, key=lambda one: one[0] != socket.AF_INET
        )  # localhost is 127.0.0.1
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no name of a host"
        raise InputError(f"cannot listen on {host!a}: {reason}; choose another --host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve(app: FastAPI, listener: socket.socket, settings: Settings) -> None:
    """Answer until SIGINT or SIGTERM; requests that run are answered first, then this returns."""

    class Protocol(_Guarded):
        limits = settings

    config = uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=settings.idle_seconds,  # type: ignore[arg-type]  # call_later takes fractions
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )
    _Server(config).run(sockets=[listener])


class _Server(uvicorn.Server):
    """Ends on a signal without raising it again: the exit code is 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class _Guarded(HttpToolsProtocol):
    """Ends connections that are too many, or whose headers come too slowly or are too long."""

    limits: Settings
    _timer: asyncio.TimerHandle | None = None
    _header_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections:
            self._refuse(503, f"{self.limits.max_connections:,} connections are open: try again later")
        else:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        self._headers_are_there()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
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
        self._headers_are_there()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, "what arrived is no HTTP request")

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
        if not self.transport.is_closing():
            body = problem_bytes(status, detail)
            head = f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS_LINE[status] + head.encode() + body)
            self.transport.close()
