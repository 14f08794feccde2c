"""Which fields of a record make a document, and what is said of the others."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.corpus import Document, DocumentReader, Fields
from lsr.corpus.fields import PATIENCE
from lsr.errors import InputError

TEXTS = Fields(text=("name", "about"))
CHOSEN: dict[str, tuple[Fields, dict[str, Any], tuple[str, str, str]]] = {
    "the first name that holds a text": (Fields(), {"_id": "1", "text": None, "contents": "bees"}, ("1", "", "bees")),
    "an empty text is none": (Fields(), {"_id": "1", "text": "", "body": "bees"}, ("1", "", "bees")),
    "the first name that holds an id": (Fields(), {"_id": None, "id": 7, "text": "x"}, ("7", "", "x")),
    "no text at all": (Fields(), {"_id": "1", "text": None}, ("1", "", "")),
    "texts in the order given": (TEXTS, {"id": 1, "about": "of oak", "name": "Bed"}, ("1", "", "Bed of oak")),
    "texts that are not there": (TEXTS, {"id": 1, "about": "of oak"}, ("1", "", "of oak")),
    "texts of nothing": (TEXTS, {"id": 1, "name": None, "about": "of oak"}, ("1", "", "of oak")),
    "a list of names": (Fields(text=["b", "a"]), {"id": 1, "a": "x", "b": "y"}, ("1", "", "y x")),
    "one name as a sequence": (Fields(id=["a"]), {"id": 1, "a": "x", "text": "y"}, ("x", "", "y")),
    "titles": (Fields(title=("a", "b")), {"id": 1, "a": "x", "b": 5, "text": "y"}, ("1", "x 5", "y")),
    "a title that is not there": (Fields(title="a"), {"id": 1, "text": "y"}, ("1", "", "y")),
    "bytes": (Fields(), {"id": b"d1", "title": b"\xc3\xa9", "text": b"bees"}, ("d1", "é", "bees")),
    "numbers of numpy": (Fields(), {"id": np.int64(3), "text": np.uint8(7)}, ("3", "", "7")),
}


@pytest.mark.parametrize("name", CHOSEN)
def test_a_document_is_made_of(name):
    fields, record, wanted = CHOSEN[name]
    assert fields.document(record) == Document(*wanted)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "null id": ({"_id": None, "text": "x"}, "found the id None, wanted a text that is not empty or a whole number"),
    "fraction id": ({"_id": 1.5, "text": "x"}, "found the id 1.5"),
    "true id": ({"_id": True, "text": "x"}, "found the id True"),
    "list id": ({"_id": ["a"], "text": "x"}, r"found the id \['a'\]"),
    "long id": ({"_id": 10**5000, "text": "x"}, "found the id a number of thousands of digits"),
    "NUL id": ({"_id": "q\0a", "text": "x"}, r"the id 'q\\x00a' holds a NUL character"),
    "half a pair": ({"_id": "\ud800", "text": "x"}, "holds half a surrogate pair"),
    "half a pair in a text": ({"_id": "1", "text": "x\ud800"}, "field 'text' holds half a surrogate pair"),
    "bytes": ({"_id": "1", "text": b"\xe9"}, r"not UTF-8 \(byte 0xe9 at position 0\)"),
    "fraction text": ({"_id": "1", "text": 1.5}, "field 'text' holds 1.5: wanted text"),
    "object title": ({"_id": "1", "title": {"en": "x"}, "text": "x"}, r"field 'title' holds {'en': 'x'}: wanted text"),
    "no id": ({"key": "1", "text": "x"}, "no id field: found the fields 'key', 'text', wanted '_id' or 'id' or"),
    "no text": ({"_id": "1", "abstract": "x"}, "no text field: .*'abstract', wanted .*name yours with --text-field"),
    "nothing": ({}, "no id field: found the fields none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_document_is_refused(name):
    record, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        Fields().document(record)


def test_an_id_has_one_field():
    with pytest.raises(InputError, match="found the id fields a, b, wanted one: name it with --id-field"):
        Fields(id=("a", "b"))


def read(tmp_path, records, **fields):
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, records)))
    reader = DocumentReader(tmp_path / "c.jsonl", Fields(**fields))
    return list(reader), reader


def test_fields_that_went_nowhere_are_named(tmp_path):
    records = [
        {"_id": 1, "text": "drill", "price": 0, "metadata": {}, "in_stock": None},
        {"_id": 2, "contents": "saw", "in_stock": False, "bra\x1b[2Jnd": "A"},
        {"_id": 3, "text": "drill", "contents": "saw", "tags": []},
    ]
    _, reader = read(tmp_path, records)
    assert reader.ignored_fields == ["bra\x1b[2Jnd", "contents", "in_stock", "price"]
    assert reader.notes == [r"ignored fields: 'bra\x1b[2Jnd', contents, in_stock, price"]


def test_nothing_is_said_where_nothing_was_lost(tmp_path):
    _, reader = read(tmp_path, [{"_id": 1, "title": "T", "text": "drill", "metadata": {}}])
    assert (reader.ignored_fields, reader.notes) == ([], [])


def test_of_very_many_fields_some_are_named(tmp_path):
    _, reader = read(tmp_path, [{"_id": i, "text": "x", f"k{i:04}": "x" * 99} for i in range(1200)])
    assert len(reader.ignored_fields) == 1000
    assert reader.notes[0].endswith("k0018, k0019 and 980 more")


def test_columns_that_are_not_read_are_ignored_too(tmp_path):
    columns = {"id": [1], "text": ["x"], "price": [2.5], "title": [None], "vector": [[0.5]]}
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    reader = DocumentReader(tmp_path / "c.parquet")
    assert list(reader) == [Document("1", "", "x")]
    assert reader.ignored_fields == ["price", "vector"]


def test_a_record_may_lack_a_text_or_a_title(tmp_path):
    records = [{"id": i, "name": f"n{i}", "about": "x"} for i in range(5)]
    del records[0]["about"], records[1]["name"]
    documents, reader = read(tmp_path, records, text="about", title="name")
    assert documents[:3] == [Document("0", "n0", ""), Document("1", "", "x"), Document("2", "n2", "x")]
    assert reader.notes == ["1 record has no field of text (first: c.jsonl, line 1): their text is empty"]


def test_a_field_that_no_record_has_is_said(tmp_path):
    _, reader = read(tmp_path, [{"id": 1, "text": "x", "name": "y"}], title="nmae", text=("text", "txet"))
    assert reader.notes == [
        "no record has the field 'txet' of --text-field",
        "no record has the field 'nmae' of --title-field",
        "ignored fields: name",
    ]


@pytest.mark.parametrize("records", [1, PATIENCE - 1, PATIENCE, 3 * PATIENCE])
def test_a_text_that_no_record_has_is_refused(tmp_path, records):
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps({"id": i, "about": "x"}) for i in range(records)))
    found: list[Document] = []
    with pytest.raises(
        InputError, match=r"c.jsonl, line 1: no text field: found the fields 'id', 'about', wanted 'abuot'"
    ):
        found.extend(DocumentReader(tmp_path / "c.jsonl", Fields(text="abuot")))
    assert len(found) <= PATIENCE


def test_a_table_without_texts_is_refused(tmp_path):
    pq.write_table(pa.table({"id": [1], "price": [2.5]}), tmp_path / "c.parquet")
    with pytest.raises(InputError, match=r"c.parquet: no text field: found the fields 'id', 'price', wanted 'text'"):
        list(DocumentReader(tmp_path / "c.parquet"))
