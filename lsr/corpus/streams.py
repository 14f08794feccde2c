"""How is a file opened, wherever it lies: plain, gzip, inside a zip, a pipe, standard input?"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from lsr.corpus.values import decoded
from lsr.errors import InputError, reason

# What reading a damaged, encrypted or exotic gzip or zip raises.
DAMAGE = (
    EOFError,
    OSError,
    OverflowError,
    RuntimeError,  # encrypted; NotImplementedError, an unknown method, is one
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
GZIP = b"\x1f\x8b"
MARK = b"\xef\xbb\xbf"  # what some editors put before UTF-8
BLOCK = 2**16
# How files begin that are no text, what they are, and the way out.
FOREIGN = (
    (b"PK\x03\x04", "a zip archive", "unpack it, or give a BEIR zip a name that ends in .zip"),
    (b"PAR1\x15", "a Parquet file", "give it a name that ends in .parquet"),
    (GZIP, "gzip inside gzip", "unpack it once"),
    (b"\x28\xb5\x2f\xfd", "a file packed by zstd", "unpack it, or pack it by gzip"),
    (b"\xfd7zXZ\x00", "a file packed by xz", "unpack it, or pack it by gzip"),
    (b"BZh91AY&SY", "a file packed by bzip2", "unpack it, or pack it by gzip"),
    (b"\xff\xfe\x00\x00", "text in UTF-32", "convert it, for example by iconv -f UTF-32 -t UTF-8"),
    (b"\x00\x00\xfe\xff", "text in UTF-32", "convert it, for example by iconv -f UTF-32 -t UTF-8"),
    (b"\xff\xfe", "text in UTF-16", "convert it, for example by iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "text in UTF-16", "convert it, for example by iconv -f UTF-16 -t UTF-8"),
)


class ByteStream:
    """A file open for reading; closed when its lines or blocks end, or by `close`.

    Attributes:
        name: what a person calls it, for messages.
        stream: the bytes.
        size: bytes that ``position`` will reach, or None where nobody knows.
    """

    def __init__(
        self, name: str, stream: IO[bytes], size: int | None, tell: Callable[[], int], owned: tuple[IO[Any], ...] = ()
    ) -> None:
        self.name, self.stream, self.size = name, _peekable(stream), size
        self._tell, self._owned, self._reached = tell, owned, 0
        self._open, self._line = True, 0

    def position(self) -> int:
        """Bytes read so far, in the unit of ``size``."""
        if self._open:
            self._reached = self._tell()
        return self._reached

    def close(self) -> None:
        """Let go of the file."""
        if self._open:
            self.position()
            self._open = False
            for owned in self._owned:
                owned.close()

    def head(self) -> bytes:
        """The first bytes of a text, without moving on and without a byte order mark; none of an empty file.

        Raises:
            InputError: the file is damaged, or its first bytes are those of another kind of file.
        """
        with self._naming_damage():
            head: bytes = self.stream.peek(BLOCK)
        start = b"\xff\xfe" if _is_utf16(head) else head
        if foreign := next((entry for entry in FOREIGN if start.startswith(entry[0])), None):
            self.close()
            raise InputError(f"{self.name}: found {foreign[1]}, wanted text in UTF-8; {foreign[2]}")
        return head.removeprefix(MARK)

    def blocks(self) -> Iterator[bytes]:
        """The bytes, without a byte order mark, in blocks of at most 64 kB.

        Raises:
            InputError: the file is damaged (a broken gzip or zip).
        """
        try:
            with self._naming_damage():
                for number, block in enumerate(iter(lambda: self.stream.read(BLOCK), b"")):
                    yield block if number else block.removeprefix(MARK)
                    self._line += block.count(b"\n")
        finally:
            self.close()

    def lines(self, blank: bool = False) -> Iterator[tuple[int, bytes]]:
        """Line numbers from 1 and lines, without byte order marks; blank lines are passed over unless wanted.

        Lines end in LF or CR LF; in a file without any LF, in CR.

        Raises:
            InputError: the file is damaged (a broken gzip or zip), or holds no text in UTF-8.
        """
        try:
            self.head()
            with self._naming_damage():
                for number, line in enumerate(self._ended_lines(), 1):
                    self._line = number
                    line = line.removeprefix(MARK)
                    if blank or line.strip():
                        yield number, line
        finally:
            self.close()

    def text_lines(self) -> Iterator[tuple[str, str]]:
        """(place, line without its end) of every line that is not blank; a place reads "corpus.tsv, line 3".

        Raises:
            InputError: as `lines`, and a line that is not UTF-8.
        """
        for place, text in self.whole_lines():
            yield place, text.removesuffix("\n").removesuffix("\r")

    def whole_lines(self, blank: bool = False) -> Iterator[tuple[str, str]]:
        """The same with their ends; blank lines too where they are wanted.

        Raises:
            InputError: as `text_lines`.
        """
        for number, line in self.lines(blank):
            place = f"{self.name}, line {number}"
            try:
                text = decoded(line)
            except InputError as fault:
                raise InputError(f"{place}: {fault}") from None
            yield place, text

    def _ended_lines(self) -> Iterable[bytes]:
        first, second = next(self.stream, b""), next(self.stream, b"")
        if second or b"\r" not in first:
            return chain(filter(None, (first, second)), self.stream)
        return first.splitlines(keepends=True)

    @contextmanager
    def _naming_damage(self) -> Iterator[None]:
        try:
            yield
        except DAMAGE as error:
            self.close()
            found = f"damaged after line {self._line} ({reason(error)})"
            raise InputError(f"{self.name}: {found}; fetch the file again") from None


def open_file(path: Path) -> ByteStream:
    """Open a file or pipe, packed by gzip or not, whatever its name says; ``-`` is standard input.

    Raises:
        InputError: no such file, it may not be read, or standard input is closed.
    """
    if str(path) == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed: give a file, or pipe documents in")
        return _unpacked("standard input", sys.stdin.buffer, None, lambda: 0, ())
    try:
        raw = path.open("rb")
        if raw.seekable():
            return _unpacked(path.name, raw, path.stat().st_size, raw.tell, (raw,))
        return _unpacked(str(path), raw, None, lambda: 0, (raw,))
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {path}: {reason(error)}; give an existing file or folder") from None


def open_member(root: Path, member: str) -> ByteStream | None:
    """Open the file ``member`` of a BEIR folder (there also as .gz) or zip; None when it is not there.

    Raises:
        InputError: ``root`` is neither a folder nor a readable zip.
    """
    try:
        if not root.is_dir():
            return _open_zip_member(root, member)
        found = next((path for path in (root / member, root / f"{member}.gz") if path.is_file()), None)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {root}: {reason(error)}; wanted a BEIR folder or zip") from None
    return open_file(found) if found else None


def has_member(root: Path, member: str) -> bool:
    """Whether the file ``member`` is in a BEIR folder or zip."""
    stream = open_member(root, member)
    if stream:
        stream.close()
    return stream is not None


def _open_zip_member(root: Path, member: str) -> ByteStream | None:
    try:
        archive = zipfile.ZipFile(root)
    except FileNotFoundError as error:
        raise InputError(f"cannot read {root}: {reason(error)}; wanted a BEIR folder or zip") from None
    except DAMAGE as error:
        why = "not a zip file" if isinstance(error, zipfile.BadZipFile) else reason(error)
        raise InputError(f"cannot read {root}: {why}; wanted a BEIR folder or zip") from None
    names = [name for name in archive.namelist() if f"/{name}".endswith(f"/{member}")]
    if not names:
        archive.close()
        return None
    names.sort(key=lambda name: name.count("/"))
    if len(names) > 1 and names[0].count("/") == names[1].count("/"):
        archive.close()
        raise InputError(f"{root} holds {names[0]!a:.80} and {names[1]!a:.80}: unpack it and name one folder")
    info = archive.getinfo(names[0])
    name = f"{root.name}:{info.filename if info.filename.isprintable() else member}"
    try:
        stream = archive.open(info)
    except DAMAGE as error:
        archive.close()
        raise InputError(f"{name}: cannot be unpacked ({reason(error)}); pack it again, or give the folder") from None
    return ByteStream(name, stream, info.file_size, stream.tell, (stream, archive))  # type: ignore[arg-type]


def _unpacked(
    name: str, raw: IO[bytes], size: int | None, tell: Callable[[], int], owned: tuple[IO[Any], ...]
) -> ByteStream:
    raw = _peekable(raw)
    if raw.peek(len(GZIP)).startswith(GZIP):  # type: ignore[attr-defined]
        stream: Any = gzip.GzipFile(fileobj=raw)
        return ByteStream(name, stream, size, tell, (stream, *owned))
    return ByteStream(name, raw, size, tell, owned)


def _is_utf16(head: bytes) -> bool:
    """Whether every other byte of the first four is 0: two ASCII characters of two bytes each."""
    return [byte == 0 for byte in head[:4]] in ([False, True] * 2, [True, False] * 2)


def _peekable(stream: Any) -> Any:
    return stream if hasattr(stream, "peek") else io.BufferedReader(stream)
