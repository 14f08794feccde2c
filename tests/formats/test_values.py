"""Ids, texts, terms and weights from files of every format: read as they are, or refused with their place."""

import json
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.errors import InputError, StorageError
from lsr.formats import VectorSource, convert, read_ground_truth
from lsr.formats.ciff.protobuf import field
from lsr.replacing import sole_writer
from tests.cli.test_encode import run
from tests.formats.test_bad_files import POSTING, RECORD, ciff, csr, read

ONE = pa.array([[1]], pa.list_(pa.uint32()))
HALF = pa.array([[0.5]], pa.list_(pa.float32()))
WEIGHTS = pa.map_(pa.string(), pa.float32())


def rows_of(path, name=None):
    source = VectorSource([path], name)
    batches = list(source)
    ids = [document.id for batch in batches for document in batch.documents]
    rows = [{source.vocabulary[t]: w for t, w in row.items()} for b in batches for row in b.matrix.to_dicts()]
    return ids, rows


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def numbers(path, **columns):
    return parquet(path, **{"id": ["a"], "indices": ONE, "values": HALF, **columns})


def maps(path, rows, kind=WEIGHTS):
    return parquet(path, id=[f"d{i}" for i in range(len(rows))], vector=pa.array(rows, kind))


def not_utf8(kind):
    """One text whose byte is no UTF-8; for list types, a list with it."""
    broken = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(struct.pack("<2i", 0, 1)), pa.py_buffer(b"\xe9")]
    )
    return pa.MapArray.from_arrays([0, 1], broken, pa.array([1.0], pa.float32())) if kind == "map" else broken


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        (pa.array([b"d1"]), "d1"),
        (pa.array(["ä".encode()], pa.large_binary()), "ä"),
        (pa.array([7]), "7"),
        (pa.array([2**63], pa.uint64()), "9223372036854775808"),
        (pa.array(["007"]).dictionary_encode(), "007"),
    ],
)
def test_parquet_ids_are_texts_or_whole_numbers(tmp_path, ids, found):
    assert rows_of(numbers(tmp_path / "x.parquet", id=ids)) == ([found], [{"1": 0.5}])


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": [1.0]}, r"row 0: found the id 1\.0, wanted a text that is not empty or a whole number"),
        ({"id": [True]}, "row 0: found the id True"),
        ({"id": [Decimal("1.5")]}, r"row 0: found the id Decimal\('1.5'\)"),
        ({"id": [""]}, "row 0: found the id ''"),
        ({"id": pa.array([None], pa.string())}, "row 0: found the id None"),
        ({"id": [b"\xe9"]}, "row 0: not UTF-8 .byte 0xe9 at position 0"),
        ({"id": ["a\0b"]}, "row 0: the id .* holds a NUL character"),
        ({"id": not_utf8("text")}, "row 0: .*UTF8.* texts in UTF-8"),
        ({"text": not_utf8("text")}, "row 0: .*UTF8.* texts in UTF-8"),
        ({"text": [["a"]]}, "row 0: text holds .*: wanted text"),
        ({"indices": [["1"]]}, "the column 'indices' holds lists of string, wanted whole numbers"),
        ({"indices": [[1.5]]}, "the column 'indices' holds lists of double, wanted whole numbers"),
        ({"indices": [[-1]]}, "row 0: found the index -1, wanted 0 to 4,294,967,294"),
        ({"indices": [[2**32]]}, "row 0: found the index 4294967296, wanted 0 to"),
        ({"indices": pa.array([[2**64 - 1]], pa.list_(pa.uint64()))}, "found the index 18446744073709551615"),
        ({"indices": ["1"]}, "the column 'indices' is string, wanted lists of numbers"),
        ({"indices": pa.array([None], pa.list_(pa.int32()))}, "row 0: no indices"),
        ({"values": [["1"]]}, "the column 'values' holds lists of string, wanted numbers"),
        ({"values": [[True]]}, "the column 'values' holds lists of bool, wanted numbers"),
        ({"values": [[float("nan")]]}, "row 0: found the weight nan"),
        ({"values": [[1e39]]}, "row 0: found the weight inf"),
    ],
)
def test_parquet_columns_of_other_kinds_are_refused(tmp_path, columns, message):
    with pytest.raises(InputError, match=message):
        rows_of(numbers(tmp_path / "x.parquet", **columns))


