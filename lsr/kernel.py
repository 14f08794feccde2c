"""What is a kernel? A function of arrays that becomes machine code when it is first called, and is kept on disk.

The compiler (numba) is imported then too: whatever needs no kernel starts without it.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import RLock
from types import FunctionType
from typing import Any

COMPILING = "compiling kernels for this processor: about 10 seconds, once"
_LOCK = RLock()
_told: set[str] = set()
_listener: Callable[[str], None] | None = None


def listen(listener: Callable[[str], None]) -> None:
    """Let ``listener`` hear, each thing once a process, that kernels are compiled and that they cannot be kept."""
    global _listener
    _listener = listener


class Kernel:
    """A function that is compiled when it is first called, and the kernels that it calls with it.

    Args:
        function: in Python; Numba compiles it once for every set of argument types.
        make: gives what Numba knows it as, from the function with its kernels in place and a stamp of all that
            decides the machine code.
    """

    def __init__(self, function: Callable[..., Any], make: Callable[[FunctionType, str], Any]) -> None:
        self._function, self._make = function, make
        self._made: Any = None
        functools.update_wrapper(self, function)

    def __call__(self, *args: Any) -> Any:
        """Run the machine code."""
        return (self._made or self.made())(*args)

    @property
    def loaded(self) -> bool:
        """Whether the compiler knows it already."""
        return self._made is not None

    def made(self) -> Any:
        """What Numba compiles, made once."""
        with _LOCK:
            if self._made is None:
                self._made = self._make(self._linked(), self.stamp())
        return self._made

    def stamp(self) -> str:
        """A hash of the sources and constants that decide the machine code, those of kernels called among them."""
        parts = sorted(set(_parts(self._function, set())))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _linked(self) -> FunctionType:
        """The function with what Numba knows in place of the kernels that it calls."""
        function: Any = self._function
        called = {name: value.made() for name, value in _used(function) if isinstance(value, Kernel)}
        linked = FunctionType(function.__code__, {**function.__globals__, **called}, function.__name__)
        linked.__qualname__ = function.__qualname__
        return linked


def kernel(function: Callable[..., Any]) -> Any:
    """Decorator of kernels: serial code that lets other threads run meanwhile; its types are Numba's, not Python's."""
    return Kernel(function, _compiled)


def intrinsic(function: Callable[..., Any]) -> Any:
    """Decorator of instructions that kernels use and Python has no words for, as `numba.extending.intrinsic`."""
    return Kernel(function, _instruction)


def tell(message: str, *, warn: bool = False) -> None:
    """Say something once to whoever listens; without a listener only warnings are heard, as `RuntimeWarning`."""
    with _LOCK:
        if message in _told:
            return
        _told.add(message)
    if _listener is not None:
        _listener(message)
    elif warn:
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _not_kept(why: str) -> None:
    tell(
        f"compiled kernels cannot be kept ({why}): every new process compiles them again; "
        "set NUMBA_CACHE_DIR to a folder that can be written",
        warn=True,
    )


def _compiled(function: FunctionType, stamp: str) -> Any:
    from numba import njit

    from lsr.kernel_cache import KernelCache

    dispatcher = njit(nogil=True)(function)
    dispatcher._cache = KernelCache(function, stamp, lambda: tell(COMPILING), _not_kept)
    return dispatcher


def _instruction(function: FunctionType, stamp: str) -> Any:
    from numba.extending import intrinsic as known

    return known(function)


def _used(function: Any) -> Iterator[tuple[str, Any]]:
    """Globals that a function names, with their values."""
    for name in function.__code__.co_names:
        if name in function.__globals__:
            yield name, function.__globals__[name]


def _parts(function: Any, seen: set[Any]) -> Iterator[str]:
    """What decides the machine code of a function: its module's source, constants, and the same of what it calls."""
    seen.add(function)
    yield _digest(inspect.getfile(function))
    for name, value in _used(function):
        if isinstance(value, Kernel):
            if value._function not in seen:
                yield from _parts(value._function, seen)
        elif isinstance(value, type):
            yield f"{name}: {getattr(value, '_fields', value.__qualname__)}"
        elif not inspect.ismodule(value) and not callable(value):
            yield f"{name} = {value!r}"


@functools.cache
def _digest(path: str) -> str:
    """Hash of a source file, so that a change of it makes what was compiled before stale."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return path
