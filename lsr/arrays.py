"""How are arrays kept in files? As .npy, read strictly: a damaged file is refused before anything is made of it."""

from __future__ import annotations

import mmap
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import header_data_from_array_1_0, write_array_header_1_0
from numpy.typing import NDArray

MAGIC = b"\x93NUMPY\x01\x00"
HEADER = re.compile(
    rb"\{'descr': '([<|][iuf][1248])', 'fortran_order': False, 'shape': \((\d{1,18}),(?: (\d{1,18}))?\), \} *\n"
)


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array of any shape; `OSError` where that cannot be. ``array`` is [N] or [N, M], of any dtype."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        write_array_header_1_0(file, header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)  # says what is wrong with a disk, which `numpy.save` does not


def load_array(path: Path, *dtypes: str, columns: int | None = None) -> NDArray[Any]:
    """What `save_array` wrote, of one of ``dtypes``.

    [N], or [N, columns].

    Args:
        path: of the file.
        dtypes: names such as "uint16".
        columns: of an array of rows; 0 takes any number, None wants a flat array.

    Raises:
        ValueError: another kind of file, type or shape, or more or fewer bytes than the shape says.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        dtype, shape = _checked(file, path.stat().st_size, path.name, dtypes, columns)
        return np.fromfile(file, dtype).reshape(shape)


def array_in(memory: mmap.mmap, name: str, *dtypes: str) -> NDArray[Any]:
    """What `load_array` gives, [N], of a file in ``memory``, read in place; ``name`` is for messages."""
    memory.seek(0)
    dtype, shape = _checked(memory, len(memory), name, dtypes, None)
    return np.frombuffer(memory, dtype, offset=memory.tell()).reshape(shape)


def _checked(
    file: Any, size: int, name: str, dtypes: Sequence[str], columns: int | None
) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of the array in a file of ``size`` bytes, which is at the first number then."""
    dtype, shape = _header(file.read(10), file, name)
    wanted = 1 if columns is None else 2
    if dtype.name not in dtypes or len(shape) != wanted or (columns and shape[1] != columns):
        raise ValueError(f"{name} holds {dtype.name}{list(shape)}: wanted {' or '.join(dtypes)}")
    left = size - file.tell()
    if left != dtype.itemsize * int(np.prod(shape, dtype=object)):
        raise ValueError(f"{name} has {left:,} bytes of {dtype.name}{list(shape)}")
    return dtype, shape


def _header(start: bytes, file: Any, name: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape; the file is at the first number then."""
    text = file.read(int.from_bytes(start[8:], "little"))
    found = HEADER.fullmatch(text) if start[:8] == MAGIC else None
    if found is None:
        raise ValueError(f"{name} is not an array file of lsr")
    return np.dtype(found[1].decode()), tuple(int(part) for part in found.groups()[1:] if part is not None)
