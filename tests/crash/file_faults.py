"""What does Python code do when the disk below its files fails, and what has it made durable?

While `FileFaults` is entered, `open` (of `builtins`, `io` and so of `pathlib`, `tempfile`, `shutil`, numpy and
`os.fdopen`) and the functions of `os` that change the disk are replaced; they behave as before except below one
folder. A file opened there for writing is a real `io.BufferedWriter` (or text file) over a raw file of ours: what
Python buffers is lost with the power, and an operation is what the kernel would be asked for, not each small write.

Syncs are recorded, not done: nothing here needs a real disk to wait.

Product code should write through Python's files. ``pa.OSFile(path, "wb")``, ``pa.memory_map``, ``pq.write_table(table,
path)`` and other code that opens paths in C or C++ pass by: they cannot be made to fail; ``pa.ipc.new_file(file, ...)``
and ``pq.write_table(table, file)`` on a Python file come here. `Record.adopt_strays` tells which files passed by.
``ndarray.tofile(file)`` writes in C through a duplicate of the descriptor: that is one operation, which fails before
it writes (it is never short); ``np.save`` into one of our files writes through Python, in pieces. A mapped file
(``np.memmap``, ``mmap``) is seen when it is opened and synced, not when its pages are written.
"""

from __future__ import annotations

import builtins
import fcntl
import io
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy.lib.format

from tests.crash.operations import Operations, error
from tests.crash.record import File, Node, Record, located

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
NAMELESS = os.O_TMPFILE & ~os.O_DIRECTORY
MODES = frozenset("wax+")


class FileFaults:
    """Files below ``record.folder``, while this is entered: numbered, failing, recorded.

    ``honest=False`` is a disk that says that it has synced, and has not.
    """

    def __init__(self, operations: Operations, record: Record, honest: bool = True) -> None:
        self.operations, self.record, self.honest = operations, record, honest
        self.below: dict[str, Any] = {}
        self._patches = ExitStack()

    def __enter__(self) -> FileFaults:
        for name in REPLACED:
            self.below[name] = getattr(os, name)
            self._patches.enter_context(patch.object(os, name, partial(globals()[f"_{name}"], self)))
        self.below["io.open"] = io.open
        for module in (io, builtins):
            self._patches.enter_context(patch.object(module, "open", partial(_io_open, self)))
        _through_python(self._patches)
        return self

    def __exit__(self, *_: object) -> None:
        self._patches.close()

    def step(self, what: str, path: str, half: Callable[[], object] | None = None) -> None:
        """Number an operation, and raise the fault that it meets: ENOSPC, EIO or `PowerCut`.

        ``half`` does half of a write, before a short one fails.
        """
        fault = self.operations.step(what, path)
        if fault == "short" and half:
            half()
        if fault:
            raise error(fault, path)


