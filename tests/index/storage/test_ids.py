"""Ids are found among many rows; hashes say whether a document has changed, whatever way its values came."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.arrays import load_array, save_array
from lsr.corpus import Document
from lsr.corpus.schema import Cell, Schema
from lsr.errors import InputError, StorageError
from lsr.index.storage import ids as module
from lsr.index.storage.fields import NAME, FieldWriter, mapped, read_fields
from lsr.index.storage.ids import (
    IdIndex,
    confirmed,
    field_hashes,
    id_hashes,
    load_hashes,
    save_hashes,
    text_hashes,
)

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)


def rows_by_loop(stored, asked):
    """The obvious way."""
    return [(place, row) for place, one in enumerate(asked) for row, name in enumerate(stored) if name == one]


@given(st.lists(words, max_size=20), st.lists(words, max_size=10), st.booleans())
@settings(deadline=None)
def test_rows_are_found_as_by_a_loop(stored, asked, collide):
    asked = asked + stored[::3]
    with pytest.MonkeyPatch.context() as patch:
        if collide:  # all ids have one of two hashes
            patch.setattr(module, "id_hashes", lambda names: np.array([len(one) % 2 for one in names], np.uint64))
        found = confirmed(IdIndex.of(stored).rows_of(asked), asked, stored.__getitem__)
    assert list(zip(found.places.tolist(), found.rows.tolist(), strict=True)) == rows_by_loop(stored, asked)


def test_an_index_comes_back_from_its_files(tmp_path):
    ids = [f"d{i % 700}" for i in range(1000)]
    IdIndex.of(ids).save(tmp_path)
    found = IdIndex.load(tmp_path, 1000).rows_of(["d5", "x", "d699", "d5"])
    assert found.places.tolist() == [0, 0, 2, 3, 3]
    assert found.rows.tolist() == [5, 705, 699, 5, 705]
    IdIndex.of([]).save(tmp_path)
    assert IdIndex.load(tmp_path, 0).rows_of(["a"]).rows.size == 0
    assert IdIndex.of(ids).rows_of([]).rows.size == 0


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("ids.hashes.npy", lambda array: array[::-1].copy(), "hashes that are not sorted"),
        ("ids.hashes.npy", lambda array: array[1:].copy(), "9 numbers for 10 documents"),
        ("ids.hashes.npy", lambda array: array.astype(np.float64), "wanted uint64"),
        ("ids.rows.npy", lambda array: array * 0, "not each row once"),
        ("ids.rows.npy", lambda array: array + 2**31, "not each row once"),
    ],
)
def test_damage_of_an_index_is_an_error(tmp_path, name, change, message):
    IdIndex.of([f"d{i}" for i in range(10)]).save(tmp_path)
    kind = "uint64" if "hashes" in name else "uint32"
    save_array(tmp_path / name, change(load_array(tmp_path / name, kind)))
    with pytest.raises(StorageError, match=message):
        IdIndex.load(tmp_path, 10)
    (tmp_path / name).unlink()
    with pytest.raises(StorageError, match="is missing"):
        IdIndex.load(tmp_path, 10)


def test_hashes_are_the_same_in_every_process():
    assert id_hashes(["a", "ü"]).tolist() == [3405396810240292928, 3976460501203677525]
    assert text_hashes([Document("x", "title", "text")]).tolist() == [10069329198410065409]
    assert field_hashes([{"b": 1, "a": "x"}], {"b": "integer", "a": "keyword"}).tolist() == [375334290734547931]


@given(st.lists(st.tuples(words, words), max_size=8))
def test_texts_are_equal_where_their_hashes_are(pairs):
    documents = [Document("any", title, text) for title, text in pairs]
    hashes = text_hashes(documents).tolist()
    assert len(set(hashes)) == len(set(pairs))
    assert hashes == text_hashes([one._replace(id="other", fields={"a": 1}) for one in documents]).tolist()


values = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["2024-05-01", "2024-05-01T12:00:00.5+02:00", "true", "007", "x", "", "5"])
    | st.sampled_from(["2024-05-01", "TRUE", "5", "5.0", "1e3", "x"]).map(Cell)
    | st.lists(st.sampled_from(["a", "b"]), max_size=3)
    | st.lists(st.integers(-(2**65), 2**65) | st.none() | st.floats(), max_size=2)
    | st.lists(st.dictionaries(st.sampled_from("ab"), st.integers(), max_size=2), max_size=1)
    | st.none()
)
rows_of_one_kind = st.lists(st.fixed_dictionaries({}, optional={"x": values, "y": st.integers(0, 3)}), max_size=4)


def read(path):
    """The columns of a segment; none where it has no file of them."""
    return read_fields(mapped(path), path) if path.exists() else {}


@given(rows_of_one_kind)
@settings(max_examples=400, deadline=None)
def test_values_hash_alike_before_and_after_the_store(tmp_path_factory, rows):
    folder, schema = tmp_path_factory.mktemp("fields"), Schema()
    writer = FieldWriter(folder)
    documents = [Document(str(at), fields=row) for at, row in enumerate(rows)]
    if documents:
        writer.append(documents, schema)
    writer.close()
    writer.finish(schema)
    columns = read(folder / NAME)
    again = [
        {name: value for name, column in columns.items() if (value := column.value(row)) is not None}
        for row in range(len(rows))
    ]
    assert field_hashes(rows, schema.types()).tolist() == field_hashes(again, schema.types()).tolist()


@pytest.mark.parametrize(
    ("kind", "value", "other_kind", "other"),
    [
        ("integer", 5, "float", 5.0),
        ("integer", Cell("5"), "float", 5),
        ("float", -0.0, "float", 0),
        ("keyword", "a", "keywords", ["a"]),
        ("datetime", "2024-05-01", "datetime", "2024-05-01T02:00:00+02:00"),
        ("boolean", Cell("True"), "boolean", True),
        ("json", [{"a": 1, "b": 2}], "json", [{"b": 2, "a": 1}]),
        ("json", math.nan, "json", None),
        ("vector", [0.1, 1], "vector(2)", [float(np.float16(0.1)), 1.0]),
        ("vector_int8(2)", "[1, -2]", "vector_int8", (1, -2.0)),
    ],
)
def test_values_that_are_stored_alike_hash_alike(kind, value, other_kind, other):
    one, two = field_hashes([{"x": value}], {"x": kind}), field_hashes([{"x": other}], {"x": other_kind})
    assert one.tolist() == two.tolist()


def test_values_that_differ_hash_apart():
    types = {"i": "integer", "f": "float", "b": "boolean", "t": "datetime", "k": "keyword", "w": "keywords"}
    rows: list[dict[str, object]] = [
        {},
        {"i": 1},
        {"f": 1},
        {"i": 2},
        {"b": True},
        {"b": False},
        {"t": "2024-05-01"},
        {"k": ""},
        {"k": "1"},
        {"w": []},
        {"w": ["a", "b"]},
        {"w": ["b", "a"]},
        {"w": ["a"]},
        {"j": ["a"]},
        {"j": "a"},
        {"f": 2.0**53 + 2},
        {"f": 2.0**53},
    ]
    assert len(set(field_hashes(rows, types).tolist())) == len(rows)
    assert field_hashes([], types).size == 0
    alone = [field_hashes([row], types).tolist()[0] for row in rows]
    assert alone == field_hashes(rows, types).tolist()


def test_what_json_cannot_write_is_refused():
    with pytest.raises(InputError, match="a field holds a object: wanted what JSON can write"):
        field_hashes([{"x": object()}], {})


def test_hashes_come_back_from_their_files(tmp_path):
    texts, fields = np.arange(5, dtype=np.uint64), np.arange(5, dtype=np.uint64) * 2**60
    save_hashes(tmp_path, texts, fields)
    found = load_hashes(tmp_path, 5)
    assert [array.tolist() for array in found] == [texts.tolist(), fields.tolist()]
    with pytest.raises(StorageError, match=r"texts\.hashes\.npy is damaged \(5 numbers for 6 documents\)"):
        load_hashes(tmp_path, 6)