def test_bad_rows_are_counted_from_the_start_of_the_file(tmp_path):
    columns = {"id": [f"d{i}" for i in range(2000)], "values": [[0.5]] * 2000}
    indices = [[1]] * 1500 + [[-3]] + [[1]] * 499
    with pytest.raises(InputError, match="row 1500: found the index -3"):
        rows_of(numbers(tmp_path / "x.parquet", indices=indices, **columns))


def test_a_column_that_stands_twice_is_refused(tmp_path):
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"]), ONE, HALF], ["id", "id", "indices", "values"])
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="the column 'id' occurs twice"):
        rows_of(tmp_path / "x.parquet")


def test_parquet_maps_may_have_bytes_for_tokens(tmp_path):
    path = maps(tmp_path / "x.parquet", [[(b"bee", 2), ("ü".encode(), 1)]], pa.map_(pa.binary(), pa.float64()))
    assert rows_of(path) == (["d0"], [{"bee": 2.0, "ü": 1.0}])


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[(1, 2.0)]], pa.map_(pa.int32(), pa.float32())), "the column 'vector' is map<int32, float"),
        (pa.array([[("a", "2")]], pa.map_(pa.string(), pa.string())), "wanted a map of token to weight"),
        (pa.array([None], WEIGHTS), "row 0: no vector"),
        (pa.array([[("a", None)]], WEIGHTS), "row 0: found the weight nan"),
        (pa.array([[("a", 1.0), ("a", 2.0)]], WEIGHTS), "occurs twice in one vector"),
        (pa.array([[(b"\xe9", 1.0)]], pa.map_(pa.binary(), pa.float32())), "rows from 0: a token is not UTF-8"),
        (not_utf8("map"), "row 0: .*UTF8"),
    ],
)
def test_parquet_maps_of_other_kinds_are_refused(tmp_path, column, message):
    with pytest.raises(InputError, match=message):
        rows_of(parquet(tmp_path / "x.parquet", id=["d0"], vector=column))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"terms": "[" * 5000}, "its metadata is damaged"),
        ({"terms": '["a", "b", "a"]'}, "the name 'a' stands for two terms"),
        ({"terms": '["a"]'}, "row 0: found the index 1, wanted 0 to 0"),
        ({"dim": "9" * 5000}, "its metadata is damaged .found the dim '999"),
        ({"dim": "-1"}, "its metadata is damaged .found the dim '-1', wanted a whole number from 0"),
        ({"dim": "1e3"}, "its metadata is damaged"),
    ],
)
def test_damaged_metadata_of_parquet_is_refused(tmp_path, metadata, message):
    table = pa.table({"id": ["a"], "indices": ONE, "values": HALF}).replace_schema_metadata(metadata)
    pq.write_table(table, tmp_path / "x.parquet")
    with pytest.raises(InputError, match=message):
        rows_of(tmp_path / "x.parquet")


@pytest.mark.parametrize(
    "line",
    [
        '{"id": 1.5, "vector": {"a": 1}}',
        '{"id": null, "vector": {"a": 1}}',
        '{"id": "a\\u0000b", "vector": {"a": 1}}',
        '{"id": "\\ud800", "vector": {"a": 1}}',
        '{"id": "a", "vector": {"\\ud800": 1}}',
        '{"id": "a", "vector": {"a": true}}',
        '{"id": "a", "vector": {"a": 1e400}}',
        '{"id": "a", "vector": {"a": 1' + 400 * "0" + "}}",
        '{"id": "a", "vector": {"a": 1' + 5000 * "0" + "}}",
        '{"id": "a", "vector": {"a": ' + 5000 * "[" + 5000 * "]" + "}}",
        '{"id": "a", "vector": {"a": 1}, "x": ' + 5000 * "[" + 5000 * "]" + "}",
    ],
)
def test_lines_of_wrong_values_are_refused_with_their_number(tmp_path, line):
    (tmp_path / "x.jsonl").write_text(f'{{"id": 1, "vector": {{}}}}\n{line}\n')
    with pytest.raises(InputError, match=r"x\.jsonl, line 2: "):
        rows_of(tmp_path / "x.jsonl")


