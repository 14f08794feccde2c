"""Which row has a document's id, and has the document changed? Sorted hashes of ids; hashes of texts and of fields."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.arrays import array_in, save_array
from lsr.corpus import Document
from lsr.corpus.schema import columns_of, type_of
from lsr.corpus.values import MisfitError
from lsr.errors import InputError
from lsr.index.storage.faults import unreadable
from lsr.index.storage.fields import mapped, small

HASHES, ROWS = "ids.hashes.npy", "ids.rows.npy"
TEXTS, FIELDS = "texts.hashes.npy", "fields.hashes.npy"
Hashes = NDArray[np.uint64]
EXACT = 2**63  # floats that are whole and smaller are equal to an integer of 64 bits


class Candidates(NamedTuple):
    """Where ids may be: ``ids[places[i]]`` has the hash of the id at ``rows[i]``.

    Attributes:
        places: int64[m], rising.
        rows: int64[m], rising for equal places.
    """

    places: NDArray[np.int64]
    rows: NDArray[np.int64]


class IdIndex:
    """Rows by the hashes of their ids.

    Args:
        hashes: uint64[n], sorted.
        rows: uint32[n], rising for equal hashes.
    """

    def __init__(self, hashes: Hashes, rows: NDArray[np.uint32]) -> None:
        self._hashes, self._rows = hashes, rows

    @classmethod
    def of(cls, ids: Sequence[str]) -> IdIndex:
        """An index of the ids of rows 0, 1, 2, ..."""
        hashes = id_hashes(ids)
        order = np.argsort(hashes, kind="stable")
        return cls(hashes[order], order.astype(np.uint32))

    @classmethod
    def load(cls, folder: Path, n: int) -> IdIndex:
        """What `save` wrote for ``n`` rows.

        Raises:
            StorageError: damage.
        """
        try:
            return cls.later(folder, n)()
        except OSError as error:
            raise unreadable(folder / HASHES, error) from None

    @classmethod
    def later(cls, folder: Path, n: int) -> Callable[[], IdIndex]:
        """`load`, to be called later: the files are opened now, and may have lost their names by then.

        Raises:
            OSError, ValueError: a file cannot be opened.
        """
        arrays = array_later(folder / HASHES, "uint64", n), array_later(folder / ROWS, "uint32", n)

        def load() -> IdIndex:
            hashes, rows = (array() for array in arrays)
            if (hashes[1:] < hashes[:-1]).any():
                raise unreadable(folder / HASHES, ValueError("hashes that are not sorted"))
            if n and (rows.max() >= n or (np.bincount(rows, minlength=n) != 1).any()):
                raise unreadable(folder / ROWS, ValueError("not each row once"))
            return cls(hashes, rows)

        return load

    def save(self, folder: Path) -> None:
        """Write two files; `OSError` where that cannot be."""
        save_array(folder / HASHES, self._hashes)
        save_array(folder / ROWS, self._rows)

    def __len__(self) -> int:
        return self._rows.size

    def rows_of(self, ids: Sequence[str]) -> Candidates:
        """Where ``ids`` may be; `confirmed` looks whether they are. An id that several rows share has them all."""
        hashes = id_hashes(ids)
        order = np.argsort(hashes)  # the memory that neighbours search in is near
        first, after = np.empty((2, hashes.size), np.int64)
        first[order] = np.searchsorted(self._hashes, hashes[order], side="left")
        after[order] = np.searchsorted(self._hashes, hashes[order], side="right")
        counts = after - first
        ends = np.cumsum(counts)
        within = np.arange(counts.sum()) - np.repeat(ends - counts, counts)
        places = np.repeat(np.arange(hashes.size), counts)
        return Candidates(places, self._rows[first[places] + within].astype(np.int64))


def confirmed(found: Candidates, ids: Sequence[str], id_of: Callable[[int], str]) -> Candidates:
    """Those of the candidates for ``ids`` whose row has that id; ``id_of`` gives the id at a row."""
    pairs = zip(found.places.tolist(), found.rows.tolist(), strict=True)
    equal = np.array([id_of(row) == ids[place] for place, row in pairs], np.bool_)
    return Candidates(found.places[equal], found.rows[equal])


def id_hashes(ids: Iterable[str]) -> Hashes:
    """Hashes of ids, uint64[n]."""
    return _hashes(name.encode() for name in ids)


def text_hashes(documents: Iterable[Document]) -> Hashes:
    """Hashes of the title and text of each document, uint64[n]."""
    pairs = ((document.title.encode(), document.text.encode()) for document in documents)
    return _hashes(b"%d:%b%b" % (len(title), title, text) for title, text in pairs)


def field_hashes(rows: Sequence[Mapping[str, Any]], types: Mapping[str, str]) -> Hashes:
    """Hashes of the fields of each document, uint64[n]: equal for values as a source gives them and as the store does.

    Types that were widened since (integer to float, keyword to keywords) change nothing.

    Args:
        rows: values by name; None is nothing.
        types: of the fields by name; one without a type counts as JSON, and so does a value that does not fit.

    Raises:
        InputError: a value that JSON cannot write.
    """
    columns = columns_of(rows)
    parts = [_encoded(name, columns[name], types.get(name, "json")) for name in sorted(columns)]
    return _hashes(map(b"".join, zip(*parts, strict=True))) if parts else _hashes([b""] * len(rows))


def save_hashes(folder: Path, texts: Hashes, fields: Hashes) -> None:
    """Keep what `text_hashes` and `field_hashes` gave, each uint64[n]; `OSError` where that cannot be."""
    save_array(folder / TEXTS, texts)
    save_array(folder / FIELDS, fields)


def load_hashes(folder: Path, n: int) -> tuple[Hashes, Hashes]:
    """What `save_hashes` wrote for ``n`` rows: of texts and of fields, each uint64[n].

    Raises:
        StorageError: damage.
    """
    return _load(folder / TEXTS, "uint64", n), _load(folder / FIELDS, "uint64", n)


def array_later(path: Path, dtype: str, n: int) -> Callable[[], NDArray[Any]]:
    """Reads an array of ``n`` numbers, [n], from a file that is opened now.

    Raises:
        OSError, ValueError: the file cannot be opened.
    """
    memory = mapped(path)

    def load() -> NDArray[Any]:
        try:
            array = array_in(memory, path.name, dtype)
            if array.size != n:
                raise ValueError(f"{array.size:,} numbers for {n:,} documents")
        except ValueError as error:
            raise unreadable(path, error) from None
        return array

    return load


def _load(path: Path, dtype: str, n: int) -> NDArray[Any]:
    try:
        return array_later(path, dtype, n)()
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def _hashes(contents: Iterable[bytes]) -> Hashes:
    """BLAKE2b of 8 bytes each; one that has been set up is copied, which is faster."""
    fresh, digests = hashlib.blake2b(digest_size=8), []
    for content in contents:
        own = fresh.copy()
        own.update(content)
        digests.append(own.digest())
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def _encoded(name: str, values: Sequence[Any], kind: str) -> list[bytes]:
    """Name and value of each document in MessagePack, which says where each ends; nothing for nothing."""
    encode = msgspec.msgpack.Encoder().encode
    head, known, found = encode(name), dict[Any, bytes](), []
    for value in values:
        encoded = known.get(value) if isinstance(value, str) else None
        if encoded is None:
            plain = None if value is None else _canonical(value, kind)
            encoded = b"" if plain is None else head + encode(plain)
            if isinstance(value, str):
                known[value] = encoded
        found.append(encoded)
    return found


def _canonical(value: Any, kind: str) -> Any:
    """One form of all values that are stored as the same; None for nothing."""
    try:
        found = type_of(kind).take(value) if kind != "json" else [_json(value)]
    except MisfitError:
        found = [_json(value)]
    if kind == "float" and isinstance(found, float) and found.is_integer() and abs(found) < EXACT:
        return int(found)
    if kind == "keywords" and len(found) == 1:
        return found[0]
    return None if found == ["null"] and kind == "json" else found


def _json(value: Any) -> str:
    """A value as JSON with its keys in order, numbers as the store has them."""
    try:
        plain = msgspec.json.decode(msgspec.json.encode(str(value) if isinstance(value, str) else value))
        return msgspec.json.encode(small(plain), order="sorted").decode()
    except (msgspec.MsgspecError, TypeError, UnicodeError, OverflowError, RecursionError):
        raise InputError(f"a field holds a {type(value).__name__}: wanted what JSON can write") from None
