"""Passages are indexed, documents are answered: under every verb the collection is one of whole documents."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr
from lsr.corpus.passages import passages_of
from lsr.errors import InputError

WORDS = [f"w{number}" for number in range(40)]


def text_of(sentences, seed):
    chosen = random.Random(seed)
    return " ".join(" ".join(chosen.choices(WORDS, k=6)).capitalize() + "." for _ in range(sentences))


def source(number=40):
    return [
        {"id": f"d{i}", "title": f"T{i}", "text": text_of(i % 9 + 1, i), "price": i % 7, "brand": "abc"[i % 3]}
        for i in range(number)
    ]


def read(collection):
    return {found.id: {"title": found.title, "text": found.text, **found.fields} for found in collection}


def wanted(documents):
    return {one["id"]: {key: value for key, value in one.items() if key != "id"} for one in documents}


@pytest.fixture
def collection(tmp_path):
    with lsr.Collection.create(tmp_path / "c", source(), "bm25", passages=(12, 3)) as made:
        yield made


def test_documents_are_whole(collection):
    assert len(collection) == 40
    assert collection.store.current.rows == sum(len(passages_of(one["text"], 12, 3)) for one in source())
    assert read(collection) == wanted(source())
    assert collection.get("d8").text == source()[8]["text"]
    assert collection.history()[1].counts == {"added": 40}


def test_counts_and_facets_are_of_documents(collection):
    assert collection.count("price < 3") == sum(one["price"] < 3 for one in source())
    (brands,) = collection.facets(["brand"])
    assert dict(brands.counts) == {"a": 14, "b": 13, "c": 13}
    found = collection.searcher.found("w3")
    (brands,) = collection.searcher.generation.facets(["brand"], found)
    assert sum(count for _, count in brands.counts) == sum("w3" in one["text"].lower().split() for one in source()) or 1


def test_a_hit_is_the_best_passage_with_all_that_were_found(collection):
    hits = collection.search("w3 w5", 20, exact=True)
    assert len({hit.id for hit in hits}) == len(hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    for hit in hits:
        whole = collection.get(hit.id)
        best = hit.passages[0]
        assert whole.text[best.start : best.end] == hit.text
        assert (best.row, best.score) == (hit.row, hit.score)
        assert [one.score for one in hit.passages] == sorted((one.score for one in hit.passages), reverse=True)
        assert hit.fields == whole.fields
        assert collection.searcher.snippet("w3 w5", hit).text in hit.text


def test_documents_score_as_their_best_passage(collection):
    scores: dict[str, float] = {}
    generation = collection.searcher.generation
    for row, score in enumerate(generation.scores(collection.searcher.encode("w3 w5 w7")).tolist()):
        name = generation.document_id(row)
        scores[name] = max(scores.get(name, 0), score)
    found = {hit.id: hit.score for hit in collection.search("w3 w5 w7", 40, exact=True)}
    assert found == {name: score for name, score in scores.items() if score > 0}
    ranked = collection.searcher.rank(["w3 w5 w7", "w1"], 40, exact=True)
    assert dict(ranked[0]) == found
    assert len({name for name, _ in ranked[1]}) == len(ranked[1])


def test_unchanged_documents_stay_and_changed_ones_are_replaced(collection):
    rows = collection.store.current.rows
    changed = source()
    assert collection.sync(changed).unchanged == 40
    changed[3]["price"] = 99
    changed[8]["text"] = "Short now."
    changed[5]["text"] += " One more sentence at the end of it all, which makes another passage of several words."
    del changed[20]
    for dry_run in (True, False):
        done = collection.sync(changed, dry_run=dry_run)
        assert done == lsr.retrieval.Changes(0, 2, 1, 1, 36)
    assert read(collection) == wanted(changed)
    assert collection.count("price = 99") == 1
    collection.compact()
    assert read(collection) == wanted(changed)
    assert collection.store.current.rows != rows


def test_fields_of_all_passages_change(collection):
    assert collection.update({"d8": {"price": 55}, "d7": {"brand": None}}).fields == 2
    assert collection.get("d8").fields == {"price": 55, "brand": "c"}
    assert collection.get("d7").fields == {"price": 0}
    assert collection.count("price = 55") == 1
    assert all(hit.fields["price"] == 55 for hit in collection.search("w1 w2 w3 w4 w5", 40, filter="price = 55"))
    with pytest.raises(InputError, match="follows from the text"):
        collection.update({"d8": {"passage.number": 3}})


def test_deleting_takes_all_passages(collection):
    assert collection.delete("d8").deleted == 1
    assert collection.get("d8") is None
    assert collection.delete(filter="passage.number = 2 and brand = a").deleted > 0
    left = read(collection)
    assert "d8" not in left
    assert all(own["brand"] != "a" or len(passages_of(own["text"], 12, 3)) == 1 for own in left.values())
    collection.rollback(1)
    assert read(collection) == wanted(source())


def test_an_id_twice_is_refused(tmp_path):
    twice = [*source(3), source(1)[0]]
    with pytest.raises(InputError, match="'d0' was given before"):
        lsr.Collection.create(tmp_path / "c", twice, "bm25", passages=5)


def test_vectors_of_whole_documents_are_refused(collection):
    with pytest.raises(InputError, match="collection of passages"):
        collection.upsert(source(1), collection.searcher.encode("w1"))


@pytest.mark.parametrize("wrong", [0, -3, (5, 5), (5, -1)])
def test_numbers_that_do_not_fit(wrong, tmp_path):
    with pytest.raises(InputError, match="found passages of"):
        lsr.Collection.create(tmp_path / "c", source(3), "bm25", passages=wrong)


def test_groups_give_their_best(collection):
    hits = collection.search("w3 w5", 10, exact=True, group_by="brand")
    best: dict[str, str] = {}
    for hit in collection.search("w3 w5", 40, exact=True):
        best.setdefault(hit.fields["brand"], hit.id)
    assert [hit.id for hit in hits] == [*best.values()]
    for wrong, what in (("colour", "unknown field"), ("title", "unknown field")):
        with pytest.raises(InputError, match=what):
            collection.search("w3", group_by=wrong)


@given(st.lists(st.tuples(st.integers(0, 8), st.sampled_from("abcd") | st.none()), min_size=1, max_size=30), st.data())
@settings(max_examples=30, deadline=None)
def test_groups_are_those_of_a_dictionary(tmp_path_factory, documents, data):
    given_ = [
        {"id": str(i), "text": "x " * words + "y", **({"brand": brand} if brand else {"other": 1})}
        for i, (words, brand) in enumerate(documents)
    ]
    k = data.draw(st.integers(1, 6))
    with lsr.Collection.create(tmp_path_factory.mktemp("g") / "c", given_, "bm25") as made:
        if "brand" not in made.fields:
            return
        everything = made.search("x y", 100, exact=True)
        seen, best = set(), []
        for hit in everything:
            group = hit.fields.get("brand", hit.id)
            if group not in seen:
                seen.add(group)
                best.append(hit.id)
        assert [hit.id for hit in made.search("x y", k, exact=True, group_by="brand")] == best[:k]
        assert [hit.id for hit in made.search("x y", k, exact=True, group_by="brand", offset=2)] == best[2 : 2 + k]
