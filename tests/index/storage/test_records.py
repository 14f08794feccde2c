"""Records come back as they were, compressed where they are large; damage is an error."""

from contextlib import suppress
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from lsr.errors import StorageError
from lsr.index.storage.catalogue import Key
from lsr.index.storage.records import COMPRESSED, Corpus, Deletions, Schema, Terms, decode, encode

PATH = Path("somewhere/catalogue.db")
KEY = Key("corpus", 3)
LARGE = Corpus(5, 600, bytes(range(256)) * 40, bytes(8 * 2560))


@given(st.integers(0, 2**40), st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=2000))
def test_names_come_back(first, names):
    key, value = Key("terms", 1), Terms(first, names)
    assert decode(PATH, key, encode(key, value)) == value


def test_large_records_are_compressed_and_small_ones_and_those_for_people_are_not():
    assert encode(KEY, LARGE).startswith(COMPRESSED)
    assert len(encode(KEY, LARGE)) < 1500
    assert decode(PATH, KEY, encode(KEY, LARGE)) == LARGE
    small = Corpus(1, 2, b"abcd", b"12345678")
    assert encode(KEY, small) == msgspec.msgpack.encode(small)
    schema = Schema({f"field {i}": "text" for i in range(200)})
    assert encode(Key("schema"), schema) == msgspec.json.encode(schema)


def test_what_does_not_get_smaller_stays_as_it_is():
    value = Deletions({"a": np.random.default_rng(0).bytes(4000)})
    key = Key("deletions", 1)
    assert encode(key, value) == msgspec.msgpack.encode(value)


def test_records_that_were_never_compressed_are_read():
    assert decode(PATH, KEY, msgspec.msgpack.encode(LARGE)) == LARGE


def test_flipped_bytes_are_an_error_or_another_record_of_the_kind():
    content = encode(KEY, LARGE)
    for at in range(len(content)):
        changed = bytearray(content)
        changed[at] ^= 1 << (at % 8)
        with suppress(StorageError):
            assert isinstance(decode(PATH, KEY, bytes(changed)), Corpus)  # `Catalogue` looks at checksums first


CLAIM = b"\x28\xb5\x2f\xfd\xe0" + (10**12).to_bytes(8, "little") + bytes(50)  # the start of a frame, and its size
STREAM = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(70_000))  # does not say its size


@pytest.mark.parametrize(("frame", "size"), [(CLAIM, "1,000,000,000,000"), (STREAM, "-1")])
def test_a_frame_that_claims_too_much_asks_for_no_memory(frame, size):
    with pytest.raises(StorageError, match=rf"catalogue\.db is damaged \(a record of corpus: {size} bytes\)"):
        decode(PATH, KEY, COMPRESSED + frame)


@pytest.mark.parametrize("end", [1, 2, 6, 20, -1])
def test_a_record_cut_short_is_damage(end):
    with pytest.raises(StorageError, match="is damaged"):
        decode(PATH, KEY, encode(KEY, LARGE)[:end])