def test_lines_of_windows_are_lines(tmp_path):
    mark, names, terms = b"\xef\xbb\xbf", b"d1\r\nd 2\r\n", b"hive\r\n\r\nbee\r\n"
    (tmp_path / "x.csr").write_bytes(csr(rows=2, borders=(0, 1, 2)))
    (tmp_path / "x.csr.ids").write_bytes(mark + names)
    (tmp_path / "x.csr.terms").write_bytes(mark + terms)
    assert rows_of(tmp_path / "x.csr") == (["d1", "d 2"], [{"hive": 1.0}, {"bee": 2.0}])
    (tmp_path / "x.tsv").write_bytes(mark + b"q1\tbee bee\r\n\r\nq2\thive\r\n")
    assert rows_of(tmp_path / "x.tsv") == (["q1", "q2"], [{"bee": 2.0}, {"hive": 1.0}])


@pytest.mark.parametrize(
    ("names", "message"),
    [(b"\n", "x.csr.ids, line 1: found the id ''"), (b"\xe9\n", "x.csr.ids, line 1: not UTF-8"),
     (b"a\0b\n", "x.csr.ids, line 1: the id .* holds a NUL")],
)  # fmt: skip
def test_lines_that_are_no_ids_are_refused(tmp_path, names, message):
    (tmp_path / "x.csr.ids").write_bytes(names)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.csr", csr())


@pytest.mark.parametrize(
    ("vector", "message"),
    [
        ({"id": "d\n1", "vector": {"a": 1}}, r"the id 'd\\n1' has a line break"),
        ({"id": "d\r", "vector": {"a": 1}}, "has a line break"),
        ({"id": "\ufeffd", "vector": {"a": 1}}, "begins with a byte order mark"),
        ({"id": "d", "vector": {"a\nb": 1}}, r"the (term|token) 'a\\nb' "),
        ({"id": "d", "vector": {"\ufeffb": 1}}, "the term '.*' begins with a byte order mark"),
        ({"id": "d", "vector": {"a\0b": 1}}, "the term .* has a NUL character"),
    ],
)
def test_names_that_are_no_lines_are_refused_where_lines_are_written(tmp_path, vector, message):
    (tmp_path / "x.jsonl").write_text(json.dumps(vector))
    for target in ("y.csr", "y.bin", *(["y.tsv"] if "term '" not in message and "term ." not in message else [])):
        with pytest.raises(InputError, match=message):
            convert(VectorSource([tmp_path / "x.jsonl"]), tmp_path / target)
    for target in ("y.ciff", "y.parquet"):
        convert(VectorSource([tmp_path / "x.jsonl"]), tmp_path / target)
        assert rows_of(tmp_path / target) == ([vector["id"]], [vector["vector"]])


LARGE = {"a": {"x": 2**24 + 1, "y": 2**24, "z": 3}, "b": {"x": 2**53 + 1}}


@pytest.mark.parametrize("source", ["x.jsonl", "x.parquet", "x.ciff"])
def test_rounding_of_large_whole_numbers_is_said(tmp_path, source):
    path = tmp_path / source
    if source == "x.parquet":
        rows = [list(row.items()) for row in LARGE.values()]
        parquet(path, id=list(LARGE), vector=pa.array(rows, pa.map_(pa.string(), pa.int64())))
    elif source == "x.ciff":
        tfs = (2**24 + 1).to_bytes(4, "little")
        posting = b"\x10" + bytes([tfs[0] | 0x80, 0x80, 0x80, 0x08])
        lists = [field(1, name) + field(2, 1) + b"\x22" + bytes([len(posting)]) + posting for name in "xy"]
        path.write_bytes(ciff(lists, [RECORD], (2, 1)))
    else:
        path.write_text("".join(json.dumps({"id": name, "vector": row}) + "\n" for name, row in LARGE.items()))
    done = run("convert", path, tmp_path / "y.jsonl", "--to", "anserini" if source == "x.ciff" else "seismic")
    assert "2 whole numbers above 16,777,216 (float32)" in done.stdout
    assert '"x":16777216' in (tmp_path / "y.jsonl").read_text()


