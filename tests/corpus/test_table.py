"""Tables whose first line names the columns: CSV with quotes, and TSV where fields are named."""

import csv
import gzip
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus import Document, DocumentReader, Fields
from lsr.errors import InputError

PRODUCTS = Fields("sku", ["name", "description"])
WANTED = [Document("1", "", 'Drill, 18 V the "best" drill'), Document("2", "", "Saw line one\nline two")]
CSV = 'sku,name,price,description\n1,"Drill, 18 V",9,"the ""best"" drill"\n\n2,Saw,8,"line one\nline two"\n'


def read(path, content, fields=None):
    path.write_bytes(content)
    reader = DocumentReader(path, fields)
    return list(reader), reader.notes


@pytest.mark.parametrize(
    "change", [str.encode, lambda t: t.encode("utf-8-sig"), lambda t: t.replace("\n", "\r\n").encode()]
)
def test_a_csv_catalogue_is_read(tmp_path, change):
    documents, notes = read(tmp_path / "c.csv", change(CSV), PRODUCTS)
    assert [Document(d.id, d.title, d.text.replace("\r", "")) for d in documents] == WANTED
    assert notes == ["ignored fields: price"]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_seen(tmp_path, separator):
    content = f"id{separator}text\n7{separator}bees, and flowers\n".encode()
    assert read(tmp_path / "c.csv.gz", gzip.compress(content, mtime=0))[0] == [Document("7", "", "bees, and flowers")]


REFUSED = {
    "a short row": (b"id,text\n1,a\n2\n", "c.csv, line 3: found 1 columns, wanted 2 as in the first line"),
    "a long row": (b"id,text\n1,a,b\n", "c.csv, line 2: found 3 columns, wanted 2"),
    "an open quote": (b'id,text\n1,a\n2,"b\n3,c\n', "c.csv, line 3: not a row of a CSV file"),
    "a letter behind a quote": (b'id,text\n1,"a"b\n', "c.csv, line 2: not a row of a CSV file"),
    "no id": (
        b"sku,text\n1,a\n",
        "c.csv, line 1: no id field: found the fields 'sku', 'text', wanted .*--id-field.*; the first",
    ),
    "two of a name": (b"id,text,text\n1,a,b\n", "c.csv, line 1: found two columns called .text."),
    "Latin bytes": (b"id,text\n1,caf\xe9\n", r"c.csv, line 2: not UTF-8 \(byte 0xe9"),
    "no id in a row": (b"id,text\n,a\n", "c.csv, line 2: found the id ''"),
    "nothing": (b"", "c.csv, line 1: no id field: found the fields none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_table_is_refused_with_its_place(tmp_path, name):
    content, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as caught:
        read(tmp_path / "c.csv", content)
    assert "\n" not in str(caught.value)


def test_a_tsv_with_a_header_is_read_by_names(tmp_path):
    content = b'sku\tname\tprice\n1\t5" pipe\t3\n'
    assert read(tmp_path / "c.tsv", content, Fields("sku", "name"))[0] == [Document("1", "", '5" pipe')]
    with pytest.raises(
        InputError, match=r"c.tsv, line 1: no id field: found the fields 'sku', 'name', 'price', wanted 'nr'"
    ):
        read(tmp_path / "c.tsv", content, Fields("nr", "name"))
    documents, notes = read(tmp_path / "c.tsv", content)
    assert documents[1] == Document("1", "", '5" pipe\t3')
    assert notes[0].startswith("c.tsv, line 1: 3 columns; all after the first are the text; where the first line names")


CELLS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)


@given(st.lists(CELLS, max_size=9))
def test_what_csv_writes_is_read(tmp_path_factory, texts):
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["id", "text"])
    writer.writerows([i, text] for i, text in enumerate(texts))
    found, _ = read(tmp_path_factory.mktemp("csv") / "c.csv", file.getvalue().encode())
    assert [d.text for d in found] == [
        text.replace("\ufeff", "") if text.startswith("\ufeff") else text for text in texts
    ]
