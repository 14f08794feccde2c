"""Dense vectors of documents are carried by every verb as other fields are, and read for many rows at once."""

import numpy as np
import pytest

from lsr import Document
from lsr.errors import InputError
from lsr.retrieval import Collection

TYPES = {"embedding": "vector", "small": "vector_int8"}
LENGTH = 6


def numbers(seed):
    """Numbers that float16 holds."""
    return np.random.default_rng(seed).normal(size=LENGTH).astype(np.float16).tolist()


def document(name, text="red shoes", seed=None, small=None, **fields):
    own = {"embedding": None if seed is None else numbers(seed), "small": small, **fields}
    return {"id": name, "text": text, **{key: value for key, value in own.items() if value is not None}}


START = [document(f"d{at}", seed=at if at % 3 else None, price=at) for at in range(12)]


def create(folder, documents=START, **options):
    return Collection.create(folder, documents, "bm25", types=TYPES, **options)


@pytest.fixture
def shop(tmp_path):
    with create(tmp_path / "shop") as collection:
        yield collection


def as_fields(documents):
    return {one["id"]: {k: v for k, v in one.items() if k not in ("id", "text")} for one in documents}


def check(collection, wanted):
    """It is a dictionary of fields by id: iterated, got, and read by rows."""
    assert {found.id: dict(found.fields) for found in collection} == wanted
    assert all(dict(collection.get(name).fields) == own for name, own in wanted.items())
    current = collection.searcher.generation
    rows = np.array([row for own in current.rows_of([*wanted]) for row in own], np.int64)
    for name, type_ in (("embedding", np.float16), ("small", np.int8)):
        found = current.dense(name, rows)
        assert found.values.dtype == type_
        assert found.there.tolist() == [name in own for own in wanted.values()]
        for values, own in zip(found.values.tolist(), wanted.values(), strict=True):
            assert values == own.get(name, [0] * found.values.shape[1])


def reopened(collection):
    collection.close()
    return Collection.open(collection.folder)


def test_every_verb_carries_dense_vectors(shop, tmp_path):
    wanted = as_fields(START)
    check(shop, wanted)
    first = shop.generation
    assert shop.fields["embedding"] == "vector(6)"
    assert shop.fields["small"] == "vector_int8"

    assert shop.sync(START).unchanged == len(START)
    assert shop.upsert([{**one, "embedding": np.array(one.get("embedding", []) or numbers(0))} for one in START[1:3]])
    assert shop.generation == first  # an array of the same numbers changes nothing

    assert shop.upsert([document("d3", seed=33, price=3), document("e1", "blue hat", 41, [1, 2, 3])]).fields == 1
    wanted |= as_fields([document("d3", seed=33, price=3), document("e1", seed=41, small=[1, 2, 3])])
    check(shop, wanted)
    assert shop.fields["small"] == "vector_int8(3)"

    shop.update({"d1": {"embedding": None, "small": np.array([-128, 0, 127])}, "d4": {"embedding": numbers(44)}})
    wanted["d1"] = {"price": 1, "small": [-128, 0, 127]}
    wanted["d4"]["embedding"] = numbers(44)
    check(shop, wanted)
    second = shop.generation
    before = {name: dict(own) for name, own in wanted.items()}

    shop.delete(["d5", "e1"])
    del wanted["d5"], wanted["e1"]
    shop.flush()
    check(shop, wanted)
    shop.add([document("f1", "green coat", 51)])
    wanted |= as_fields([document("f1", seed=51)])
    shop.snapshot(tmp_path / "copy")
    with Collection.open(tmp_path / "copy") as copy:
        check(copy, wanted)

    shop.rollback(second)
    check(shop, before)
    shop.rollback(first)
    check(shop, as_fields(START))
    assert shop.sync(START).unchanged == len(START)
    shop.compact()
    check(shop, as_fields(START))
    with reopened(shop) as again:
        check(again, as_fields(START))
        assert again.sync([{**one, "embedding": numbers(7)} for one in START]).fields == len(START) - 1
        again.flush()
        check(again, {name: {**own, "embedding": numbers(7)} for name, own in as_fields(START).items()})


