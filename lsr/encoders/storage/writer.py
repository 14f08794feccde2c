"""How does the folder of an encoder come to be? Filled beside its place, and given its name at the end."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsr.errors import EncoderError


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when the block ends well; a fault or a kill leaves nothing at ``path``.

    Raises:
        EncoderError: ``path`` is there already.
    """
    if path.exists():
        raise EncoderError(f"{path} is there already: name a new folder")
    filled = path.with_name(f".{path.name}.{os.getpid()}.new")
    shutil.rmtree(filled, ignore_errors=True)
    filled.mkdir(parents=True)
    try:
        yield filled
        filled.rename(path)
    except BaseException:
        shutil.rmtree(filled, ignore_errors=True)
        raise
