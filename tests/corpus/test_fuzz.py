"""Whatever comes in, documents or an `InputError` with a place come out."""

import gzip
import io
import json
import zipfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus import Document, DocumentReader, Fields
from lsr.corpus.fields import ID_NAMES, TEXT_NAMES
from lsr.errors import InputError

RECORDS = [{"_id": f"d{i}", "title": "é" * (i % 2), "text": "bees " * i, "meta": {"a": [i, None]}} for i in range(12)]
LINES = "\n".join(map(json.dumps, RECORDS)).encode()
TSV = b"id\ttext\n" + b"".join(f"{r['_id']}\t{r['text']}\r\n".encode() for r in RECORDS)
WANDS = (
    b"product_id\tproduct_name\tproduct_description\tproduct_features\n"
    b'1\t"7"" mug"\t"of\n\nclay"\tx\n2\tsaw\tof iron\ty\n'
)


def zipped(method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("corpus.jsonl", LINES)
    return file.getvalue()


def parquet(**options):
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), file, **options)
    return file.getvalue()


CONTENTS = {
    "c.jsonl": [LINES, json.dumps(RECORDS, indent=1).encode(), LINES.decode().encode("utf-16"), gzip.compress(LINES)],
    "c.tsv": [TSV, TSV.replace(b"\r\n", b"\r"), gzip.compress(TSV)],
    "c.zip": [
        zipped(method) for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
    ],
    "c.parquet": [parquet(), parquet(compression="none", use_dictionary=False), parquet(data_page_version="2.0")],
    "product.csv": [WANDS],
}
PIECES = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\\ud800",
    b"NaN",
    b"1e999",
    b"\0",
    b"\r",
    b"\n",
    b"\t",
    b"[" * 2000,
    b"9" * 5000,
]
edits = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 40), st.one_of(st.binary(max_size=8), st.sampled_from(PIECES))),
    max_size=4,
)


def edited(content, changes):
    for where, removed, added in changes:
        at = int(where * len(content))
        content = content[:at] + added + content[at + removed :]
    return content


def outcome(read):
    """What a reader gives, or its refusal."""
    try:
        return read(), None
    except InputError as error:
        return [], str(error)


def is_document(found):
    whole = type(found) is Document and [type(value) for value in found] == [str, str, str, dict]
    return whole and bool(found.id) and bool("".join(found[:3]).encode() or True)


@pytest.mark.parametrize("name", CONTENTS)
def test_any_bytes_are_documents_or_refused(tmp_path, name):
    @settings(max_examples=100, deadline=None)
    @given(st.one_of(st.binary(max_size=60), st.builds(edited, st.sampled_from(CONTENTS[name]), edits)))
    def read(content):
        (tmp_path / name).write_bytes(content)
        documents, refusal = outcome(lambda: list(DocumentReader(tmp_path / name)))
        assert all(map(is_document, documents))
        if refusal is not None:
            assert refusal.startswith((name, f"{tmp_path / name}", f"cannot read {tmp_path / name}"))
            assert len(refusal.splitlines()) == 1
            assert len(refusal) < 1000

    read()


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from(["\ud800", float("nan")]),
        st.floats(),
        st.text(st.characters(), max_size=5),
        st.binary(max_size=5),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)),
    max_leaves=8,
)
names = st.one_of(st.sampled_from([*ID_NAMES, *TEXT_NAMES, "title", "a", "b"]), st.text(st.characters(), max_size=3))
some_names = st.one_of(st.none(), names, st.lists(names, max_size=3))


@settings(max_examples=120, deadline=None)
@given(st.dictionaries(names, values, max_size=6), some_names, some_names, some_names)
def test_any_record_is_a_document_or_refused(record, own_id, text, title):
    documents, refusal = outcome(lambda: [Fields(own_id, text, title).document(record)])
    assert all(map(is_document, documents))
    assert refusal is None or len(refusal.splitlines()) == 1


def test_a_record_however_deep_is_refused():
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match=r"field 'text' holds .*: wanted text"):
        Fields().document({"id": 1, "text": deep})
    with pytest.raises(InputError, match="found the id"):
        Fields().document({"id": deep, "text": "x"})
