"""How is lsr used from a shell? Parse, call, print; `main` is the console script.

Exit codes: 0 done, 1 a fault of ours, 2 something the user can mend (one line on standard error), 3 nothing
written by `lsr adapt`, because it was not better.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line of this process."""
    import typer

    from lsr.cli.app import app
    from lsr.errors import LsrError
    from lsr.kernel import listen

    _end_in_order()
    listen(lambda message: typer.echo(message, err=True))
    try:
        app()
    except LsrError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; nothing more to say
        sys.exit(0)
    except OSError as error:  # disk full, no permission, ...
        typer.echo(f"error: {error.filename or 'file'}: {error.strerror}", err=True)
        sys.exit(2)


def _end_in_order() -> None:
    """Let SIGTERM and SIGHUP end the process as an error does, so that temporary files go; exit code 128 + signal."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores one
            signal.signal(number, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # asked again, it ends at once
    sys.exit(128 + number)
