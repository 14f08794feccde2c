"""How is lsr used from a shell? Parse, call, print; `main` is the console script.

Exit codes: 0 done, 1 a fault of ours, 2 something the user can mend (one line on standard error), 3 nothing
written by `lsr adapt`, because it was not better.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process."""
    import typer

    from lsr.cli.app import app
    from lsr.errors import LsrError
    from lsr.kernel import listen

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
