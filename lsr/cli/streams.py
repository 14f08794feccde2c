"""What may the three standard streams be? Open or closed, in any encoding, with a reader that leaves early."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Any


class _ReaderLeft(SystemExit):
    """Whoever read standard output has enough: the process ends, and that is no error."""


class _Output(io.TextIOWrapper):
    """A stream that replaces what its encoding cannot write."""

    def write(self, text: str) -> int:
        """As of any stream; ends the process where the reader left."""
        try:
            return super().write(text)
        except BrokenPipeError:
            raise _left(self) from None

    def flush(self) -> None:
        """As of any stream; ends the process where the reader left."""
        try:
            super().flush()
        except BrokenPipeError:
            raise _left(self) from None


def prepare() -> None:
    """Make the standard streams of this process such that printing cannot fail.

    A closed one leads nowhere, so that no file of ours is opened under its number; standard input stays closed.
    """
    _open_closed()
    for name in ("stdout", "stderr"):
        stream: Any = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, _Output):
            encoding, buffering = stream.encoding, stream.line_buffering
            setattr(sys, name, _Output(stream.detach(), encoding, "replace", line_buffering=buffering))


def end() -> None:
    """Write out what waits; afterwards nothing more can go wrong with the streams."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(_ReaderLeft, OSError, ValueError):
            stream.flush()


def write_line(line: bytes) -> None:
    """A line on standard output as it is, whatever the encoding there."""
    end()
    try:
        sys.stdout.buffer.write(line + b"\n")
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise _left(sys.stdout) from None


def _open_closed() -> None:
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the whole process


def _left(stream: Any) -> _ReaderLeft:
    """Let what is still buffered lead nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
    return _ReaderLeft(0)
