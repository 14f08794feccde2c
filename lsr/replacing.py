"""How does a file appear whole or not at all? Written beside its place, flushed, and given its name in one step."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Let ``write`` write a new file, and make it ``path``; processes that do so at once do not disturb each other.

    Args:
        path: its folder is there.
        write: gets the path to write to.

    Raises:
        OSError: the disk is full or the folder cannot be written; what was at ``path`` stays.
    """
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        write(new)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Save ``array`` of any shape as ``path``, a .npy file, in one step; `OSError` as in `replace_file`."""

    def save(new: Path) -> None:
        with new.open("wb") as file:
            np.save(file, array, allow_pickle=False)

    replace_file(path, save)
