"""A file that is not what it should be is refused with its place, never read wrongly."""

import gzip
import json
import struct

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.errors import InputError
from lsr.formats import VectorSource, convert, read_ground_truth
from lsr.formats.ciff.protobuf import delimited, field

GOOD = b'{"id": "1", "vector": {"a": 1}}\n'


def read(path, content, name=None):
    path.write_bytes(content)
    return list(VectorSource(path, name))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"id": "2"}', "line 2: found the fields 'id', wanted the field 'vector'"),
        (b'{"vector": {"a": 1}}', "line 2: found the id None"),
        (b'{"id": "2", "vector": [1, 2]}', "line 2: found a list, wanted the field 'vector'"),
        (b'{"id": "2", "vector": {"a": "x"}}', "line 2: token 'a' has the weight 'x', wanted a number"),
        (b'{"id": "2", "vector": {"a": null}}', "line 2: token 'a' has the weight None"),
        (b'{"id": "2", "vector": {"a": 1e39}}', "line 2: found the weight inf, wanted a finite number"),
        (b'{"id": "2", "vector": {"a": NaN}}', "line 2: not JSON"),
    ],
)
def test_bad_lines_are_named(tmp_path, line, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.jsonl", GOOD + line + b"\n")


def csr(rows=1, dim=3, borders=(0, 2), terms=(0, 2), values=(1.0, 2.0)):
    head = struct.pack(f"<3q{len(borders)}q", rows, dim, len(terms), *borders)
    return head + struct.pack(f"<{len(terms)}i{len(values)}f", *terms, *values)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 10, r"byte 0: found \[0\], wanted numbers of rows, columns and weights"),
        (csr()[:-1], "has 55 bytes, but 1 rows with 2 weights .* take 56"),
        (csr() + b"x", "has 57 bytes"),
        (csr(rows=2, borders=(0, 5, 2)), "byte 40: found the row border 2, wanted borders that rise from 0 to 2"),
        (csr(terms=(0, 3)), "byte 44: found the term 3, wanted 0 to 2"),
        (csr(terms=(-1, 2)), "byte 40: found the term -1"),
        (csr(terms=(1, 1)), "row 0: the term 1 occurs twice"),
        (csr(values=(1.0, float("nan"))), "row 0: found the weight nan"),
    ],
)
def test_damaged_matrices_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.csr", content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\1\0", "byte 0: the file ends"),
        (struct.pack("<2I", 1, 9), "byte 4: row 0 has 9 terms, but 0 bytes are left"),
        (struct.pack("<3IfI", 1, 1, 0, 1.0, 7), "byte 16: found more after the last of 1 rows"),
        (struct.pack("<2I", 2, 0), "byte 8: the file ends"),
    ],
)
def test_damaged_inner_files_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.bin", content)


def ciff(lists, records, said=(1, 1)):
    header = delimited(b"".join([field(1, 1), field(2, said[0]), field(3, said[1])]))
    return header + b"".join(map(delimited, lists)) + b"".join(map(delimited, records))


POSTING = bytes.fromhex("22021002")
LIST = field(1, "a") + field(2, 1) + field(3, 2) + POSTING
RECORD = field(2, "d")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (ciff([LIST], [RECORD])[:-2], "a message of 3 bytes, but 1 are left"),
        (ciff([LIST], [RECORD]) + b"x", "more messages than the header says"),
        (ciff([LIST], []), "the file ends, wanted a message"),
        (ciff([LIST + POSTING], [RECORD]), "1 postings of 'a' said, 2 found"),
        (ciff([LIST.replace(POSTING, bytes.fromhex("2204080910 02"))], [RECORD]), "documents of 'a' that do not rise"),
        (ciff([LIST], [RECORD], (1, 2**40)), "1,099,511,627,776 documents said"),
        (ciff([LIST], [RECORD, RECORD], (1, 2)), "a record of document 0: wanted each below 2 once"),
        (ciff([LIST.replace(POSTING, b"\x22\x05\x10\x02")], [RECORD]), "byte 15: no posting"),
        (ciff([b"\x0a\x01\xff" + LIST[3:]], [RECORD]), "a term that is no UTF-8"),
        (ciff([b"\x0b" + LIST], [RECORD]), "kind 3 of field 1 is none of protobuf"),
    ],
)
def test_damaged_indexes_are_refused(tmp_path, content, message):
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.ciff", content)
    with pytest.raises(InputError, match=message):
        read(tmp_path / "x.ciff.gz", gzip.compress(content))


def test_other_parquet_files_are_refused(tmp_path):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["a"], "text": ["x"]}), path)
    with pytest.raises(InputError, match="found the columns 'id', 'text', wanted 'id', 'indices' and 'values'"):
        list(VectorSource([path]))
    pq.write_table(pa.table({"id": ["a"], "indices": [[1, 2]], "values": [[1.0]]}), path)
    with pytest.raises(InputError, match="row 0: 2 indices but 1 values"):
        list(VectorSource([path]))
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read(path, b"PAR1")


