"""What does a JSON text hold? A value; or the objects of a file, one a line, in a list, or over many lines."""

from __future__ import annotations

import json
import re
from codecs import getincrementaldecoder
from collections.abc import Iterator
from itertools import chain
from typing import Any

import msgspec

from lsr.corpus.streams import ByteStream
from lsr.corpus.values import decoded
from lsr.errors import InputError

BLOCK = 2**16  # characters taken at a time where objects are not one a line
MOST = 2**28  # of one object
NEAR = 20  # characters: what is wrong so close to the end of a block may be whole in the next
BLANKS = re.compile(r"[ \t\r\n]*")
WANTED = "wanted one JSON object a line, or a list of objects"

_decoder = json.JSONDecoder()


def json_value(data: bytes | str, kind: Any = Any) -> Any:
    """The value that a JSON text holds.

    Args:
        data: UTF-8 bytes, or text.
        kind: type that msgspec makes of it.

    Raises:
        InputError: not UTF-8, not JSON, nested too deeply, or of another kind; nothing names the place.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise InputError(_fault(data, error)) from None


def json_objects(source: ByteStream) -> Iterator[tuple[str, dict[str, Any]]]:
    """(place, object) of every JSON object of a stream; a place reads "corpus.jsonl, line 3".

    One object a line is the usual way. A list of objects, and objects that go over several lines, are read as well,
    with memory for one object.

    Raises:
        InputError: a line is not UTF-8, not JSON or not an object.
    """
    if source.head().lstrip().startswith(b"["):
        yield from _spread(source.name, 1, source.blocks())
        return
    lines = source.lines(blank=True)
    for number, line in lines:
        if not line.strip():
            continue
        try:
            value = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
            if isinstance(error, msgspec.DecodeError) and line.lstrip().startswith(b"{") and _is_utf8(line):
                yield from _spread(source.name, number, chain([line], (more for _, more in lines)))
                return
            raise InputError(f"{source.name}, line {number}: {_fault(line, error)}; {WANTED}") from None
        if not isinstance(value, dict):
            raise InputError(f"{source.name}, line {number}: found a {type(value).__name__}, {WANTED}")
        yield f"{source.name}, line {number}", value


def _spread(name: str, line: int, pieces: Iterator[bytes]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Objects after one another, in lists or not, whatever the lines."""
    text = _Text(name, line, pieces)
    inside, number = False, 0
    while char := text.peek():
        if char == ("]" if inside else "["):
            inside = not inside
            text.at += 1
        elif inside and char == ",":
            text.at += 1
        else:
            number += 1
            place = f"{text.place}, record {number}" if inside else text.place
            value = text.value()
            if not isinstance(value, dict):
                found = "list" if inside else type(value).__name__
                raise InputError(f"{text.place}: found a {found}, {WANTED}")
            yield place, value
    if inside:
        raise InputError(f"{text.place}: the file ends inside a list; fetch it again")


def _plainly(error: Exception) -> Exception:
    """``error``, in words for those who did not write the program."""
    if "truncated" in str(error):
        return ValueError("half a surrogate pair")
    return ValueError("a number of too many digits") if "set_int_max_str_digits" in str(error) else error


class _Text:
    """JSON text that is taken value by value.

    Attributes:
        at: position in the text that is held.
        place: file and line of that position.
    """

    def __init__(self, name: str, line: int, pieces: Iterator[bytes]) -> None:
        self._name, self._line, self._pieces = name, line, pieces
        self._decoder = getincrementaldecoder("utf-8")()
        self._text, self.at, self._last_line = "", 0, line

    @property
    def place(self) -> str:
        return f"{self._name}, line {self._line}"

    def peek(self) -> str:
        """The next character that is no blank; none at the end."""
        while True:
            end = BLANKS.match(self._text, self.at).end()  # type: ignore[union-attr]
            self._move(end)
            if end < len(self._text) or not self._more():
                return self._text[end : end + 1] if end < len(self._text) else ""

    def value(self) -> Any:
        """The value that starts here."""
        while True:
            try:
                _, end = _decoder.raw_decode(self._text, self.at)
                value = msgspec.json.decode(self._text[self.at : end])  # the same rules as for lines
            except json.JSONDecodeError as error:
                if self._is_certain(error) or not self._more():
                    at = f"at line {self._line + self._text.count(chr(10), self.at, error.pos)}"
                    fault = f"not JSON ({error.msg.removesuffix(' at')} {at})"
                    raise InputError(f"{self.place}: {fault}; {WANTED}") from None
            except (ValueError, RecursionError) as error:
                raise InputError(f"{self.place}: {_fault('', _plainly(error))}; {WANTED}") from None
            else:
                self._move(end)
                return value

    def _is_certain(self, error: json.JSONDecodeError) -> bool:
        """Whether more text cannot complete it."""
        cut = error.msg.startswith("Unterminated string") or error.pos > len(self._text) - NEAR
        return not cut or len(self._text) - self.at > MOST

    def _move(self, end: int) -> None:
        self._line += self._text.count("\n", self.at, end)
        self.at = end

    def _more(self) -> bool:
        """Take as much again as is held, and a block at least; False at the end."""
        held = len(self._text) - self.at
        found: list[str] = []
        wanted = max(BLOCK, held)
        for piece in self._pieces:
            found.append(self._decoded(piece))
            wanted -= len(piece)
            if wanted <= 0:
                break
        self._text, self.at = self._text[self.at :] + "".join(found), 0
        return bool(found)

    def _decoded(self, piece: bytes) -> str:
        try:
            text = self._decoder.decode(piece)
        except UnicodeDecodeError as fault:
            line = self._last_line + piece[: fault.start].count(b"\n")
            byte = fault.object[fault.start]
            raise InputError(
                f"{self._name}, line {line}: not UTF-8 (byte 0x{byte:02x}); convert the file to UTF-8"
            ) from None
        self._last_line += text.count("\n")
        return text


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _fault(data: bytes | str, error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "JSON nested too deeply; leave out what is nested"
    if isinstance(data, bytes):
        try:
            decoded(data)
        except InputError as fault:
            return str(fault)
    return f"not JSON ({error})"
