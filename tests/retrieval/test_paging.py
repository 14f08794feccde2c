"""Pages have no hit twice and leave none out, whatever changes between them."""

import contextlib
import random
from itertools import chain

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lsr
from lsr.errors import InputError
from lsr.retrieval.paging import question_of, read


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


@pytest.mark.parametrize("sort", ["d", "-d"])
def test_times_with_fractions_have_pages(tmp_path, sort):
    times = ["2024-05-01T12:00:00Z", "2024-05-01T12:00:00.5Z", "2024-05-01T12:00:01Z"]
    docs = [{"id": f"d{i}", "text": "red", "d": times[i % 3]} for i in range(20)]
    with lsr.Collection.create(tmp_path / "c", docs, "bm25") as made:
        found = [*chain(*pages(made, 2, sort=sort))]
        assert sorted(found) == sorted(f"d{i}" for i in range(20))


@pytest.mark.parametrize("encoder", ["bm25", "default"])
def test_no_hit_comes_twice_or_is_left_out_when_statistics_change(tmp_path, encoder):
    chosen = random.Random(16)

    def rows(n, first=0):
        words = ["hat", "red", "rain", "sun"]
        return [
            {"id": str(first + i), "text": " ".join(chosen.choices(words, k=chosen.randint(1, 9)))} for i in range(n)
        ]

    with lsr.Collection.create(tmp_path / "c", [*rows(8), {"id": "last", "text": "red"}], encoder) as made:
        wanted = {hit.id for hit in made.search("red", 99)}
        found = [*chain(*pages(made, 2, lambda number: made.upsert(rows(3, 100 * number)) if number < 5 else None))]
        assert len(found) == len(set(found))
        assert wanted <= set(found)


def test_many_equal_scores_have_pages(tmp_path):
    docs = [{"id": f"product-{i:06}", "text": "red"} for i in range(7000)]
    with lsr.Collection.create(tmp_path / "c", docs, "bm25") as made:
        assert len({*chain(*pages(made, 1000))}) == 7000


def test_a_cursor_that_was_changed_is_refused(collection):
    cursor = read(collection.page("red", 5, sort="price").cursor, collection_question(collection))
    for changed in ({"ids": b""}, {"ids": b"1"}, {"seen": 2**64 - 1}, {"seen": -5}, {"value": "text"}):
        text = msgspec.structs.replace(cursor, **changed).text
        with contextlib.suppress(InputError):
            collection.page("red", 5, cursor=text, sort="price")


def collection_question(collection):
    return question_of(collection.searcher.encode("red"), None, "price", None)
