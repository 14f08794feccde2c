"""How do search engines hand each other an inverted index? As a CIFF file, one posting list a term.

Lin et al., Supporting interoperability between open-source search engines with the Common Index File Format, SIGIR
2020 (arXiv 2003.08276): a Header, posting lists in order of their terms with gaps between documents, and a record for
each document, every message with its length before it. Term frequencies carry whole weights.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lsr.corpus import Document
from lsr.corpus.streams import DAMAGE, open_file
from lsr.corpus.values import decoded, identifier
from lsr.errors import InputError, reason
from lsr.formats.ciff.buckets import BUCKETS, Buckets
from lsr.formats.ciff.kernels import LONGEST, POSTINGS, decode_postings, encode_postings
from lsr.formats.ciff.protobuf import DamagedError, delimited, field, read_delimited, read_field, varint
from lsr.formats.vectors import ROWS, VectorBatch, Vocabulary, single, sorted_rows


class _List(NamedTuple):
    """A posting list: its term, document numbers (int64, rising) and term frequencies (int64)."""

    term: str
    documents: NDArray[np.int64]
    tfs: NDArray[np.int64]


def read_ciff(path: Path, vocabulary: Vocabulary) -> Iterator[VectorBatch]:
    """Vectors of an index, document by document; plain or .gz. The entries wait on disk, 12 bytes each.

    Raises:
        InputError: damage, or a count that does not agree with the header; the message names the byte.
    """
    with closing(_Reader(path)) as reader, tempfile.TemporaryDirectory(prefix="lsr-ciff-") as folder:
        lists, records = reader.header()
        with Buckets(Path(folder), math.ceil(records / BUCKETS)) as buckets:
            rounded = 0
            for _ in range(lists):
                found = reader.posting_list(records)
                (term,) = vocabulary.learn([found.term])
                rounded += single(found.tfs)[1]
                buckets.add(found.documents, np.full(found.documents.size, term), found.tfs)
            names = reader.documents(records)
            reader.check_end()
            for batch in _by_document(path, buckets, names, vocabulary, reader):
                yield batch._replace(rounded=rounded)
                rounded = 0


def _by_document(
    path: Path, buckets: Buckets, names: list[str], vocabulary: Vocabulary, reader: _Reader
) -> Iterator[VectorBatch]:
    span = max(1, math.ceil(len(names) / BUCKETS))
    for i in range(BUCKETS):
        entries = buckets.sorted(i)
        last = min((i + 1) * span, len(names))
        for start in range(i * span, last, ROWS):
            stop = min(start + ROWS, last)
            first, end = np.searchsorted(entries.major, [start, stop])
            counts = np.bincount(entries.major[first:end] - start, minlength=stop - start)
            documents = [Document(name, "", "") for name in names[start:stop]]
            own, weights = entries.minor[first:end], entries.value[first:end]
            matrix = sorted_rows(counts, own, weights, vocabulary.dim, lambda row: f"{path}, document {start + row}")  # noqa: B023
            yield VectorBatch(documents, matrix, reader.position)


class _Reader:
    """Messages of a CIFF file, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, open_file(path)
        self._at = 0  # bytes of the unpacked file

    @property
    def position(self) -> int:
        return self._file.position()

    def header(self) -> tuple[int, int]:
        """How many posting lists and documents follow."""
        found, start = self._fields()
        lists, documents = (self._whole(found.get(number, 0), start) for number in (2, 3))
        if max(lists, documents) >= 2**31:
            raise self._damaged(start, f"{lists:,} posting lists and {documents:,} documents said")
        return lists, documents

    def _fields(self) -> tuple[dict[int, Any], int]:
        """The next message, by number of field, and where it starts."""
        data, start = self._message()
        found: dict[int, Any] = {}
        at = 0
        try:
            while at < len(data):
                number, found[number], at = read_field(data, at)
        except DamagedError as error:
            raise self._damaged(start + error.at, str(error)) from None
        return found, start

    def _whole(self, value: object, start: int) -> int:
        if isinstance(value, int):
            return value
        raise self._damaged(start, f"found {value!r:.40} in a message, wanted a whole number")

    def posting_list(self, total: int) -> _List:
        """The next message as a posting list of documents below ``total``."""
        data, start = self._message()
        head: dict[int, Any] = {}
        at, parts = 0, [(np.zeros(0, np.int64), np.zeros(0, np.int64))]
        array = np.frombuffer(data, np.uint8)
        try:
            while at < len(data):
                if data[at] == POSTINGS:
                    documents, tfs = np.empty((2, (len(data) - at) // 2 + 1), np.int64)
                    n, at = decode_postings(array, at, documents, tfs)
                    if n < 0:
                        raise DamagedError(at, "no posting of document and term frequency")
                    parts.append((documents[:n].copy(), tfs[:n].copy()))
                else:
                    number, head[number], at = read_field(data, at)
            if not isinstance(term := head.get(1, b""), bytes):
                raise DamagedError(0, "a term that is no text")
            name = decoded(term)
        except DamagedError as error:
            raise self._damaged(start + error.at, str(error)) from None
        except InputError:
            raise self._damaged(start, "a term that is no UTF-8") from None
        documents, tfs = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return self._checked(_List(name, np.cumsum(documents), tfs), self._whole(head.get(2, 0), start), total, start)

    def documents(self, records: int) -> list[str]:
        """The names of documents by number, from the next messages."""
        names: dict[int, str] = {}
        for _ in range(records):
            record, start = self._fields()
            number = self._whole(record.get(1, 0), start)
            if number >= records or number in names:
                raise self._damaged(start, f"a record of document {number:,}: wanted each below {records:,} once")
            if not (name := record.get(2)) or not isinstance(name, bytes):
                raise self._damaged(start, f"a record of document {number:,} without a name")
            try:
                names[number] = identifier(name)
            except InputError as fault:
                raise self._damaged(start, f"a record of document {number:,}: {fault}") from None
        return [names[number] for number in range(records)]

    def check_end(self) -> None:
        """Nothing may follow."""
        if self._read(lambda: self._file.stream.read(1)):
            raise self._damaged(self._at, "more messages than the header says")

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def _checked(self, found: _List, df: int, total: int, start: int) -> _List:
        """Counts agree, documents rise and are there: a gap of 0 is right for the first only."""
        documents = found.documents
        if df != documents.size:
            fault = f"{df:,} postings of {found.term!r} said, {documents.size:,} found"
        elif documents.size and ((np.diff(documents) <= 0).any() or documents.min() < 0 or documents.max() >= total):
            fault = f"documents of {found.term!r} that do not rise within 0 to {total - 1:,}"
        elif (found.tfs < 0).any() or (found.tfs > 2**31 - 1).any():
            fault = f"a negative term frequency of {found.term!r}"
        else:
            return found
        raise self._damaged(start, fault)

    def _message(self) -> tuple[bytes, int]:
        """The next message and the byte that it starts at."""
        try:
            data, head = self._read(lambda: read_delimited(self._file.stream))
        except DamagedError as error:
            raise self._damaged(self._at, str(error)) from None
        start = self._at + head
        self._at = start + len(data)
        return data, start

    def _read(self, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except DAMAGE as error:
            raise InputError(f"{self._path}: damaged ({reason(error)}); fetch the file again") from None

    def _damaged(self, at: int, fault: str) -> InputError:
        return InputError(f"{self._path}, byte {at:,}: {fault}; is it a whole CIFF file?")


def write_ciff(batches: Iterable[VectorBatch], path: Path, vocabulary: Vocabulary) -> None:
    """Write an index; weights are whole numbers already. The entries wait on disk, 12 bytes each.

    Raises:
        InputError: more than 2,147,483,647 documents, or so large a sum of weights in one of them.
    """
    records = path.with_name(path.name + ".part-records")
    lists = path.with_name(path.name + ".part-lists")
    with Buckets(path.parent) as buckets:
        with records.open("wb") as file:
            documents, total = _write_records(file, batches, buckets)
        with lists.open("wb") as file:
            places = _write_lists(file, buckets, vocabulary)
    with path.open("wb") as file, lists.open("rb") as source:
        counts = [field(i, value) for i, value in enumerate([1, len(places), documents, len(places), documents], 1)]
        mean = field(7, total / documents if documents else 0.0)
        about = field(8, "sparse vectors, weights as term frequencies, written by lsr")
        file.write(delimited(b"".join([*counts, field(6, total), mean, about])))
        for term in sorted(places, key=lambda term: vocabulary[term]):
            source.seek(places[term][0])
            file.write(source.read(places[term][1]))
        with records.open("rb") as rest:
            shutil.copyfileobj(rest, file)
    records.unlink()
    lists.unlink()


def _write_records(file: IO[bytes], batches: Iterable[VectorBatch], buckets: Buckets) -> tuple[int, int]:
    """Number of documents and sum of weights; the entries go to ``buckets``."""
    number = total = 0
    for documents, matrix, *_ in batches:
        values = matrix.values
        rows = number + np.repeat(np.arange(len(documents)), np.diff(matrix.indptr))
        buckets.add(matrix.terms, rows, values)
        lengths = np.concatenate([[0], np.cumsum(values.astype(np.int64))])[matrix.indptr]
        for document, length in zip(documents, np.diff(lengths).tolist(), strict=True):
            if number >= 2**31 - 1 or length >= 2**31:
                raise InputError(f"document {document.id!r}: CIFF counts documents and weights below 2,147,483,648")
            record = field(1, number) + field(2, document.id) + field(3, length)
            file.write(delimited(record))
            number, total = number + 1, total + length
    return number, total


def _write_lists(file: IO[bytes], buckets: Buckets, vocabulary: Vocabulary) -> dict[int, tuple[int, int]]:
    """Place and length of the list of each term that has one."""
    places = {}
    for i in range(BUCKETS):
        entries = buckets.sorted(i)
        borders = np.flatnonzero(np.diff(entries.major, prepend=-1, append=-1)).tolist()
        for start, stop in pairwise(borders):
            term, tfs = int(entries.major[start]), entries.value[start:stop].astype(np.int64)
            out = np.empty(LONGEST * tfs.size, np.uint8)
            size = encode_postings(entries.minor[start:stop], tfs, out)
            head = field(1, vocabulary[term]) + field(2, tfs.size) + field(3, int(tfs.sum()))
            at = file.tell()
            file.write(varint(len(head) + size) + head + out[:size].tobytes())
            places[term] = at, file.tell() - at
    return places
