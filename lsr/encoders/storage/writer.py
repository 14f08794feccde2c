"""How does the folder of an encoder come to be? Filled beside its place, and given its name at the end."""

from __future__ import annotations

import errno
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lsr.errors import EncoderError, reason


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``path`` when the block ends well; a fault or a kill leaves nothing at ``path``.

    Raises:
        EncoderError: ``path`` is there already, or the disk does not take it.
    """
    if path.exists():
        raise EncoderError(f"{path} is there already: name a new folder")
    filled = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        _remove_leftovers(path)
        filled.mkdir(parents=True)
        yield filled
        filled.rename(path)
    except OSError as error:
        shutil.rmtree(filled, ignore_errors=True)
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise EncoderError(f"{path} is there already: another process wrote it; name a new folder") from None
        why = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else reason(error)
        raise EncoderError(f"cannot write {path}: {why}; name another folder, or make room") from error
    except BaseException:
        shutil.rmtree(filled, ignore_errors=True)
        raise


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of the same folder."""
    for folder in path.parent.glob(f".{glob.escape(path.name)}.*.new"):
        process = folder.name.split(".")[-2]
        if process.isdigit() and not Path("/proc", process).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(path.with_name(f".{path.name}.{os.getpid()}.new"), ignore_errors=True)
