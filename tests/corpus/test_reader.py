import gzip
import io
import json
import sys
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.corpus import Document, DocumentReader, Fields
from lsr.errors import InputError

DOCUMENTS = [Document("a", "First", "one two"), Document("b", "", "drei vier äöü"), Document("7", "T", "")]
LINES = [json.dumps({"_id": d.id, "title": d.title, "text": d.text}, ensure_ascii=False) for d in DOCUMENTS]
JSONL = ("\n".join(LINES) + "\n").encode()


def read(path, **fields):
    return list(DocumentReader([path], Fields(**fields)))


def test_jsonl_is_read(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(JSONL)
    assert read(tmp_path / "c.jsonl") == DOCUMENTS


def test_gzip_is_read(tmp_path):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(JSONL))
    assert read(tmp_path / "c.jsonl.gz") == DOCUMENTS


def test_a_beir_folder_is_read(tmp_path):
    (tmp_path / "corpus.jsonl").write_bytes(JSONL)
    (tmp_path / "queries.jsonl").write_bytes(b"{}")
    assert read(tmp_path) == DOCUMENTS


def test_a_beir_zip_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        archive.writestr("set/corpus.jsonl", JSONL)
    reader = DocumentReader([tmp_path / "set.zip"])
    assert reader.size == len(JSONL)
    assert list(reader) == DOCUMENTS
    assert reader.position == len(JSONL)


def test_an_ms_marco_collection_is_read(tmp_path):
    (tmp_path / "collection.tsv").write_text("0\tone\ttwo\n1\tthree\r\n")
    assert read(tmp_path / "collection.tsv") == [Document("0", "", "one\ttwo"), Document("1", "", "three")]


def test_parquet_is_read(tmp_path):
    columns = {"id": [5, 6], "title": ["x", None], "text": ["one", "two"]}
    pq.write_table(pa.table(columns), tmp_path / "c.parquet")
    reader = DocumentReader([tmp_path / "c.parquet"])
    assert list(reader) == [Document("5", "x", "one"), Document("6", "", "two")]
    assert reader.position == reader.size


def test_a_folder_of_parts_is_read_in_order(tmp_path):
    for i, line in enumerate(LINES):
        (tmp_path / f"part-{i}.jsonl").write_text(line, encoding="utf-8")
    assert read(tmp_path) == DOCUMENTS


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(JSONL)))
    reader = DocumentReader(["-"])
    assert reader.size is None
    assert list(reader) == DOCUMENTS


def test_several_sources_are_read_one_after_the_other(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(JSONL)
    reader = DocumentReader([tmp_path / "a.jsonl", tmp_path / "b.jsonl"])
    assert list(reader) == DOCUMENTS * 2
    assert reader.position == reader.size == 2 * len(JSONL)


def test_other_fields_can_be_named(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"key": 1, "head": "H", "body_text": "B"}')
    fields = {"id": "key", "title": "head", "text": "body_text"}
    assert read(tmp_path / "c.jsonl", **fields) == [Document("1", "H", "B")]


def test_anserini_contents_are_text(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": "1", "contents": "B"}')
    assert read(tmp_path / "c.jsonl") == [Document("1", "", "B")]


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    (tmp_path / "c.jsonl").write_bytes(b"\xef\xbb\xbf" + JSONL.replace(b"\n", b"\n\n"))
    assert read(tmp_path / "c.jsonl") == DOCUMENTS


def test_full_text_joins_title_and_text():
    assert [d.full_text for d in DOCUMENTS] == ["First one two", "drei vier äöü", "T"]


GOOD = b'{"_id": "a", "text": "x"}\n'
BAD_LINES = {
    "broken JSON": (GOOD + b'{"_id": "b", "text": \n', "c.jsonl, line 2: not JSON"),
    "not UTF-8": (GOOD + b'{"_id": "b", "text": "\xff"}\n', r"c.jsonl, line 2: not UTF-8 \(byte 0xff at position 22\)"),
    "a list": (b"[1, 2]\n", "c.jsonl, line 1: found a list, wanted one JSON object a line"),
    "no id": (GOOD + b'{"text": "x"}\n', "line 2: no id field: found the fields 'text', wanted '_id' or"),
    "no text": (b'{"_id": "1", "abstract": "x"}\n', "no text field: .*name yours with --text-field"),
    "text is a number list": (b'{"_id": "1", "text": [1]}\n', r"field 'text' holds \[1\]: wanted text"),
    "empty id": (b'{"_id": "", "text": "x"}\n', "line 1: found the id '', wanted a text that is not empty"),
}


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_with_its_number(tmp_path, name):
    content, message = BAD_LINES[name]
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "c.jsonl")


def test_a_bad_tsv_line_is_named_with_its_number(tmp_path):
    (tmp_path / "c.tsv").write_text("1\tx\nno tab here\n")
    with pytest.raises(InputError, match="line 2: found no id followed by a tab"):
        read(tmp_path / "c.tsv")


def test_a_cut_gzip_is_refused(tmp_path):
    (tmp_path / "c.jsonl.gz").write_bytes(gzip.compress(JSONL * 500)[:-40])
    with pytest.raises(InputError, match="damaged after line"):
        read(tmp_path / "c.jsonl.gz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.jsonl", "no such file or folder: .*missing.jsonl"),
        ("notes.odt", "unknown layout; wanted JSONL"),
        ("empty-folder", "found no documents; wanted corpus.jsonl"),
        ("fake.zip", "not a zip file"),
        ("other.zip", "no corpus.jsonl inside"),
        ("fake.parquet", "not a readable Parquet file"),
    ],
)
def test_an_unusable_source_is_refused(tmp_path, name, message):
    (tmp_path / "notes.odt").write_text("x")
    (tmp_path / "empty-folder").mkdir()
    (tmp_path / "fake.zip").write_text("x")
    (tmp_path / "fake.parquet").write_text("x")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "x")
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


def test_what_a_folder_holds_beside_is_named(tmp_path):
    for name in ("1.jsonl", "2.tsv", "queries.jsonl", "notes.md", ".x.jsonl"):
        (tmp_path / name).write_text('{"id": "a", "text": "bees"}\n')
    for name in ("sub", "qrels"):
        (tmp_path / name).mkdir()
    reader = DocumentReader(tmp_path)
    assert len(list(reader)) == 1
    assert reader.notes == [f"not read in {tmp_path}: 2.tsv, sub/; name them as sources too, if they hold documents"]
    (tmp_path / "corpus.jsonl").write_text('{"id": "b", "text": "bees"}\n')
    assert "1.jsonl, 2.tsv, sub/;" in DocumentReader(tmp_path).notes[0]


def test_a_zip_of_two_corpora_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        for name in ("x/corpus.jsonl", "y/corpus.jsonl"):
            archive.writestr(name, '{"_id": "a", "text": "bees"}\n')
    with pytest.raises(InputError, match=r"two.zip holds 'x/corpus.jsonl' and 'y/corpus.jsonl': unpack it and name"):
        list(DocumentReader(tmp_path / "two.zip"))
