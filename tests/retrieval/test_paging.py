"""Pages have no hit twice and leave none out, whatever changes between them."""

from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsr
from lsr.errors import InputError
from lsr.retrieval.paging import read


def document(number, price=None):
    text = "red " * (number % 4 + 1) + "blue " * (number % 3)
    return {"id": f"d{number}", "text": text, "price": number % 5 if price is None else price}


@pytest.fixture
def collection(tmp_path):
    with lsr.Collection.create(tmp_path / "c", map(document, range(40)), "bm25") as made:
        yield made


def pages(collection, k, between=lambda number: None, **options):
    cursor, found = None, []
    while True:
        hits, cursor = collection.page("red", k, cursor=cursor, **options)
        found.append([hit.id for hit in hits])
        if cursor is None:
            return found
        assert len(hits) == k
        between(len(found))


@pytest.mark.parametrize("sort", [None, "price", "-price"])
@pytest.mark.parametrize("k", [1, 7, 10, 40, 100])
def test_pages_are_the_hits(collection, k, sort):
    found = pages(collection, k, exact=True, sort=sort) if sort is None else pages(collection, k, sort=sort)
    options = {"exact": True} if sort is None else {"sort": sort}
    whole = [hit.id for hit in collection.search("red", 100, **options)]
    assert sorted(chain(*found)) == sorted(whole)
    if k >= 40:
        assert found == [whole]


@pytest.mark.parametrize("sort", [None, "price", "-price"])
def test_pages_last_over_changes(collection, sort):
    """Documents that come, go and change their place between pages change nothing for those that stay."""

    def between(number):
        collection.update({f"d{i}": {"colour": "red"} for i in range(number, 40, 9)})
        collection.compact() if number == 2 else collection.flush()

    options = {"exact": True} if sort is None else {"sort": sort}
    found = [*chain(*pages(collection, 7, between, **options))]
    assert len(found) == len(set(found)) == 40


def test_new_documents_before_the_cursor_move_nothing(tmp_path):
    docs = [{"id": f"d{i}", "text": "red", "price": i} for i in range(30)]
    with lsr.Collection.create(tmp_path / "c", docs, "bm25") as made:
        new = iter(range(1000))

        def between(_):
            made.add([{"id": f"n{next(new)}", "text": "red", "price": 0} for _ in range(20)])
            made.delete("d1")

        found = [*chain(*pages(made, 8, between, sort="price"))]
    assert [name for name in found if name.startswith("d")] == [f"d{i}" for i in range(30)]
    assert len(found) == len(set(found))


OTHERS = [("blue", {}), ("red", {"filter": "price < 3"}), ("red", {"sort": "price"}), ("red", {"group_by": "price"})]


@pytest.mark.parametrize(("query", "options"), OTHERS)
def test_the_cursor_of_another_query_is_refused(query, options, collection):
    cursor = collection.page("red", 5).cursor
    with pytest.raises(InputError, match="of another query"):
        collection.page(query, 5, cursor=cursor, **options)


@given(st.text() | st.binary().map(lambda b: b.hex()))
def test_what_is_no_cursor_is_refused(text):
    with pytest.raises(InputError, match="the cursor is"):
        read(text, b"")


def test_groups_have_pages(collection):
    found = pages(collection, 2, exact=True, group_by="price")
    assert [len(page) for page in found] == [2, 2, 1]
