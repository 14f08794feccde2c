"""What does `lsr serve` do? Opens the index, warms it up, then serves."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

from lsr.api import create_app, misspelt_settings, read_settings
from lsr.api.server import address_of, listen, serve
from lsr.cli.console import say
from lsr.retrieval import Collection


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of an index.")],
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8080,
) -> None:
    """Serve an index over HTTP: POST /v1/search, GET /healthz, documentation at /docs.

    Example: lsr serve my-index --port 8080
    """
    settings = read_settings()
    for line in misspelt_settings():
        say(f"warning: {line}")
    collection = Collection.open(folder)
    listener = listen(host, port)
    collection.searcher.warm_up()
    address = address_of(listener)
    if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        say("warning: everyone who reaches this address can search; there are no keys yet")
    say(f"serving {len(collection):,} documents of {folder} at {address}  (API at {address}/docs)")
    serve(create_app(collection, settings), listener, settings)
