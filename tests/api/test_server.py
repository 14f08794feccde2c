"""The service as a process: real sockets, slow and rude clients, signals."""

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from lsr.api import misspelt_settings
from lsr.api.server import address_of, listen
from lsr.api.settings import PREFIX
from lsr.errors import InputError
from lsr.eval import load_collection
from tests.conftest import SAMPLE

LIMITS = {
    "LSR_REQUEST_SECONDS": "0.5",
    "LSR_MAX_CONNECTIONS": "8",
    "LSR_MAX_BODY_BYTES": "2000",
    "LSR_IDLE_SECONDS": "5",
}


def start(index, *options, **environment):
    command = [sys.executable, "-c", "from lsr.cli import main; main()", "serve", str(index), "--port", "0", *options]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
    )


def port_of(server):
    for line in server.stdout:
        if found := re.search(r":(\d+)\s+\(API", line):
            return int(found[1])
    raise AssertionError("lsr serve did not start")


@pytest.fixture(scope="module")
def port(sample_index):
    with start(sample_index, **LIMITS) as server:
        yield port_of(server)
        server.terminate()
        assert server.wait(20) == 0


def connect(port):
    return socket.create_connection(("127.0.0.1", port), 10)


def everything(connection):
    """All bytes until the server ends the connection."""
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := connection.recv(1 << 16):
            parts.append(part)
    return b"".join(parts)


def exchange(port, *sent):
    with connect(port) as connection:
        for part in sent:
            connection.sendall(part)
        return everything(connection)


def request(body, extra=b"", version=b"1.1"):
    head = b"POST /v1/search HTTP/" + version + b"\r\nHost: x\r\nContent-Type: application/json\r\n"
    return head + extra + b"Content-Length: %d\r\n\r\n" % len(body) + body


