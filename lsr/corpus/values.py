"""What may an id, a number and a text be when they come from outside? Asked here by every reader."""

from __future__ import annotations

import math
import reprlib
from numbers import Integral

import msgspec

from lsr.errors import InputError

NOT_JSON = msgspec.MsgspecError, UnicodeError, RecursionError  # that decoding raises: not UTF-8, nested too deeply, ...
MOST_DIGITS = 18  # of a whole number in a file: fits int64, and Python never meets its limit for int()
SHOWN = 60  # characters of a value in a message

_shortened = reprlib.Repr()
_shortened.maxstring = _shortened.maxother = _shortened.maxlong = SHOWN


class MisfitError(ValueError):
    """A value that a type does not hold."""


def identifier(value: object, what: str = "id") -> str:
    """``value`` as an id: a text that is not empty, or a whole number.

    Args:
        value: as its file gave it; bytes are read as UTF-8.
        what: what it names, for messages ("id", "query id").

    Raises:
        InputError: anything else (nothing, a fraction, true), bytes that are not UTF-8, NUL, or half a surrogate pair.
    """
    value = _as_text(value)
    if not isinstance(value, str) or not value:
        raise InputError(f"found the {what} {shown(value)}, wanted a text that is not empty or a whole number")
    if "\0" in value or not is_unicode(value):
        fault = "a NUL character" if "\0" in value else "half a surrogate pair"
        raise InputError(f"the {what} {shown(value)} holds {fault}: give the {what} without it")
    return value


def plain_text(value: object, what: str = "text") -> str:
    """``value`` as a text: nothing is an empty one, a whole number its digits, bytes are read as UTF-8.

    Args:
        value: as its file gave it.
        what: what holds it, for messages ("field 'text'").

    Raises:
        InputError: anything else, bytes that are not UTF-8, or half a surrogate pair.
    """
    if value is None:
        return ""
    value = _as_text(value)
    if not isinstance(value, str):
        raise InputError(f"{what} holds {shown(value)}: wanted text")
    if not is_unicode(value):
        raise InputError(f"{what} holds half a surrogate pair: write the text again, as UTF-8")
    return value


def whole_number(text: str, what: str, low: int, high: int) -> int:
    """The whole number that ``text`` writes in ASCII digits, perhaps behind + or -.

    Raises:
        InputError: anything else, or a number outside ``low`` to ``high``.
    """
    digits = text[1:] if text[:1] in ("+", "-") else text
    if digits.isascii() and digits.isdigit() and len(digits.lstrip("0")) <= MOST_DIGITS:
        number = int(text)
        if low <= number <= high:
            return number
    raise InputError(f"found the {what} {text!r:.60}, wanted a whole number from {low:,} to {high:,}")


def finite_number(text: str, what: str) -> float:
    """The number that ``text`` writes in ASCII, as 12, -0.5 or 1e-3.

    Raises:
        InputError: no such number, or an infinite one.
    """
    try:
        number = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"found the {what} {text!r:.60}, wanted a finite number")
    return number


def decoded(line: bytes) -> str:
    """The UTF-8 text in ``line``.

    Raises:
        InputError: other bytes; the message names the first of them and its position, from 0.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError as fault:
        raise InputError(
            f"not UTF-8 (byte 0x{line[fault.start]:02x} at position {fault.start}); convert the file to UTF-8"
        ) from None


def is_unicode(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8; a lone surrogate cannot."""
    if text.isascii():
        return True
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def shown(value: object) -> str:
    """``value`` in a message: Python's notation, shortened, whatever it is."""
    try:
        return _shortened.repr(value)[: 2 * SHOWN]
    except ValueError:
        return "a number of thousands of digits"


def _as_text(value: object) -> object:
    """Bytes as UTF-8, a whole number (of numpy too) as its digits; all else, and thousands of digits, as it is."""
    if type(value) is str:
        return value
    if isinstance(value, bytes):
        return decoded(value)
    if isinstance(value, bool) or not isinstance(value, Integral):
        return value
    try:
        return str(int(value))
    except ValueError:
        return value
