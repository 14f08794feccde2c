"""Where does the next page of hits begin? A cursor names the last hit by its score and id, not by its place.

So pages have no hit twice and leave none out, whatever is added and deleted between them. Where scores follow the
collection's statistics, as those of BM25 do, the order itself changes: there scores are no part of a key, so a cursor
knows all hits so far (of one value, in a sorted search), and the next page has the best of the others.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from lsr.errors import InputError
from lsr.index.storage.ids import id_hashes
from lsr.sparse import SparseMatrix

Value = bool | int | float | str | None
WIDTH = 12  # bytes that tell one question from another
LONGEST = 2_000_000  # characters of a cursor
MOST_SEEN = 10**9


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """The end of a page.

    Attributes:
        question: what was asked, hashed.
        seen: hits on this page and those before.
        value: of the field that hits are sorted by, at the last hit; None without one.
        score: of the last hit, 0 where it is no part of the key.
        ids: uint64[n] as bytes, hashes of the ids of all hits so far that have the same key.
    """

    question: bytes
    seen: int
    value: Value
    score: float
    ids: bytes

    @property
    def text(self) -> str:
        """As `read` takes it."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")


class Key(NamedTuple):
    """By what hits are ordered: the value that they are sorted by, None without one, and the score."""

    value: Value
    score: float

    def is_after(self, other: Key, descending: bool) -> bool:
        """Whether a hit comes later than another one that is no equal; those without a value come last."""
        if self.value == other.value:
            return self.score < other.score
        if self.value is None or other.value is None:
            return self.value is None
        return (self.value < other.value) == descending  # type: ignore[operator]  # one field has one type


def question_of(vector: SparseMatrix, *others: Any) -> bytes:
    """What tells one question from another: the query vector, and filter, order and group."""
    found = hashlib.blake2b(digest_size=WIDTH)
    known = vector.values > 0
    found.update(vector.terms[known].astype("<u4").tobytes())
    found.update(repr(others).encode("utf-8", "surrogatepass"))
    return found.digest()


def read(text: str, question: bytes) -> Cursor:
    """The cursor of an earlier page of the same question.

    Raises:
        InputError: no cursor, or one of another question.
    """
    try:
        if not isinstance(text, str) or len(text) > LONGEST:
            raise ValueError
        content = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(content, type=Cursor)
        if not 0 < cursor.seen < MOST_SEEN or len(cursor.ids) % 8 or not cursor.ids or cursor.score != cursor.score:
            raise ValueError
    except (ValueError, binascii.Error, msgspec.MsgspecError, RecursionError):
        raise InputError(f"the cursor is {text!r:.60}: wanted one that a page of hits came with") from None
    if cursor.question != question:
        raise InputError("the cursor is of another query: ask with the same query, filter, sort and group_by, or anew")
    return cursor


class Pages:
    """Finds the hits of one question after a cursor.

    Args:
        find: the best so many hits.
        key: by what a hit is ordered.
        question: what is asked.
        descending: whether the largest values come first.
    """

    def __init__(
        self,
        find: Callable[[int], Sequence[Any]],
        key: Callable[[Any], Key],
        question: bytes,
        descending: bool,
    ) -> None:
        self._find, self._key, self._question = find, key, question
        self._descending = descending

    def after(self, cursor: str | None, k: int) -> tuple[list[Any], str | None]:
        """At most k hits, and the cursor of the next page; None where there is none.

        Raises:
            InputError: no cursor, or one of another question.
        """
        start = None if cursor is None else read(cursor, self._question)
        wanted = k + 1 + (start.seen if start else 0)
        seen = set(np.frombuffer(start.ids, "<u8").tolist()) if start else set()
        while True:
            found = self._find(wanted)
            new = self._new(found, start, seen) if start else found
            if len(new) > k or len(found) < wanted:
                break
            wanted *= 2  # hits that came since are before the cursor
        page = list(new[:k])
        return page, self._next(page, start) if len(new) > k else None

    def _new(self, found: Sequence[Any], start: Cursor, seen: set[int]) -> list[Any]:
        """The hits that were on no page yet."""
        last = Key(start.value, start.score)
        others = (hit for hit, id_ in zip(found, _hashed(found).tolist(), strict=True) if id_ not in seen)
        try:
            return [hit for hit in others if (key := self._key(hit)) == last or key.is_after(last, self._descending)]
        except TypeError:
            raise InputError("the cursor was changed: wanted one that a page of hits came with") from None

    def _next(self, page: Sequence[Any], start: Cursor | None) -> str:
        last = self._key(page[-1])
        ids = _hashed([hit for hit in page if self._key(hit) == last]).tobytes()
        if start and Key(start.value, start.score) == last:
            ids = start.ids + ids
        return Cursor(self._question, len(page) + (start.seen if start else 0), last.value, last.score, ids).text


def _hashed(hits: Sequence[Any]) -> NDArray[np.uint64]:
    """Hashes of the ids of hits, uint64[n]."""
    return id_hashes([hit.id for hit in hits]).astype("<u8")