class RawFile(io.FileIO):
    """A raw file whose writes and truncations meet the faults of a folder."""

    def __init__(self, faults: FileFaults, file: Any, mode: str, closefd: bool, opener: Any) -> None:
        super().__init__(file, mode, closefd, opener or partial(_open, faults, mode=0o666))
        self._faults = faults

    def write(self, data: Any, /) -> int:
        """Number, record and write."""
        view, ours = memoryview(data).cast("B"), super().write
        with self._faults.operations.lock:
            self._faults.step("write", _name(self.fileno()), half=lambda: ours(view[: len(view) // 2]))
            return ours(view) or 0

    def truncate(self, size: int | None = None, /) -> int:
        """Number, record and truncate."""
        size = self.tell() if size is None else size
        os.ftruncate(self.fileno(), size)
        return size


def _io_open(
    faults: FileFaults,
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """What `io.open` returns, over a raw file of ours where it is written to below the folder."""
    ours = MODES & set(mode) and (_ours(faults, file) if isinstance(file, int) else _covered(faults, file))
    if not ours:
        return faults.below["io.open"](file, mode, buffering, encoding, errors, newline, closefd, opener)
    if "b" in mode and (encoding or errors or newline):
        raise ValueError("binary mode takes no encoding, errors or newline")
    raw = RawFile(faults, file, mode.translate({ord("b"): None, ord("t"): None}), closefd, opener)
    try:
        return _buffered(raw, mode, buffering, (encoding, errors, newline))
    except BaseException:
        raw.close()
        raise


def _buffered(raw: RawFile, mode: str, buffering: int, text: tuple[str | None, str | None, str | None]) -> Any:
    if buffering == 0:
        if "b" not in mode:
            raise ValueError("can't have unbuffered text I/O")
        return raw
    size = buffering if buffering > 1 else io.DEFAULT_BUFFER_SIZE
    file = io.BufferedRandom(raw, size) if "+" in mode else io.BufferedWriter(raw, size)
    if "b" in mode:
        return file
    wrapped: Any = io.TextIOWrapper(file, *text, buffering == 1)
    wrapped.mode = mode
    return wrapped


def _through_python(patches: ExitStack) -> None:
    """Let ``np.save`` write into files of ours as into any Python object, not in C."""
    module = getattr(numpy.lib, "_format_impl", numpy.lib.format)
    if hasattr(module, "isfileobj"):
        theirs = module.isfileobj
        patches.enter_context(patch.object(module, "isfileobj", lambda file: theirs(file) and not _is_raw(file)))


def _is_raw(file: Any) -> bool:
    return isinstance(getattr(file, "raw", file), RawFile)


def _covered(faults: FileFaults, path: Any) -> bool:
    """Whether a path is below the folder, or is the folder itself, which `tempfile` opens in place of a file."""
    place = located(path)
    return faults.record.covers(place) or place == str(faults.record.folder)


def _ours(faults: FileFaults, descriptor: int) -> Node | None:
    """The file or folder of ours that a descriptor is open on; one that came to be beside the shims is a stray."""
    known = faults.record.of(descriptor)
    if known:
        return known
    try:
        path = _name(descriptor)
    except OSError:
        return None
    return faults.record.node(path) if faults.record.covers(path) else None


def _name(descriptor: int) -> str:
    """The path of an open file."""
    return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115


def _open(faults: FileFaults, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
    below = partial(faults.below["open"], path, flags, mode, dir_fd=dir_fd)
    place = located(path, dir_fd)
    if os.path.islink(place) and not flags & os.O_NOFOLLOW:  # noqa: PTH114
        place = os.path.realpath(place)
    if not faults.record.covers(place) or not flags & WRITING or flags & NAMELESS:
        return int(below())
    with faults.operations.lock:
        new = not os.path.lexists(place)
        if new and flags & os.O_CREAT:
            faults.step("create", place)
        elif flags & os.O_TRUNC and not flags & os.O_EXCL:
            faults.step("truncate", place)
        opened = int(below())
        node = faults.record.created(place) if new else faults.record.node(place)
        if isinstance(node, File) and flags & os.O_TRUNC:
            node.truncated(0)
    return opened


def _written(faults: FileFaults, descriptor: int, write: Callable[[int], int], size: int) -> int:
    """Let ``write`` write ``size`` bytes, or half of them, into a file that may be ours."""
    if not _ours(faults, descriptor):
        return write(size)
    with faults.operations.lock:
        faults.step("write", _name(descriptor), half=lambda: write(size // 2))
        return write(size)


def _write(faults: FileFaults, descriptor: int, data: Any) -> int:
    view, below = memoryview(data).cast("B"), faults.below["write"]
    return _written(faults, descriptor, lambda size: below(descriptor, view[:size]), len(view))


def _pwrite(faults: FileFaults, descriptor: int, data: Any, offset: int) -> int:
    view, below = memoryview(data).cast("B"), faults.below["pwrite"]
    return _written(faults, descriptor, lambda size: below(descriptor, view[:size], offset), len(view))


def _writev(faults: FileFaults, descriptor: int, buffers: Sequence[Any]) -> int:
    if not _ours(faults, descriptor):
        return int(faults.below["writev"](descriptor, buffers))
    return _write(faults, descriptor, b"".join(buffers))


def _pwritev(faults: FileFaults, descriptor: int, buffers: Sequence[Any], offset: int, flags: int = 0) -> int:
    if not _ours(faults, descriptor):
        return int(faults.below["pwritev"](descriptor, buffers, offset, flags))
    return _pwrite(faults, descriptor, b"".join(buffers), offset)


def _sendfile(faults: FileFaults, out_fd: int, in_fd: int, offset: int | None, count: int, **more: Any) -> int:
    below = faults.below["sendfile"]
    return _written(faults, out_fd, lambda size: below(out_fd, in_fd, offset, size, **more), count)


def _copy_file_range(faults: FileFaults, src: int, dst: int, count: int, *offsets: Any, **more: Any) -> int:
    below = faults.below["copy_file_range"]
    return _written(faults, dst, lambda size: below(src, dst, size, *offsets, **more), count)


def _posix_fallocate(faults: FileFaults, descriptor: int, offset: int, size: int) -> None:
    below = faults.below["posix_fallocate"]
    _written(faults, descriptor, lambda size: below(descriptor, offset, size) or size, size)


def _dup(faults: FileFaults, descriptor: int) -> int:
    """``ndarray.tofile`` takes a duplicate of the descriptor, and then writes; ``np.fromfile`` does to read."""
    node = _ours(faults, descriptor)
    if isinstance(node, File) and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
        faults.step("write", _name(descriptor))
    return int(faults.below["dup"](descriptor))


def _ftruncate(faults: FileFaults, descriptor: int, length: int) -> None:
    node = _ours(faults, descriptor)
    if not isinstance(node, File):
        return faults.below["ftruncate"](descriptor, length)  # type: ignore[no-any-return]
    with faults.operations.lock:
        faults.step("truncate", _name(descriptor))
        node.truncated(length)
        return faults.below["ftruncate"](descriptor, length)  # type: ignore[no-any-return]


def _truncate(faults: FileFaults, path: Any, length: int) -> None:
    descriptor = path if isinstance(path, int) else faults.below["open"](path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, length)
    finally:
        if descriptor is not path:
            os.close(descriptor)


def _fsync(faults: FileFaults, fd: Any, call: str = "fsync") -> None:
    descriptor = fd if isinstance(fd, int) else fd.fileno()
    node = _ours(faults, descriptor)
    if node is None:
        return faults.below[call](fd)  # type: ignore[no-any-return]
    with faults.operations.lock:
        try:
            faults.step("sync", _name(descriptor))
        except OSError:
            if isinstance(node, File):
                node.doubtful = True
            raise
        if faults.honest:
            faults.record.synced(node)
    return None


def _fdatasync(faults: FileFaults, fd: Any) -> None:
    _fsync(faults, fd, "fdatasync")


def _named(
    faults: FileFaults, call: str, what: str, path: Any, *arguments: Any, dir_fd: int | None = None, **more: Any
) -> None:
    """Give or take away one name."""
    place = located(path, dir_fd)
    below = partial(faults.below[call], path, *arguments, dir_fd=dir_fd, **more)
    if not faults.record.covers(place) or os.path.lexists(place) != (what == "delete"):
        return below()  # type: ignore[no-any-return]
    with faults.operations.lock:
        faults.step(what, place)
        faults.record.node(place if what == "delete" else os.path.dirname(place))  # noqa: PTH120
        below()
        (faults.record.removed if what == "delete" else faults.record.created)(place)
    return None


def _mkdir(faults: FileFaults, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
    _named(faults, "mkdir", "mkdir", path, mode, dir_fd=dir_fd)


def _rmdir(faults: FileFaults, path: Any, *, dir_fd: int | None = None) -> None:
    _named(faults, "rmdir", "delete", path, dir_fd=dir_fd)


def _unlink(faults: FileFaults, path: Any, *, dir_fd: int | None = None) -> None:
    _named(faults, "unlink", "delete", path, dir_fd=dir_fd)


_remove = _unlink


def _symlink(
    faults: FileFaults, src: Any, dst: Any, target_is_directory: bool = False, *, dir_fd: int | None = None
) -> None:
    place = located(dst, dir_fd)
    with faults.operations.lock:
        new = faults.record.covers(place) and not os.path.lexists(place)
        if new:
            faults.step("link", place)
        faults.below["symlink"](src, dst, target_is_directory, dir_fd=dir_fd)
        if new:
            faults.record.created(place)


def _link(
    faults: FileFaults,
    src: Any,
    dst: Any,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    follow_symlinks: bool = True,
) -> None:
    old, new = located(src, src_dir_fd), located(dst, dst_dir_fd)
    below = partial(
        faults.below["link"], src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd, follow_symlinks=follow_symlinks
    )
    if not faults.record.covers(new) or os.path.lexists(new):
        return below()  # type: ignore[no-any-return]
    with faults.operations.lock:
        faults.step("link", new)
        if faults.record.covers(old):
            faults.record.node(old)
        below()
        faults.record.created(new)
    return None


def _rename(
    faults: FileFaults,
    src: Any,
    dst: Any,
    *,
    src_dir_fd: int | None = None,
    dst_dir_fd: int | None = None,
    call: str = "rename",
) -> None:
    old, new = located(src, src_dir_fd), located(dst, dst_dir_fd)
    below = partial(faults.below[call], src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
    if not (faults.record.covers(old) or faults.record.covers(new)) or not os.path.lexists(old):
        return below()  # type: ignore[no-any-return]
    with faults.operations.lock:
        faults.step("rename", new)
        node = faults.record.node(old) if faults.record.covers(old) else None
        below()
        faults.record.renamed(node, old, new)
    return None


def _replace(faults: FileFaults, src: Any, dst: Any, **folders: int | None) -> None:
    _rename(faults, src, dst, call="replace", **folders)


def _sync(faults: FileFaults) -> None:
    with faults.operations.lock:
        faults.step("sync", str(faults.record.folder))
        for node in faults.record.nodes() if faults.honest else []:
            faults.record.synced(node)


REPLACED = (
    "open",
    "write",
    "pwrite",
    "writev",
    "pwritev",
    "sendfile",
    "copy_file_range",
    "posix_fallocate",
    "dup",
    "ftruncate",
    "truncate",
    "fsync",
    "fdatasync",
    "sync",
    "mkdir",
    "rmdir",
    "unlink",
    "remove",
    "symlink",
    "link",
    "rename",
    "replace",
)
