"""What does `lsr serve` do? Opens the index, warms it up, then listens."""

from __future__ import annotations

import socket
from pathlib import Path

from lsr.api import create_app
from lsr.cli.console import err, say
from lsr.errors import InputError
from lsr.retrieval import Searcher


def run(folder: Path, host: str, port: int) -> None:
    """Serve ``folder`` until interrupted."""
    import uvicorn

    searcher = Searcher.open(folder)
    listener = _listen(host, port)
    with err.status("compiling the search kernels (first time only)"):
        searcher.warm_up()
    address = f"http://{host}:{listener.getsockname()[1]}"
    if host not in ("127.0.0.1", "localhost", "::1"):
        say("warning: everyone who reaches this address can search; there are no keys yet")
    say(f"serving {len(searcher.collection):,} documents of {folder} at {address}  (API at {address}/docs)")
    server = uvicorn.Server(uvicorn.Config(create_app(searcher), log_level="warning"))
    server.run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port or --host") from None
