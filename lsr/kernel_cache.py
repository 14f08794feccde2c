"""Where is the machine code of kernels kept? In the first folder that takes it, found again in any of them.

Candidates, in order: NUMBA_CACHE_DIR where it is set; ``__pycache__`` beside the module; the user's cache
(XDG_CACHE_HOME or ~/.cache); a folder of the user below the temporary one. The last two count only where they are the
user's own and nobody else can write there: whoever writes machine code decides what this process does.

An entry ends with its checksum. What is damaged, stale or cannot be read counts as missing; what cannot be written is
compiled again by the next process. Neither fails a call.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import IO, Any

from numba.core import config
from numba.core.caching import IndexDataCacheFile, _Cache
from numba.core.compiler import CompileResult

DIGEST = 32  # bytes
WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


class KernelCache(_Cache):  # type: ignore[misc]
    """The machine code of one function, by types of arguments and by processor.

    Args:
        function: that is compiled.
        stamp: of all that decides its machine code; entries of another stamp are stale.
        missed: called when nothing is found, so that compiling follows.
        not_kept: called with the reason when no folder takes an entry.
    """

    def __init__(
        self, function: FunctionType, stamp: str, missed: Callable[[], None], not_kept: Callable[[str], None]
    ) -> None:
        source = Path(function.__code__.co_filename)
        version = f"py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"
        name = f"{source.stem}.{function.__name__}.{version}"
        self._entries = [_Entries(folder, owned, name, stamp) for folder, owned in _folders(source)]
        self._missed, self._not_kept = missed, not_kept

    @property
    def cache_path(self) -> str:
        """The folder that is tried first."""
        return str(self._entries[0]._cache_path)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The machine code for a signature, or None."""
        target_context.refresh()
        key = _key(sig, target_context.codegen())
        for entries in self._entries:
            if (kept := entries.load(key)) is not None:
                return CompileResult._rebuild(target_context, *kept)
        self._missed()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for a signature."""
        key, reduced = _key(sig, data.codegen), data._reduce()
        why: OSError | None = None
        for entries in self._entries:
            try:
                return entries.save(key, reduced)
            except OSError as error:
                why = why or error
        return self._not_kept(str(why))

    def flush(self) -> None:
        """Forget what is kept."""
        for entries in self._entries:
            entries.flush()

    def enable(self) -> None:
        """It always is."""

    def disable(self) -> None:
        """It never is."""


class _Entries(IndexDataCacheFile):  # type: ignore[misc]
    """Entries of one function in one folder, each file with a checksum at its end.

    Args:
        folder: below ``owned``, or beside the module, or named by the user.
        owned: a folder that must be the user's own; None asks nothing.
        name: of the function.
        stamp: of its sources.
    """

    def __init__(self, folder: Path, owned: Path | None, name: str, stamp: str) -> None:
        super().__init__(str(folder), name, stamp)
        self._owned = owned

    def load(self, key: Any) -> Any:
        """What was kept for ``key``, or None."""
        return super().load(key) if self._owned is None or _is_ours(self._owned) else None

    def save(self, key: Any, data: Any) -> None:
        """Keep ``data``; `OSError` where that cannot be."""
        if self._owned is not None:
            self._owned.mkdir(0o700, parents=True, exist_ok=True)
            if not _is_ours(self._owned):
                raise PermissionError(f"{self._owned} is not this user's alone")
        Path(self._cache_path).mkdir(parents=True, exist_ok=True)
        super().save(key, data)

    def _load_index(self) -> Any:
        try:
            return super()._load_index() if _whole(self._index_path) else {}
        except (AttributeError, ImportError):  # types of another version of lsr
            return {}

    def _load_data(self, name: str) -> Any:
        return super()._load_data(name) if _whole(self._data_path(name)) else None

    @contextmanager
    def _open_for_write(self, filepath: str) -> Iterator[IO[bytes]]:
        with super()._open_for_write(filepath) as file:
            yield file
            file.flush()
            file.write(hashlib.sha256(Path(file.name).read_bytes()).digest())


def _key(sig: Any, codegen: Any) -> tuple[Any, ...]:
    return sig, codegen.magic_tuple()


def _whole(path: str) -> bool:
    """Whether a file is there and ends with its checksum."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return False
    return hashlib.sha256(content[:-DIGEST]).digest() == content[-DIGEST:]


def _folders(source: Path) -> Iterator[tuple[Path, Path | None]]:
    """Where machine code of a module may lie, best first, and the folder above that must be the user's own."""
    below = f"{source.parent.name}_{hashlib.sha256(os.fsencode(source.parent)).hexdigest()[:16]}"
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR) / below, None
    yield source.parent / "__pycache__", None
    for owned in (_user_cache(), _temporary()):
        if owned is not None:
            yield owned / below, owned


def _user_cache() -> Path | None:
    """The user's own, never that of somebody whose HOME was kept, as sudo may do."""
    try:
        if named := os.environ.get("XDG_CACHE_HOME"):
            return Path(named) / "lsr" if Path(named).is_absolute() else None
        home = Path.home()
        return home / ".cache" / "lsr" if home.stat().st_uid == os.geteuid() else None
    except (RuntimeError, OSError):  # a user without a name and without HOME, or a HOME that is not there
        return None


def _temporary() -> Path | None:
    try:
        return Path(tempfile.gettempdir()) / f"lsr-{os.geteuid()}"
    except FileNotFoundError:  # no temporary folder can be written
        return None


def _is_ours(folder: Path) -> bool:
    """Whether a folder is this user's alone to write."""
    try:
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & WRITABLE_BY_OTHERS