def test_names_beside_a_matrix_must_fit(tmp_path):
    path = tmp_path / "x.csr"
    (tmp_path / "x.csr.ids").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"x.csr.ids, line 2: the matrix has 1 rows only"):
        read(path, csr())
    (tmp_path / "x.csr.ids").write_text("")
    with pytest.raises(InputError, match=r"x.csr.ids ends after line 0"):
        read(path, csr())
    (tmp_path / "x.csr.ids").unlink()
    (tmp_path / "x.csr.terms").write_text("a\nb\n")
    with pytest.raises(InputError, match=r"x.csr.terms has 2 lines, the matrix 3 columns"):
        read(path, csr())
    (tmp_path / "x.csr.terms").write_text("a\nb\na\n")
    with pytest.raises(InputError, match=r"x.csr.terms, line 3: the term 'a' was given before"):
        read(path, csr())


def test_ground_truth_of_another_size_is_refused(tmp_path):
    (tmp_path / "x.gt").write_bytes(struct.pack("<2Ii", 1, 1, 3))
    with pytest.raises(InputError, match="has 12 bytes, but 1 queries with 1 rows each take 16"):
        read_ground_truth(tmp_path / "x.gt")
    (tmp_path / "x.gt").write_bytes(struct.pack("<2Iif", 1, 1, -3, 1))
    with pytest.raises(InputError, match="byte 8: found the row -3"):
        read_ground_truth(tmp_path / "x.gt")


def test_a_failed_conversion_leaves_the_old_file(tmp_path):
    target = tmp_path / "y.csr"
    target.write_bytes(b"old")
    (tmp_path / "x.jsonl").write_bytes(GOOD + b"{")
    with pytest.raises(InputError, match="line 2: not JSON"):
        convert(VectorSource([tmp_path / "x.jsonl"]), target)
    assert target.read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.jsonl", "y.csr"]


def test_formats_that_cannot_be_told_are_asked_for(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(GOOD)
    with pytest.raises(InputError, match=r"y.jsonl: the name does not say the format; give --to with one of anserini"):
        convert(VectorSource([tmp_path / "x.jsonl"]), tmp_path / "y.jsonl")
    with pytest.raises(InputError, match="unknown format 'dense': wanted anserini, "):
        VectorSource([tmp_path / "x.jsonl"], "dense")
    with pytest.raises(InputError, match="give --from"):
        read(tmp_path / "x.npz", b"")


def test_names_and_numbers_do_not_mix(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(GOOD)
    (tmp_path / "b.csr").write_bytes(csr())
    with pytest.raises(InputError, match="the vectors before had names for terms, these have numbers"):
        list(VectorSource([tmp_path / "a.jsonl", tmp_path / "b.csr"]))
    (tmp_path / "b.csr.terms").write_text("x\na\ny\n")
    source = VectorSource([tmp_path / "a.jsonl", tmp_path / "b.csr"])
    rows = [{source.vocabulary[t]: w for t, w in row.items()} for batch in source for row in batch.matrix.to_dicts()]
    assert rows == [{"a": 1}, {"x": 1, "y": 2}]
    assert json.dumps(list(source.vocabulary)) == '["a", "x", "y"]'


@pytest.mark.parametrize("ending", ["csr", "bin", "ciff"])
def test_any_flipped_bit_is_refused_or_gives_vectors(tmp_path, ending):
    """No other error, and never more memory than the file stands for."""
    vectors = [{"id": str(i), "vector": {f"t{j}": i + j + 1 for j in range(i)}} for i in range(4)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(vector) + "\n" for vector in vectors))
    path = tmp_path / f"x.{ending}"
    convert(VectorSource([tmp_path / "x.jsonl"]), path)
    whole = path.read_bytes()
    refusals = 0
    for bit in range(0, 8 * len(whole), 7):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            rows = sum(len(batch.matrix) for batch in read(path, bytes(damaged)))
        except InputError:
            refusals += 1
        else:
            assert rows == 4
    assert refusals > 10


def test_names_of_a_replaced_matrix_go_with_it(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(GOOD)
    convert(VectorSource([tmp_path / "x.jsonl"]), tmp_path / "y.csr")
    assert (tmp_path / "y.csr.terms").exists()
    (tmp_path / "n.csr").write_bytes(csr())
    convert(VectorSource([tmp_path / "n.csr"]), tmp_path / "y.csr")
    assert not (tmp_path / "y.csr.terms").exists()
    assert (tmp_path / "y.csr").read_bytes() == csr()
