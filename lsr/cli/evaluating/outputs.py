"""Which files does `lsr eval` write? Their folders are made before anything is measured."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from lsr.errors import InputError, reason


class Outputs(NamedTuple):
    """Files to write, or None; ``baseline`` is a run file that the report compares with."""

    run: Path | None = None
    json: Path | None = None
    report: Path | None = None
    certificate: Path | None = None
    baseline: Path | None = None


def make_room(path: Path) -> None:
    """Make the folder of a file to write, before anything is measured.

    Raises:
        InputError: it cannot be made, or the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir() or not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(
                f"cannot write {path}: {'a folder' if path.is_dir() else 'no permission'}; name another file"
            )
    except OSError as error:
        raise InputError(f"cannot write {path}: {reason(error)}; name another file") from None