def test_another_length_than_that_of_the_collection_is_refused(shop):
    generation = shop.generation
    message = r"document 'd1', field 'embedding': found \[1, 2\] \(2 values\), wanted a list of 6 numbers .*vector\(6\)"
    for change in (
        lambda: shop.upsert([{**START[1], "embedding": [1, 2]}]),
        lambda: shop.update({"d1": {"embedding": [1, 2]}}),
        lambda: shop.sync([*START[:1], {**START[1], "embedding": [1, 2]}]),
    ):
        with pytest.raises(InputError, match=message):
            change()
    assert shop.generation == generation


def test_a_source_with_vectors_of_two_lengths_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"document 'x', field 'embedding': .*wanted a list of 6 numbers"):
        create(tmp_path / "new", [*START, {"id": "x", "text": "a", "embedding": [1.5]}])
    assert not (tmp_path / "new").exists()


def test_a_length_is_known_from_the_first_vector_that_comes(tmp_path):
    with create(tmp_path / "shop", [document("a"), document("b")]) as shop:
        assert shop.fields["embedding"] == "vector"
        assert shop.searcher.generation.dense("embedding", np.arange(2)).values.shape == (2, 0)
        shop.update({"a": {"embedding": None}})
        shop.add([document("c")])
        shop.flush()
        shop.compact()
        shop.update({"b": {"embedding": np.ones(4, np.float32)}})
        assert shop.fields["embedding"] == "vector(4)"
        assert [found.fields.get("embedding") for found in shop] == [None, [1.0] * 4, None]
        with pytest.raises(InputError, match="wanted a list of 4 numbers"):
            shop.update({"a": {"embedding": [1, 2]}})
        shop.compact()
        assert shop.get("b").fields == {"embedding": [1.0] * 4}


def test_hits_leave_dense_vectors_out(shop):
    hits = shop.search("shoes", 20)
    assert {hit.id: dict(hit.fields) for hit in hits} == {f"d{at}": {"price": at} for at in range(12)}
    found = shop.searcher.generation.dense("embedding", np.array([hit.row for hit in hits]))
    assert found.there.tolist() == [int(hit.id[1:]) % 3 != 0 for hit in hits]


def test_filters_facets_and_sorts_refuse_dense_vectors(shop):
    assert shop.count("embedding exists") == 8
    for refused in (
        lambda: shop.count("embedding > 3"),
        lambda: shop.count("small contains 'a'"),
        lambda: shop.facets(["embedding"]),
    ):
        with pytest.raises(InputError, match="is stored only"):
            refused()
    with pytest.raises(InputError, match=r"is vector\(6\): hits are sorted by numbers"):
        shop.search("shoes", sort="embedding")
    with pytest.raises(InputError, match=r"group_by 'embedding', of type vector\(6\)"):
        shop.search("shoes", group_by="embedding")


def test_rows_and_fields_that_are_none_are_refused(shop):
    current = shop.searcher.generation
    for name, rows, message in (
        ("price", [0], "the field 'price' is integer: wanted a field of dense vectors"),
        ("colour", [0], "no field 'colour'"),
        ("embedding", [12], "rows 12 to 12: wanted 0 to 11"),
        ("embedding", [-1, 3], "rows -1 to 3"),
    ):
        with pytest.raises(InputError, match=message):
            current.dense(name, np.array(rows))
    assert current.dense("embedding", np.array([4, 1, 4])).values.tolist() == [numbers(4), numbers(1), numbers(4)]


def test_passages_have_the_vector_of_their_document(tmp_path):
    text = "One two three. " * 8
    given = [Document("a", "", text, {"embedding": np.arange(LENGTH)}), Document("b", "", "short", {})]
    with create(tmp_path / "shop", given, passages=6) as shop:
        current = shop.searcher.generation
        found = current.dense("embedding", np.arange(current.rows))
        assert found.there.sum() > 1
        assert (found.values[found.there] == np.arange(LENGTH)).all()
        assert shop.get("a").fields == {"embedding": [float(at) for at in range(LENGTH)]}
        shop.update({"a": {"embedding": numbers(5)}})
        assert shop.get("a").fields == {"embedding": numbers(5)}
        assert shop.search("two", 1)[0].fields == {}
