"""How is lsr used from a shell? Parse, call, print; `main` is the console script.

Exit codes: 0 done, 1 an internal error, 2 something the user can fix (one line on standard error), 3 nothing
written by `lsr adapt`, because it was not better, 128 and a signal's number where one ended the process.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line of this process."""
    from lsr.cli import streams

    streams.prepare()
    _end_in_order()
    _forget_odd_width()
    from lsr.cli.app import app
    from lsr.cli.console import say
    from lsr.errors import EXTRAS, LsrError, MissingExtraError, reason
    from lsr.kernel import listen

    listen(say)
    try:
        app(prog_name="lsr")
    except LsrError as error:
        _fail(f"error: {error}")
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        if package not in EXTRAS:
            raise
        _fail(f"error: {MissingExtraError(package, EXTRAS[package], 'this command')}")
    except MemoryError as error:
        _fail(f"error: not enough memory ({error or 'no more to be had'}): free some, or give less at once")
    except OSError as error:  # disk full, no permission, ...
        _fail(f"error: {_place(error)}: {reason(error)}")
    finally:
        streams.end()


def _fail(message: str) -> None:
    from lsr.cli.console import say

    say(message)
    sys.exit(2)


def _place(error: OSError) -> str:
    """What an error of the system is about; file systems tell it of files only."""
    return os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else "the system refused"


def _end_in_order() -> None:
    """Let signals end the process as an error does, so that temporary files go; exit code 128 + signal."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):  # nohup ignores one
            signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # asked again, it ends at once
    sys.exit(128 + number)


def _forget_odd_width() -> None:
    """A screen of no columns, or of a word, is one that nobody measured."""
    for name in ("COLUMNS", "LINES"):
        value = os.environ.get(name, "1")
        if not value.isdecimal() or int(value[:9]) == 0:
            del os.environ[name]