GOOD = b'{"query":"bees","k":1}'
CLOSE = b"Connection: close\r\n"
RAW = {
    "a good request": (request(GOOD, CLOSE), 200),
    "of HTTP/1.0": (request(GOOD, version=b"1.0"), 200),
    "rubbish": (b"rubbish\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "two lengths": (request(GOOD, b"Content-Length: 5\r\n"), 400),
    "a length and chunks": (request(GOOD, b"Transfer-Encoding: chunked\r\n"), 400),
    "a negative length": (b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n", 400),
    "a length of 300 MB": (request(b"", CLOSE).replace(b"Length: 0", b"Length: 300000000"), 413),
    "300 kB in chunks": (request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked").rstrip()
                         + b"\r\n\r\n" + b"800\r\n" + b"a" * 2048 + b"\r\n", 413),
    "no host": (b"GET /healthz HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
    "half a head": (b"POST /v1/search HTTP/1.1\r\nHost: x\r\n", 408),
    "nothing": (b"", 408),
    "half a body": (request(GOOD)[:-3], 408),
    "a head without end": (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 20_000, 431),
    "a path with NUL": (b"GET /%00 HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", 404),
    "a path that is no UTF-8": (b"GET /%ff HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n", 404),
    "an upgrade": (b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\n", 200),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status"), RAW.values(), ids=RAW)
def test_whatever_arrives_is_answered_by_the_book(port, sent, status):
    found = exchange(port, sent)
    head, _, body = found.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status), found[:200]
    if status != 200:
        assert b"application/problem+json" in head
        assert json.loads(body)["status"] == status


def test_a_request_without_a_host_is_told_what_it_lacks(port):
    found = exchange(port, RAW["no host"][0])
    assert "found 0 headers Host, wanted one" in json.loads(found.partition(b"\r\n\r\n")[2])["detail"]


def test_a_kept_connection_has_no_delay(port):
    with listen("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # asyncio sets TCP_NODELAY on what this accepts
    kept = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    for _ in range(3):
        kept.request("POST", "/v1/search", GOOD, {"Content-Type": "application/json"})
        answer = kept.getresponse()
        assert (answer.status, len(json.loads(answer.read())["hits"])) == (200, 1)
    kept.close()


def test_pipelined_requests_are_answered_in_order(port):
    found = exchange(port, request(GOOD) + request(b"{") + request(GOOD, CLOSE))
    assert re.findall(rb"HTTP/1.1 (\d+) ", found) == [b"200", b"422", b"200"]


@pytest.mark.parametrize(("later", "status"), [
    (b"rubbish\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\n", b"408"),
    (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 90_000, b"431"),
    (request(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"rubbish\r\n", b"400"),
])  # fmt: skip
def test_a_refusal_waits_for_the_answers_before_it(port, later, status):
    found = exchange(port, request(GOOD) * 3 + later)
    assert re.findall(rb"HTTP/1.1 (\d+) ", found) == [b"200", b"200", b"200", status]


def test_a_client_that_still_sends_reads_why_it_was_refused(port):
    body = b"a" * 30_000_000
    with connect(port) as connection:
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(request(body))
        assert everything(connection).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_never_reads_is_left(sample_index):
    words = " ".join(load_collection(SAMPLE).queries.values())
    with start(sample_index, LSR_REQUEST_SECONDS="1") as server, connect(port_of(server)) as connection:
        connection.settimeout(60)
        asked = request(json.dumps({"query": words, "k": 1000}).encode())
        with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012
            while True:
                connection.sendall(asked)
        server.terminate()
        assert "failed" not in server.communicate(timeout=20)[0]
        assert server.returncode == 0


def test_slow_clients_do_not_keep_others_out(port):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connect(port)) for _ in range(8)]
        for connection in slow:
            connection.sendall(b"POST /v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        time.sleep(0.1)
        assert b" 503 " in exchange(port)[:20]
        assert all(everything(connection).startswith(b"HTTP/1.1 408 ") for connection in slow)
    assert exchange(port, request(GOOD, CLOSE)).startswith(b"HTTP/1.1 200 ")


def test_clients_that_leave_disturb_nobody(port):
    for sent in (b"", b"POST", request(GOOD)[:-5], request(GOOD)):
        with connect(port) as connection:
            connection.sendall(sent)
    assert exchange(port, request(GOOD, CLOSE)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_requests_end(sample_index, number):
    with start(sample_index) as server, connect(port_of(server)) as connection:
        connection.sendall(request(GOOD)[:-5])
        time.sleep(0.2)
        later = threading.Timer(0.3, lambda: connection.sendall(request(GOOD)[-5:]))
        later.start()
        server.send_signal(number)
        assert everything(connection).startswith(b"HTTP/1.1 200 ")
        assert server.wait(20) == 0


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", "http://127.0.0.1:"), ("::1", "http://[::1]:"), ("::", "")])
def test_addresses_of_both_families_are_listened_at(host, wanted):
    with listen(host, 0) as listener:
        assert address_of(listener).startswith(wanted)
        with socket.create_connection(("127.0.0.1" if host == "::" else host, listener.getsockname()[1]), 5):
            pass


@pytest.mark.parametrize("host", ["nowhere.invalid", "300.1.1.1", "8.8.8.8", "\udcff"])
def test_an_address_that_cannot_be_taken_is_named(host):
    with pytest.raises(InputError, match=r"cannot listen on .*; choose another"):
        listen(host, 0)


def test_a_busy_port_is_named():
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=f"cannot listen on 127.0.0.1:{port}: Address already in use"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize(("name", "wanted"), [
    ("LSR_MAX_K", "wanted a valid integer"), ("LSR_REQUEST_SECONDS", "wanted a valid number"),
])  # fmt: skip
def test_a_bad_setting_ends_with_one_line(sample_index, name, wanted):
    with start(sample_index, **{name: "abc"}) as server:
        output, _ = server.communicate(timeout=60)
    assert server.returncode == 2
    assert output.count("\n") == 1
    assert output.endswith(f"{name} is 'abc': {wanted}\n")


def test_a_misspelt_setting_is_named(monkeypatch):
    for name in ("MAXK", "OTHER_PROGRAM"):
        monkeypatch.setenv(PREFIX + name, "5")
    line = f"the environment variable {PREFIX}MAXK is no setting: did you mean LSR_MAX_K?"
    assert misspelt_settings() == [line]
