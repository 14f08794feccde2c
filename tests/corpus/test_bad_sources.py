"""Files that are damaged, packed otherwise, encoded otherwise, or not for everybody."""

import bz2
import gzip
import io
import json
import lzma
import os
import sys
import threading
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lsr.corpus import Document, DocumentReader, has_member
from lsr.corpus.streams import open_file
from lsr.errors import InputError

RECORDS = [{"_id": f"d{i}", "text": f"bees dance {i * i}"} for i in range(500)]
DOCUMENTS = [Document(record["_id"], "", record["text"]) for record in RECORDS]
JSONL = "\n".join(map(json.dumps, RECORDS)).encode()
TSV = b"".join(f"{d.id}\t{d.text}\n".encode() for d in DOCUMENTS)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


def zipped(method=zipfile.ZIP_DEFLATED, name="set/corpus.jsonl") -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, JSONL)
    return file.getvalue()


def with_header(data: bytes, flags: int = 0, method: int | None = None) -> bytes:
    """A zip whose two headers say that the first file is encrypted, or packed by another method."""
    changed = bytearray(data)
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = data.index(signature) + at
        changed[start] |= flags
        if method is not None:
            changed[start + 2] = method
    return bytes(changed)


def parquet(**columns) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="snappy", use_dictionary=False)
    return file.getvalue()


def twice() -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 3, ["id", "text", "text"]), file)
    return file.getvalue()


IDS, TEXTS = [d.id for d in DOCUMENTS], [d.text for d in DOCUMENTS]
NO_UTF8 = pa.array([*(text.encode() for text in TEXTS[:3]), b"caf\xe9", *(b"x" for _ in TEXTS[4:])])
PARQUET = parquet(id=IDS, text=TEXTS)

READ = {
    "gzip without .gz": ("c.jsonl", gzip.compress(JSONL)),
    "no gzip in .gz": ("c.jsonl.gz", JSONL),
    "two members": ("c.jsonl.gz", gzip.compress(JSONL[:5000]) + gzip.compress(JSONL[5000:])),
    "capitals": ("C.JSONL.GZ", gzip.compress(JSONL)),
    "zip of bzip2": ("c.zip", zipped(zipfile.ZIP_BZIP2)),
    "zip of LZMA": ("c.zip", zipped(zipfile.ZIP_LZMA)),
    "BOM in the middle": ("c.jsonl", JSONL[:50].partition(b"\n")[0] + b"\n\xef\xbb\xbf" + JSONL.partition(b"\n")[2]),
    "tabs": ("c.tsv", TSV),
    "tabs, BOM": ("c.tsv", b"\xef\xbb\xbf" + TSV),
    "tabs, CR LF": ("c.tsv", TSV.replace(b"\n", b"\r\n")),
    "tabs, CR": ("c.tsv", TSV.replace(b"\n", b"\r")),
    "tabs, CR and a last LF": ("c.tsv", TSV[:-1].replace(b"\n", b"\r") + b"\n"),
    "tabs, gzip": ("c.tsv", gzip.compress(TSV)),
    "Parquet in gzip": ("c.parquet.gz", gzip.compress(PARQUET)),
    "Parquet of bytes": ("c.parquet", parquet(_id=[i.encode() for i in IDS], text=[t.encode() for t in TEXTS])),
    "Parquet of large strings": ("c.parquet", parquet(id=pa.array(IDS, pa.large_string()), text=TEXTS)),
    "Parquet of categories": ("c.parquet", parquet(id=IDS, text=pa.array(TEXTS).dictionary_encode())),
    "Parquet that breaks elsewhere": ("c.parquet", parquet(id=IDS, text=TEXTS, x=NO_UTF8.cast(pa.binary()))),
}


@pytest.mark.parametrize("name", READ)
def test_documents_are_read_from(tmp_path, name):
    file, content = READ[name]
    (tmp_path / file).write_bytes(content)
    reader = DocumentReader(tmp_path / file)
    assert list(reader) == DOCUMENTS
    assert reader.position == reader.size


