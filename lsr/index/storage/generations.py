"""Which folders inside an index did lsr write? Those with a mark of their own name; no other is ever removed."""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path

MARK = ".lsr"
NAME = re.compile(r"generation-(\d{6,18})")
REMOVED = ".removed-"  # before the name of a generation that is being removed


def folder_of(root: Path, number: int) -> Path:
    """Where the generation ``number`` of an index lies."""
    return root / f"generation-{number:06d}"


def next_number(root: Path) -> int:
    """One above every folder that is named like a generation, whoever made it."""
    names = (NAME.fullmatch(path.name) for path in root.iterdir())
    return 1 + max((int(name[1]) for name in names if name), default=0)


def make(folder: Path) -> None:
    """Make the folder of a new generation with its mark; a kill on the way leaves what `remove_others` removes."""
    new = folder.with_name(f"{REMOVED}{folder.name}")
    new.mkdir()
    try:
        _mark(new, folder.name)
        new.rename(folder)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise


def mark(folder: Path) -> None:
    """Say that lsr wrote ``folder``, and may remove it when no manifest names it."""
    _mark(folder, folder.name)


def _mark(folder: Path, name: str) -> None:
    (folder / MARK).write_text(f"{name}: written by lsr, and removed by it when replaced\n")


def is_ours(folder: Path) -> bool:
    """Whether `mark` was called for this very folder; a copy under another name is somebody's own."""
    try:
        said = (folder / MARK).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    return not folder.is_symlink() and said.split(":")[0] == folder.name and NAME.fullmatch(folder.name) is not None


def remove_others(root: Path, kept: str | None) -> None:
    """Remove every generation of ours but the one called ``kept``, and what is left of earlier removals."""
    for folder in root.glob(f"{REMOVED}*"):
        if is_removed(folder):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in root.glob("generation-*"):
        if folder.name != kept and is_ours(folder):
            _remove(folder)


def is_removed(folder: Path) -> bool:
    """Whether this is a generation whose removal was interrupted."""
    return folder.name.startswith(REMOVED) and NAME.fullmatch(folder.name.removeprefix(REMOVED)) is not None


def _remove(folder: Path) -> None:
    """Rename the folder first: where the process is killed on the way, the next one knows that it may go on."""
    removed = folder.with_name(f"{REMOVED}{folder.name}")
    with contextlib.suppress(OSError):
        shutil.rmtree(removed, ignore_errors=True)
        folder.rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
