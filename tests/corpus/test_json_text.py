"""Objects of JSON files: one a line, in a list, over many lines."""

import json

import pytest

from lsr.corpus import Document, DocumentReader, json_objects, json_value
from lsr.corpus.layouts.json_text import BLOCK
from lsr.corpus.streams import open_file
from lsr.errors import InputError

RECORDS = [{"id": f"d{i}", "text": "bees dänçe\n" * (i % 7)} for i in range(40)]
DOCUMENTS = [Document(record["id"], "", record["text"]) for record in RECORDS]
WRITTEN = {
    "a list on one line": json.dumps(RECORDS),
    "a list over many lines": json.dumps(RECORDS, indent=2, ensure_ascii=False),
    "a list behind blanks": "\n \r\n" + json.dumps(RECORDS, indent=0),
    "objects over many lines": "\n".join(json.dumps(record, indent=2) for record in RECORDS),
    "lines, then objects over many lines": "\n".join(
        json.dumps(r, indent=i % 2 * 3 or None) for i, r in enumerate(RECORDS)
    ),
    "two lists": json.dumps(RECORDS[:9]) + "\n" + json.dumps(RECORDS[9:], indent=1),
    "objects on one line": " ".join(map(json.dumps, RECORDS)),
    "lines": "\n".join(map(json.dumps, RECORDS)),
    "lines that end in CR": "\r".join(map(json.dumps, RECORDS)),
    "lines that end in CR LF": "\r\n".join(map(json.dumps, RECORDS)),
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("ending", [".jsonl", ".json"])
@pytest.mark.parametrize("name", WRITTEN)
def test_objects_are_read_however_they_are_written(tmp_path, name, ending, mark):
    path = tmp_path / f"c{ending}"
    path.write_text(mark + WRITTEN[name], encoding="utf-8", newline="")
    assert list(DocumentReader(path)) == DOCUMENTS


def test_one_object_is_read(tmp_path):
    (tmp_path / "c.json").write_text(json.dumps(RECORDS[3], indent=4))
    assert list(DocumentReader(tmp_path / "c.json")) == DOCUMENTS[3:4]


def test_an_object_may_be_longer_than_a_block(tmp_path):
    records = [{"id": str(i), "text": "x" * size} for i, size in enumerate((BLOCK * 5, 1, BLOCK - 30, BLOCK + 7))]
    (tmp_path / "c.json").write_text(json.dumps(records))
    found = list(DocumentReader(tmp_path / "c.json"))
    assert [len(document.text) for document in found] == [BLOCK * 5, 1, BLOCK - 30, BLOCK + 7]


def test_places_count_lines_and_records(tmp_path):
    (tmp_path / "c.json").write_text('[\n{"a": 1},\n{"a":\n2}, {"a": 3}]')
    assert [place for place, _ in json_objects(open_file(tmp_path / "c.json"))] == [
        "c.json, line 2, record 1",
        "c.json, line 3, record 2",
        "c.json, line 4, record 3",
    ]


DEEP = b"[" * 5000 + b"]" * 5000
BAD = {
    "deep line": (
        b'{"id": 1, "text": "x"}\n{"id": 2, "meta": ' + DEEP + b"}",
        "c.json, line 2: JSON nested too deeply",
    ),
    "deep list": (b'[{"id": 1, "meta": ' + DEEP + b"}]", "c.json, line 1: JSON nested too deeply"),
    "cut list": (b'[{"id": 1, "text": "x"},\n', "c.json, line 2: the file ends inside a list"),
    "cut object": (
        b'[{"id": 1, "text": "x"},\n{"id": 2, "te',
        r"line 2: not JSON \(Unterminated string starting at line 2\)",
    ),
    "no comma": (
        b'{"id": 1,\n"text": "x" "b": 2\n}',
        r"c.json, line 1: not JSON \(Expecting ',' delimiter at line 2\)",
    ),
    "numbers": (b"[1, 2]", "c.json, line 1: found a list, wanted one JSON object a line, or a list of objects"),
    "a number": (b'{"id": 1, "text": "x"}\n7', "c.json, line 2: found a int, wanted one JSON object a line"),
    "lists in a list": (b'[{"id": 1, "text": ""}, []]', "c.json, line 1: found a list, wanted"),
    "not UTF-8": (b'[{"id": 1,\n"text": "\xe9"}]', r"c.json, line 2: not UTF-8 \(byte 0xe9\)"),
    "half a pair": (b'{"id": 1, "text": "\\ud800"}', r"c.json, line 1: not JSON \(half a surrogate pair\)"),
    "NaN": (b'{"id": 1, "text": NaN}', "c.json, line 1: not JSON"),
    "digits": (b'{"id": ' + b"1" * 5000 + b', "text": ""}', "c.json, line 1: not JSON"),
    "two ends": (b'[{"id": 1, "text": ""}]]', r"c.json, line 1: not JSON \(Expecting value"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_object_is_named_with_its_line(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(DocumentReader(tmp_path / "c.json"))


def test_a_broken_line_is_found_without_reading_on(tmp_path):
    (tmp_path / "c.jsonl").write_text('{"id": 1, "meta": {"a": 1}\n' + '{"id": 2, "text": "x"}\n' * 200_000)
    reader = DocumentReader(tmp_path / "c.jsonl")
    with pytest.raises(InputError, match="line 1: not JSON"):
        list(reader)
    assert reader.position < 2 * BLOCK


@pytest.mark.parametrize("data", [DEEP, DEEP.decode(), b"{", b"\xff", "\ud800", b'{"a": "\xff"}'])
def test_a_value_that_is_none_is_refused(data):
    with pytest.raises(InputError, match=r"not JSON|not UTF-8|nested too deeply"):
        json_value(data)


def test_a_value_may_have_a_wanted_type():
    assert json_value(b'{"a": [1]}', dict[str, list[int]]) == {"a": [1]}
    with pytest.raises(InputError, match="Expected `int`"):
        json_value(b'{"a": ["x"]}', dict[str, list[int]])
