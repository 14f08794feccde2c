"""What do SQLite's structs look like, and where is the SQLite that Python's own module calls?

https://www.sqlite.org/c3ref/vfs.html and https://www.sqlite.org/c3ref/io_methods.html; both are stable since 2010.
"""

from __future__ import annotations

import ctypes
import functools
import sqlite3
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p

OPEN = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)  # vfs, name, file, flags, flags out
DELETE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)  # vfs, name, whether to sync the folder
CLOSE = CFUNCTYPE(c_int, c_void_p)
WRITE = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)  # file, bytes, their number, offset
TRUNCATE = CFUNCTYPE(c_int, c_void_p, c_int64)
SYNC = CFUNCTYPE(c_int, c_void_p, c_int)

OK, IOERR, FULL, CANTOPEN = 0, 10, 13, 14
IOERR_OF = {
    "write": IOERR | 3 << 8,
    "sync": IOERR | 4 << 8,
    "truncate": IOERR | 6 << 8,
    "delete": IOERR | 10 << 8,
    "create": CANTOPEN,
}
OPEN_CREATE = 0x4
OPEN_JOURNALS = 0x800 | 0x4000 | 0x80000  # main journal, super-journal, WAL: their first sync is their folder's too


class Vfs(Structure):
    """sqlite3_vfs, version 3; what is not replaced stays a plain address."""

    _fields_ = [
        ("version", c_int),
        ("file_size", c_int),
        ("longest_path", c_int),
        ("next", c_void_p),
        ("name", c_char_p),
        ("data", c_void_p),
        ("open", c_void_p),
        ("delete", c_void_p),
        ("rest", c_void_p * 14),
    ]


class Methods(Structure):
    """sqlite3_io_methods, version 3."""

    _fields_ = [
        ("version", c_int),
        ("close", c_void_p),
        ("read", c_void_p),
        ("write", c_void_p),
        ("truncate", c_void_p),
        ("sync", c_void_p),
        ("rest", c_void_p * 13),
    ]


@functools.cache
def library() -> ctypes.CDLL | None:
    """The libsqlite3 that `sqlite3` calls; None where its functions cannot be reached (Python has SQLite inside).

    Symbols are looked up in the extension module and in what it is linked to: that is the library that it calls,
    whatever its file is called.
    """
    import _sqlite3

    try:
        found = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        found.sqlite3_libversion.restype = c_char_p
        found.sqlite3_vfs_find.restype = POINTER(Vfs)
        found.sqlite3_vfs_find.argtypes = [c_char_p]
        found.sqlite3_vfs_register.argtypes = [POINTER(Vfs), c_int]
    except (OSError, AttributeError):
        return None
    same = found.sqlite3_libversion().decode() == sqlite3.sqlite_version
    return found if same and found.sqlite3_vfs_find(None)[0].version >= 2 else None
