"""How does a protobuf message lie in a file? Fields of number, kind and value; only the kinds that CIFF has.

Written by hand after the encoding's specification (protobuf.dev/programming-guides/encoding), because three messages
need no library.
"""

from __future__ import annotations

import struct
from typing import IO

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
Value = int | float | bytes
BLOCK = 2**20  # bytes read at a time


class DamagedError(Exception):
    """Bytes that are no message; the place is counted from the start of the message."""

    def __init__(self, at: int, fault: str) -> None:
        super().__init__(fault)
        self.at = at


def varint(value: int) -> bytes:
    """A number of 0 or more, seven bits a byte, lowest first."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: int | float | str) -> bytes:
    """One field; nothing for a 0 or an empty text, as proto3 does."""
    if not value:
        return b""
    if isinstance(value, str):
        content = value.encode()
        return varint(number << 3 | BYTES) + varint(len(content)) + content
    if isinstance(value, float):
        return varint(number << 3 | FIXED64) + struct.pack("<d", value)
    return varint(number << 3 | VARINT) + varint(value)


def delimited(message: bytes) -> bytes:
    """A message with its length before it."""
    return varint(len(message)) + message


def read_field(data: bytes, at: int) -> tuple[int, Value, int]:
    """Number and value of the field at ``at``, and the place after it.

    Raises:
        DamagedError: no field there.
    """
    key, place = read_varint(data, at)
    number, kind = key >> 3, key & 7
    if kind == VARINT:
        value, place = read_varint(data, place)
        return number, value, place
    if kind == BYTES:
        length, place = read_varint(data, place)
    else:
        length = {FIXED64: 8, FIXED32: 4}.get(kind, -1)
    if length < 0 or place + length > len(data):
        fault = f"kind {kind} of field {number} is none of protobuf" if length < 0 else "it runs over its message's end"
        raise DamagedError(at, fault)
    content = data[place : place + length]
    if kind == FIXED64:
        return number, float(struct.unpack("<d", content)[0]), place + length
    return number, content, place + length


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """A number, and the place after it.

    Raises:
        DamagedError: it does not end.
    """
    value = 0
    for place in range(at, min(at + 10, len(data))):
        value |= (data[place] & 0x7F) << 7 * (place - at)
        if data[place] < 0x80:
            return value, place + 1
    raise DamagedError(at, "a number does not end")


def read_delimited(stream: IO[bytes]) -> tuple[bytes, int]:
    """The next message of a stream, and how many bytes its length took.

    Raises:
        DamagedError: the stream ends first; the place is counted from the length.
    """
    head = b""
    while not head or head[-1] >= 0x80:
        byte = stream.read(1)
        if not byte or len(head) == 5:
            raise DamagedError(0, "the file ends, wanted a message" if not byte else "no length of a message")
        head += byte
    length, _ = read_varint(head, 0)
    content = bytearray()  # grows with what is there, not with what is said
    while part := stream.read(min(BLOCK, length - len(content))):
        content += part
    if len(content) < length:
        raise DamagedError(0, f"a message of {length:,} bytes, but {len(content):,} are left")
    return bytes(content), len(head)
