"""Documents of Python objects: dicts, tables, mixtures."""

from datetime import UTC, date, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from lsr.corpus import Document, Fields
from lsr.corpus.in_memory import Records
from lsr.errors import InputError

ROWS = [
    {"id": "a", "text": "red mug", "price": 9.5, "made": date(2024, 1, 2), "tags": ("x", "y")},
    {"id": 7, "text": "blue mug", "price": float("nan"), "made": datetime(2024, 1, 2, tzinfo=UTC), "n": np.int64(3)},
]


def test_dicts_are_documents_with_fields():
    one, other = Records(ROWS)
    assert one == Document("a", "", "red mug", {"price": 9.5, "made": "2024-01-02", "tags": ["x", "y"]})
    assert other == Document("7", "", "blue mug", {"made": "2024-01-02T00:00:00+00:00", "n": 3})
    assert [d.fields for d in Records(ROWS, Fields(store="price"))] == [{"price": 9.5}, {}]
    assert [d.text for d in Records([{"sku": 1, "name": "saw"}], Fields("sku", "name"))] == ["saw"]


def test_documents_and_dicts_may_be_mixed():
    assert [d.id for d in Records([Document("x", "", "a"), ROWS[0]])] == ["x", "a"]


@pytest.mark.parametrize("kind", ["table", "reader"])
def test_tables_of_arrow_are_read(kind):
    table = pa.table({"id": ["a", "b"], "text": ["red", "blue"], "price": [1.5, None], "tags": [["x"], []]})
    source = table if kind == "table" else table.to_reader(max_chunksize=1)
    assert list(Records(source)) == [
        Document("a", "", "red", {"price": 1.5, "tags": ["x"]}),
        Document("b", "", "blue", {"tags": []}),
    ]


def test_tables_that_behave_like_those_of_pandas_and_polars_are_read():
    class Rows:
        columns = ("id", "text")

        def __init__(self, rows):
            self.rows = rows

        def __iter__(self):
            return iter(self.columns)

    class Polars(Rows):
        def iter_rows(self, named):
            assert named
            return iter(self.rows)

    class Slices(Rows):
        def __getitem__(self, part):
            return SimpleNamespace(to_dict=lambda kind: self.rows[part])

    class Pandas(Rows):
        def __len__(self):
            return len(self.rows)

        @property
        def iloc(self):
            return Slices(self.rows)

    rows = [{"id": str(i), "text": f"word{i}"} for i in range(2500)]
    for table in (Pandas(rows), Polars(rows)):
        assert [d.id for d in Records(table)] == [str(i) for i in range(2500)]


@pytest.mark.parametrize("source", ["corpus.jsonl", 3, None, {"id": 1, "text": "a"}, Document("a"), b"x"])
def test_what_holds_no_documents_is_refused(source):
    with pytest.raises(InputError, match=r"wanted several lsr\.Document, or dicts, or a table"):
        Records(source)


@pytest.mark.parametrize(
    ("record", "match"),
    [
        ("text", r"record 2: found a str, wanted lsr\.Document or a dict"),
        ({"text": "no id"}, "record 2: no id field"),
        ({"id": "b", "text": 1.5}, "record 2: field 'text' holds 1.5"),
    ],
)
def test_a_record_that_is_no_document_is_named(record, match):
    with pytest.raises(InputError, match=match):
        list(Records([ROWS[0], record]))
