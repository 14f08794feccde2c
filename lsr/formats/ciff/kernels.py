"""How are postings of protobuf written and read, byte by byte? Arrays in, arrays out."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lsr.kernel import kernel

POSTINGS = 0x22  # field 4, length-delimited
DOCID, TF = 0x08, 0x10  # fields 1 and 2, varints
LONGEST = 24  # bytes that one posting may take


@kernel
def _put(out: NDArray[np.uint8], at: int, value: int) -> int:
    while value >= 0x80:
        out[at] = (value & 0x7F) | 0x80
        value >>= 7
        at += 1
    out[at] = value
    return at + 1


@kernel
def encode_postings(documents: NDArray[np.int64], tfs: NDArray[np.int64], out: NDArray[np.uint8]) -> int:
    """Write postings with gaps between documents into ``out`` (24 bytes each at most); the bytes written.

    ``documents`` and ``tfs`` are int64[N], ``out`` is uint8[24 N].

    A field that is 0 is left out, as proto3 does.
    """
    at = 0
    last = 0
    for i in range(documents.size):
        gap = documents[i] - last
        last = documents[i]
        start = at + 2  # a posting is shorter than 128 bytes: its length takes one
        end = start
        if gap != 0:
            out[end] = DOCID
            end = _put(out, end + 1, gap)
        if tfs[i] != 0:
            out[end] = TF
            end = _put(out, end + 1, tfs[i])
        out[at] = POSTINGS
        out[at + 1] = end - start
        at = end
    return at


@kernel
def _varint(data: NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Value and the place after it; place -1 where it runs over ``end`` or 10 bytes."""
    value = 0
    shift = 0
    while at < end and shift < 64:
        byte = int(data[at])
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
    return 0, -1


@kernel
def decode_postings(
    data: NDArray[np.uint8], at: int, documents: NDArray[np.int64], tfs: NDArray[np.int64]
) -> tuple[int, int]:
    """Read postings from ``data[at:]`` while they follow each other: how many, and the place after; -1: damage there.

    Args:
        data: a message PostingsList.
        at: where the first posting is.
        documents: gaps between documents, as long as there can be postings.
        tfs: as long.
    """
    n = 0
    while at < data.size and data[at] == POSTINGS:
        length, place = _varint(data, at + 1, data.size)
        end = place + length
        if place < 0 or length < 0 or end > data.size:
            return -1, at
        gap = 0
        tf = 0
        while place < end:
            tag = data[place]
            value, after = _varint(data, place + 1, end)
            if after < 0 or (tag != DOCID and tag != TF):
                return -1, place
            if tag == DOCID:
                gap = value
            else:
                tf = value
            place = after
        documents[n] = gap
        tfs[n] = tf
        n += 1
        at = end
    return n, at
