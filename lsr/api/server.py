"""How does the service listen? Sockets without delay, and a clean end."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI

from lsr.api.connection import limited_by
from lsr.api.settings import Settings
from lsr.errors import InputError, reason

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
        why = getattr(error, "strerror", None) or "no name of a host"
        raise InputError(f"cannot listen on {host!a}: {why}; choose another --host") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(host != "::"))
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise InputError(f"cannot listen on {host}:{port}: {reason(error)}; choose another --port or --host") from None
    return listener


def address_of(listener: socket.socket) -> str:
    """The URL of a listening socket."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if listener.family == socket.AF_INET6 else f"http://{host}:{port}"


def serve(app: FastAPI, listener: socket.socket, settings: Settings) -> None:
    """Answer until SIGINT or SIGTERM; requests that run are answered first, then this returns."""
    config = uvicorn.Config(
        app,
        http=limited_by(settings),
        ws="none",
        lifespan="off",
        log_level="error",
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