def test_weights_that_float32_holds_are_not_called_rounded(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "vector": {"x": 0.1, "y": 16777216, "z": 1e30, "tiny": 1e-50}}')
    source = VectorSource([tmp_path / "x.jsonl"])
    assert sum(len(batch.matrix.to_dicts()[0]) for batch in source) == 3  # what becomes 0 is left out
    assert source.rounded == 1  # 1e30 is a whole number too


def test_a_scale_that_is_too_large_is_refused(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "vector": {"x": 3e38}}')
    done = run("convert", tmp_path / "x.jsonl", tmp_path / "y.csr", "--bits", "8")
    assert "scale" in done.stdout
    with pytest.raises(InputError, match="--scale 100: a weight becomes too large for float32"):
        run("convert", tmp_path / "x.jsonl", tmp_path / "z.csr", "--scale", "100")


def test_numbers_of_terms_that_a_matrix_cannot_hold_are_refused(tmp_path):
    (tmp_path / "x.bin").write_bytes(struct.pack("<4If", 1, 1, 2**31, 0, 0)[:12] + struct.pack("<f", 1.0))
    assert rows_of(tmp_path / "x.bin") == (["0"], [{str(2**31): 1.0}])
    with pytest.raises(InputError, match="2,147,483,649 terms, but csr numbers 2,147,483,647"):
        convert(VectorSource([tmp_path / "x.bin"]), tmp_path / "y.csr")
    convert(VectorSource([tmp_path / "x.bin"]), tmp_path / "y.jsonl", "seismic")
    assert rows_of(tmp_path / "y.jsonl") == (["0"], [{str(2**31): 1.0}])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (struct.pack("<2Iif", 1, 1, 3, float("nan")), "byte 12: found the score nan, wanted a finite number"),
        (struct.pack("<2Iif", 1, 1, 3, float("inf")), "byte 12: found the score inf"),
        (struct.pack("<2I4i4f", 2, 2, 3, 4, 5, 5, *[1.0] * 4), "twice among those of query 1"),
        (struct.pack("<2I", 2**32 - 1, 2**32 - 1), "has 8 bytes, but 4,294,967,295 queries"),
    ],
)
def test_true_neighbours_that_are_none_are_refused(tmp_path, content, message):
    (tmp_path / "x.gt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_ground_truth(tmp_path / "x.gt")


def test_documents_of_an_index_have_ids(tmp_path):
    with pytest.raises(InputError, match="a record of document 0: not UTF-8"):
        read(tmp_path / "x.ciff", ciff([field(1, "a") + field(2, 1) + POSTING], [b"\x12\x01\xe9"]))


def test_gaps_that_go_round_are_no_documents(tmp_path):
    def posting(gap):
        number = b""
        for _ in range(9):
            number, gap = number + bytes([gap & 0x7F | 0x80]), gap >> 7
        body = b"\x08" + number[:-1] + bytes([number[-1] & 0x7F]) + b"\x10\x01"
        return b"\x22" + bytes([len(body)]) + body

    round_trip = b"".join(map(posting, (1, 2**63 - 1, 2**63 - 1, 3)))
    with pytest.raises(InputError, match="documents of 'a' that do not rise within 0 to 4"):
        read(tmp_path / "x.ciff", ciff([field(1, "a") + field(2, 4) + round_trip], [RECORD] * 5, (1, 5)))


def test_two_writers_of_one_file_do_not_mix(tmp_path):
    (tmp_path / "x.jsonl").write_text('{"id": "a", "vector": {"x": 1}}')
    target = tmp_path / "y.csr"
    with sole_writer(tmp_path / ".y.csr.new", target):
        with pytest.raises(StorageError, match=r"another process is writing .*y\.csr: wait for it"):
            convert(VectorSource([tmp_path / "x.jsonl"]), target)
        (tmp_path / ".y.csr.new" / "y.csr.terms").write_text("of a killed one")
    (tmp_path / "n.csr").write_bytes(csr())
    convert(VectorSource([tmp_path / "n.csr"]), target)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["n.csr", "x.jsonl", "y.csr", "y.csr.ids"]
    assert rows_of(target)[0] == ["0"]
    assert np.array_equal(np.fromfile(target, "u1"), np.frombuffer(csr(), "u1"))
