"""What has a process promised before it was killed?

One warm process imports the program once and forks a victim for each trial: a kill costs milliseconds, not a new
interpreter. So nothing in it may start threads at import (a fork copies only one thread, and locks that another one
holds for ever): no thread pool, no numba ``parallel=True``, no OpenMP. The numeric libraries are told to use one
thread, pyarrow's allocator too, and the warm process refuses to fork with more. A victim may start its own.

What a killed process wrote stays in the kernel's cache: this finds half-done work, not missing syncs, which
`power_loss` finds.
"""

from __future__ import annotations

import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
ONE_THREAD = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1"),
    "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow's allocator starts one at import
}
LONGEST = 60.0


class Killed(NamedTuple):
    """What became of a victim: the lines that it had printed, and whether the kill ended it (or it was done)."""

    lines: list[str]
    killed: bool


class Victims:
    """Runs ``module:function`` with arguments (strings, not empty) again and again, and kills it.

    What the function prints to ``sys.stdout`` are its acknowledgements, one a line; each goes out at once, in one
    write, so no line is ever torn. Use it as a context; ``paths`` are put before the import path.
    """

    def __init__(self, program: str, paths: Sequence[Path] = ()) -> None:
        self.program, self.paths = program, [str(path) for path in (*paths, ROOT)]

    def __enter__(self) -> Victims:
        self._socket, theirs = socket.socketpair()
        environment = {**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(self.paths)}
        command = [sys.executable, "-m", "tests.crash.killing", str(theirs.fileno()), self.program]
        self._warm = subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, cwd=ROOT)
        theirs.close()
        self._answer()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._warm.wait(LONGEST)

    def kill(self, arguments: Sequence[str], seed: int, lines: int = 10, microseconds: int = 2000) -> Killed:
        """Run once, and kill at a random moment: after 0 to ``lines`` lines, and up to ``microseconds`` more.

        The moment is the seed's as far as the scheduler lets it be.
        """
        random = Random(seed)
        return self._run(arguments, random.randint(0, lines), random.uniform(0, microseconds) / 1e6)

    def kill_in_time(self, arguments: Sequence[str], seed: int, seconds: float) -> Killed:
        """Run once, and kill after a random time of up to ``seconds``."""
        return self._run(arguments, 0, Random(seed).uniform(0, seconds))

    def run(self, arguments: Sequence[str]) -> list[str]:
        """All lines of a run that nobody kills.

        Raises:
            AssertionError: it ended with an exception, which stands on stderr.
        """
        done = self._run(arguments, sys.maxsize, 0)
        assert self.status == 0, f"{self.program} {' '.join(arguments)} ended with status {self.status}"
        return done.lines

    def _run(self, arguments: Sequence[str], lines: int, seconds: float) -> Killed:
        acknowledgements, theirs = os.pipe()
        socket.send_fds(self._socket, ["\0".join(arguments).encode() or b"\0"], [theirs])
        os.close(theirs)
        victim = int(self._answer())
        try:
            heard = _listen(acknowledgements, lines)
            _pause(seconds)
            os.killpg(victim, signal.SIGKILL)  # it is not reaped yet, so the number is still its own
            heard += _listen(acknowledgements, sys.maxsize)
        finally:
            os.close(acknowledgements)
        self._socket.send(b"reap")
        self.status = int(self._answer())
        return Killed(heard.decode().splitlines(), self.status == -signal.SIGKILL)

    def _answer(self) -> str:
        answer = self._socket.recv(100).decode()
        assert answer, f"the warm process of {self.program} ended: see stderr"
        return answer


def _listen(pipe: int, lines: int) -> bytes:
    """What comes out of a pipe until some lines are whole, or it ends."""
    heard, end = b"", time.monotonic() + LONGEST
    while heard.count(b"\n") < lines and time.monotonic() < end:
        if select.select([pipe], [], [], 1)[0]:
            part = os.read(pipe, 1 << 16)
            if not part:
                break
            heard += part
    return heard


def _pause(seconds: float) -> None:
    """Sleep, or spin where a sleep would be too coarse."""
    end = time.perf_counter() + seconds
    if seconds > 2e-3:
        time.sleep(seconds - 1e-3)
    while time.perf_counter() < end:
        pass


def serve(link: socket.socket, program: str) -> None:
    """The warm process: a victim for each message, until the other side hangs up."""
    module, _, name = program.partition(":")
    function = getattr(importlib.import_module(module), name)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    assert threads == 1, f"{module} starts {threads - 1} threads at import: a fork of it is no working process"
    link.send(b"ready")
    while True:
        message, descriptors, *_ = socket.recv_fds(link, 1 << 16, 1)
        if not message:
            return
        victim = os.fork()
        if victim == 0:
            _perish(link, descriptors[0], function, message)
        with suppress(OSError):  # it does the same, and may have ended
            os.setpgid(victim, victim)
        os.close(descriptors[0])
        link.send(str(victim).encode())
        link.recv(100)
        link.send(str(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1])).encode())


def _perish(link: socket.socket, pipe: int, function: object, message: bytes) -> None:
    """Be the victim: its standard output is the pipe, and its process group is its own."""
    status = 1
    try:
        os.setpgid(0, 0)
        link.close()
        os.dup2(pipe, 1)
        os.close(pipe)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        function(*filter(None, message.decode().split("\0")))  # type: ignore[operator]
        status = 0
    except BaseException:  # noqa: BLE001
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