PACKED = gzip.compress(JSONL)
REFUSED = {
    "bits of gzip": ("c.jsonl.gz", flipped(PACKED, 2000), r"^c.jsonl.gz: damaged after line \d+ \(.*\); fetch"),
    "sum of gzip": ("c.jsonl.gz", flipped(PACKED, len(PACKED) - 6), r"damaged after line 499 \(CRC check failed"),
    "end of gzip": ("c.jsonl.gz", PACKED[:-300], r"damaged after line \d+ \(Compressed file ended"),
    "bits of a zip": ("c.zip", flipped(zipped(), 1500), r"^c.zip:set/corpus.jsonl: damaged after line \d+ \("),
    "directory of a zip": ("c.zip", zipped()[:-30], "not a zip file; wanted a BEIR folder or zip"),
    "encrypted": ("c.zip", with_header(zipped(), flags=1), "cannot be unpacked .*encrypted.*pack it again"),
    "unknown method": ("c.zip", with_header(zipped(), method=97), "unpacked .*compression method"),
    "name in a zip": ("c.zip", flipped(zipped(), 32), "corpus.jsonl: cannot be unpacked"),
    "zip as JSONL": ("c.jsonl", zipped(), "c.jsonl: found a zip archive, wanted text in UTF-8; unpack it"),
    "Parquet as JSONL": ("c.jsonl", PARQUET, "found a Parquet file, .* name that ends in .parquet"),
    "gzip twice": ("c.jsonl.gz", gzip.compress(PACKED), "found gzip inside gzip"),
    "xz": ("c.jsonl", lzma.compress(JSONL), "found a file packed by xz, .*unpack it"),
    "bzip2": ("c.tsv", bz2.compress(TSV), "found a file packed by bzip2"),
    "zstd": ("c.tsv", b"\x28\xb5\x2f\xfd" + TSV, "found a file packed by zstd"),
    "UTF-16": ("c.jsonl", JSONL.decode().encode("utf-16"), "found text in UTF-16, .* iconv -f UTF-16 -t UTF-8"),
    "UTF-16, big end": ("c.tsv", TSV.decode().encode("utf-16-be"), "found text in UTF-16, .* iconv"),
    "UTF-16, no mark": ("c.json", JSONL.decode().encode("utf-16-le"), "found text in UTF-16, .* iconv"),
    "UTF-32": ("c.jsonl", JSONL.decode().encode("utf-32"), "found text in UTF-32, .* iconv"),
    "Latin tabs": ("c.tsv", b"1\tx\n2\tcaf\xe9\n", r"^c.tsv, line 2: not UTF-8 \(byte 0xe9 at position 5\)"),
    "NUL in an id": ("c.tsv", b"1\tx\nq\0a\ty\n", r"^c.tsv, line 2: the id 'q\\x00a' holds a NUL character"),
    "page": ("c.parquet", PARQUET[:400] + b"\xff" * 200 + PARQUET[600:], "c.parquet: not a readable Parquet .*[^)]+"),
    "foot": ("c.parquet", PARQUET[:-9] + b"?" + PARQUET[-8:], "c.parquet: not a readable Parquet file .[^)]+"),
    "half": ("c.parquet", PARQUET[: len(PARQUET) // 2], "c.parquet: not a readable Parquet file .[^)]+"),
    "text of Parquet": ("c.parquet", parquet(id=IDS, text=pa.StringArray.from_buffers(500, *NO_UTF8.buffers()[1:])),
                        "^c.parquet, row 4: .*Invalid UTF8 sequence"),
    "bytes of Parquet": ("c.parquet", parquet(id=IDS, text=NO_UTF8), "^c.parquet, row 4: not UTF-8 .byte 0xe9"),
    "two columns": ("c.parquet", twice(), r"^c.parquet: found two columns called 'text'"),
    "fractions of Parquet": ("c.parquet", parquet(id=[1.0], text=["x"]), "^c.parquet, row 1: found the id 1.0, wanted"),
    "null of Parquet": ("c.parquet", parquet(id=["a", None], text=["x", "y"]), "^c.parquet, row 2: found the id None"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_said_in_one_line(tmp_path, name):
    file, content, message = REFUSED[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        list(DocumentReader(tmp_path / file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("header", [b"pid\tpassage", b"id\ttext", b"docid\tsome title\tbody", b"\xef\xbb\xbf_ID\tText"])
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_a_header_of_a_table_is_no_document(tmp_path, header, ending):
    (tmp_path / "c.tsv").write_bytes(ending.join((header, b"1\tx", b"id\ty")))
    reader = DocumentReader(tmp_path / "c.tsv")
    assert list(reader) == [Document("1", "", "x"), Document("id", "", "y")]
    assert len(reader.notes) == 1
    assert reader.notes[0].startswith("c.tsv, line 1: passed over as a header, '")


def test_a_lone_cr_inside_a_line_is_text(tmp_path):
    (tmp_path / "c.tsv").write_bytes(b"1\tx\ry\n2\tz\n")
    assert list(DocumentReader(tmp_path / "c.tsv")) == [Document("1", "", "x\ry"), Document("2", "", "z")]


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "c.jsonl.gz", "c.json"])
@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_file_holds_no_document(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert list(DocumentReader(tmp_path / name)) == []


OTHERS = (
    "topics.jsonl",
    "queries.jsonl",
    "Queries.json",
    "qrels.jsonl.gz",
    "topics.parquet",
    "qrels.json",
    "test.queries.jsonl",
    "topics2019.json",
    "cranfield-judgments.jsonl",
    "._docs.jsonl",
)


def test_other_parts_of_a_collection_are_no_documents(tmp_path):
    for name in OTHERS:
        (tmp_path / name).write_text("no document")
    (tmp_path / "docs.jsonl").write_bytes(JSONL)
    assert list(DocumentReader(tmp_path)) == DOCUMENTS


def test_a_folder_of_other_parts_alone_is_refused(tmp_path):
    for name in ("queries.jsonl", "qrels"):
        (tmp_path / name).write_text("no document")
    with pytest.raises(InputError, match=r"found qrels, queries.jsonl but no documents; wanted corpus.jsonl"):
        DocumentReader(tmp_path)


def test_a_file_of_queries_is_read_where_it_is_named(tmp_path):
    (tmp_path / "queries.jsonl").write_bytes(JSONL)
    assert list(DocumentReader(tmp_path / "queries.jsonl")) == DOCUMENTS


def test_one_source_may_stand_alone(tmp_path):
    path = tmp_path / "c.jsonl"
    path.write_bytes(JSONL)
    for source in (str(path), path, [path], iter([str(path)])):
        assert list(DocumentReader(source)) == DOCUMENTS


@pytest.mark.parametrize("name", ["c.jsonl", "c.tsv", "no-ending"])
def test_a_named_pipe_is_read(tmp_path, name):
    os.mkfifo(tmp_path / name)
    content = TSV if name == "c.tsv" else gzip.compress(JSONL)
    writer = threading.Thread(target=lambda: Path(tmp_path / name).write_bytes(content))
    writer.start()
    reader = DocumentReader(tmp_path / name)
    assert reader.size is None
    assert list(reader) == DOCUMENTS
    assert reader.position == 0
    writer.join()


def test_a_pipe_of_parquet_is_refused(tmp_path):
    os.mkfifo(tmp_path / "c.parquet")
    writer = threading.Thread(target=lambda: (tmp_path / "c.parquet").open("wb").close())
    writer.start()
    with pytest.raises(InputError, match=r"c.parquet: found a pipe, wanted a file"):
        list(DocumentReader(tmp_path / "c.parquet"))
    writer.join()


def test_standard_input_may_be_packed(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(PACKED)))
    assert list(DocumentReader("-")) == DOCUMENTS


def test_closed_standard_input_is_said(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed: give a file, or pipe documents in"):
        list(DocumentReader("-"))


@pytest.fixture
def closed(tmp_path):
    """A folder that whoever runs the test may not read, the superuser included."""
    (tmp_path / "closed").mkdir(mode=0)
    own = os.geteuid()
    if own == 0:
        os.seteuid(65534)
    yield tmp_path / "closed"
    os.seteuid(own)


@pytest.mark.parametrize("name", ["c.jsonl", "", "c.zip", "es", "product.csv"])
def test_what_may_not_be_read_is_named_itself(closed, name):
    with pytest.raises(InputError, match=rf"^cannot read {closed / name}: Permission denied; give a file or folder"):
        DocumentReader(closed / name)


@pytest.mark.parametrize("name", ["n" * 300 + ".jsonl", "a\0b.jsonl"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(InputError, match=r"cannot read|no such file"):
        DocumentReader(tmp_path / name)
    with pytest.raises(InputError, match="cannot read"):
        has_member(tmp_path / name, "corpus.jsonl")


def test_blocks_are_bytes_in_whatever_encoding(tmp_path):
    (tmp_path / "topics.xml").write_bytes("<top>é</top>".encode("utf-16"))
    assert b"".join(open_file(tmp_path / "topics.xml").blocks()).decode("utf-16") == "<top>é</top>"
