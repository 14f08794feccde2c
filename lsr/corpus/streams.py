"""How is a file opened, wherever it lies: plain, gzip, inside a zip, standard input?"""

from __future__ import annotations

import gzip
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from lsr.corpus.values import decoded
from lsr.errors import InputError

# What reading a damaged, encrypted or exotic gzip or zip raises.
DAMAGE = (EOFError, OSError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError)


class ByteStream:
    """A file open for reading; closed when its lines end, or by `close`.

    Attributes:
        name: what a person calls it, for messages.
        stream: the bytes.
        size: bytes that ``position`` will reach, or None where nobody knows.
    """

    def __init__(
        self, name: str, stream: IO[bytes], size: int | None, tell: Callable[[], int], owned: tuple[IO[Any], ...] = ()
    ) -> None:
        self.name, self.stream, self.size = name, stream, size
        self._tell, self._owned, self._reached = tell, owned, 0
        self._open = True

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

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Line numbers from 1 and lines; blank lines are passed over.

        Raises:
            InputError: the file is damaged (a broken gzip or zip).
        """
        number = 0
        try:
            for number, line in enumerate(self.stream, 1):
                if line.strip():
                    yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        except DAMAGE as error:
            raise InputError(f"{self.name}: damaged after line {number} ({error}); fetch the file again") from None
        finally:
            self.close()

    def text_lines(self) -> Iterator[tuple[str, str]]:
        """(place, line without its end) of every line that is not blank; a place reads "corpus.tsv, line 3".

        Raises:
            InputError: as `lines`, and a line that is not UTF-8.
        """
        for number, line in self.lines():
            place = f"{self.name}, line {number}"
            try:
                text = decoded(line)
            except InputError as fault:
                raise InputError(f"{place}: {fault}") from None
            yield place, text.removesuffix("\n").removesuffix("\r")


def open_file(path: Path) -> ByteStream:
    """Open a plain or .gz file; ``-`` is standard input.

    Raises:
        InputError: no such file, or it may not be read.
    """
    if str(path) == "-":
        return ByteStream("standard input", sys.stdin.buffer, None, lambda: 0)
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give an existing file or folder") from None
    stream: Any = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
    return ByteStream(path.name, stream, path.stat().st_size, raw.tell, (stream, raw))


def open_member(root: Path, member: str) -> ByteStream | None:
    """Open the file ``member`` of a BEIR folder (there also as .gz) or zip; None when it is not there.

    Raises:
        InputError: ``root`` is neither a folder nor a readable zip.
    """
    if root.is_dir():
        for path in (root / member, root / f"{member}.gz"):
            if path.is_file():
                return open_file(path)
        return None
    return _open_zip_member(root, member)


def has_member(root: Path, member: str) -> bool:
    """Whether the file ``member`` is in a BEIR folder or zip."""
    stream = open_member(root, member)
    if stream:
        stream.close()
    return stream is not None


def _open_zip_member(root: Path, member: str) -> ByteStream | None:
    try:
        archive = zipfile.ZipFile(root)
    except (OSError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or "not a zip file"
        raise InputError(f"cannot read {root}: {reason}; wanted a BEIR folder or zip") from None
    names = [name for name in archive.namelist() if f"/{name}".endswith(f"/{member}")]
    if not names:
        archive.close()
        return None
    info = archive.getinfo(min(names, key=len))
    stream = archive.open(info)
    return ByteStream(f"{root.name}:{info.filename}", stream, info.file_size, stream.tell, (stream, archive))  # type: ignore[arg-type]


def json_objects(source: ByteStream) -> Iterator[tuple[str, dict[str, Any]]]:
    """One (place, object) for each line of a JSONL stream; a place reads "corpus.jsonl, line 3".

    Raises:
        InputError: a line is not UTF-8, not JSON or not an object.
    """
    for number, line in source.lines():
        place = f"{source.name}, line {number}"
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{place}: {_json_fault(line, error)}") from None
        if not isinstance(value, dict):
            raise InputError(f"{place}: found a {type(value).__name__}, wanted one JSON object a line")
        yield place, value


def utf8_fault(line: bytes, fault: UnicodeDecodeError) -> str:
    """What is wrong with a line that is not UTF-8, and what to do."""
    return f"not UTF-8 (byte 0x{line[fault.start]:02x} at position {fault.start}); convert the file to UTF-8"


def _json_fault(line: bytes, error: Exception) -> str:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as fault:
        return utf8_fault(line, fault)
    return f"not JSON ({error}); wanted one JSON object a line"
