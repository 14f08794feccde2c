"""Fields of text with weights: whatever is done to a collection, it is what a fresh one of its documents would be."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lsr
from lsr.corpus import Document, Fields
from lsr.corpus.text_parts import PARTS
from lsr.errors import InputError

WEIGHTED = Fields(text=["name", "description^0.3", "brand^2"], store="all")
DOCS: list[dict[str, Any]] = [
    {"id": "1", "title": "Shop", "name": "red shoe", "description": "a blue lace. With blue soles.", "price": 3},
    {"id": "2", "name": "blue hat", "description": "A red band. Red again.", "brand": "acme red"},
    {"id": "3", "description": "nothing blue in the name. But here: red."},
    {"id": "4", "name": "green scarf"},
]


def made(folder, documents=DOCS, fields=WEIGHTED, encoder="bm25:none", **options):
    lsr.index_documents(documents, encoder, folder, fields=fields, **options)
    return lsr.Collection.open(folder, background=False, durability="os")


def statistics(collection):
    """What BM25 has counted: documents, length, and documents by word."""
    encoder = collection.searcher.encoder
    seen = encoder.seen()
    frequency = dict(zip(encoder.terms, seen.frequency.tolist(), strict=False))
    return seen.documents, seen.length, {word: count for word, count in frequency.items() if count}


def vectors(collection):
    """Document vectors by id, a list for each passage, with names of terms."""
    terms, found = collection.searcher.encoder.terms, dict[str, list[Any]]()
    for documents, matrix in collection.searcher.generation.batches(100):
        for document, row in zip(documents, matrix.to_dicts(), strict=True):
            named = {terms[term]: pytest.approx(weight, rel=1e-6) for term, weight in row.items()}
            found.setdefault(document.id, []).append(named)
    return found


def test_the_heavier_field_wins(tmp_path):
    with made(tmp_path / "c") as collection:
        assert [hit.id for hit in collection.search("red")] == ["2", "1", "3"]
        assert [hit.id for hit in collection.search("blue")] == ["2", "1", "3"]
    with made(tmp_path / "d", fields=Fields(text=["name^0.01", "description", "brand^0.01"])) as collection:
        assert collection.search("red")[0].id == "2"
        assert [hit.id for hit in collection.search("blue")] == ["1", "3", "2"]


def test_parts_show_nowhere(tmp_path):
    with made(tmp_path / "c") as collection:
        own = {"price": 3}
        assert collection.get("1").fields == own
        assert next(iter(collection)).fields == own
        assert next(hit for hit in collection.search("red") if hit.id == "1").fields == own
        assert dict(collection.fields) == {"price": "integer"}
        assert PARTS in collection.store.current.fields
        with pytest.raises(InputError, match="stored"):
            collection.facets([PARTS])
        with pytest.raises(InputError, match=r"text.parts follows from the text, and cannot be changed"):
            collection.update({"1": {PARTS: [[3, 1]]}})


@pytest.mark.parametrize("encoder", ["bm25:none", "default"])
@pytest.mark.parametrize("passages", [None, (4, 1)])
def test_what_is_as_it_was_is_not_encoded_again(encoder, passages, tmp_path):
    with made(tmp_path / "c", encoder=encoder, passages=passages) as collection:
        before = collection.generation
        assert collection.upsert(DOCS) == collection.sync(DOCS)
        assert (collection.sync(DOCS).unchanged, collection.generation) == (4, before)
        assert collection.sync([{**DOCS[0], "price": 4}, *DOCS[1:]]).fields == 1


def test_other_weights_are_another_text(tmp_path):
    other = Fields(text=["name", "description^0.4", "brand^2"], store="all")
    with made(tmp_path / "c") as collection, made(tmp_path / "d", fields=other) as wanted:
        done = collection.sync([other.document(one) for one in DOCS])
        assert (done.changed, done.unchanged) == (3, 1)  # the last has only a name
        collection.compact()
        assert (statistics(collection), vectors(collection)) == (statistics(wanted), vectors(wanted))
        assert collection.sync(DOCS).changed == 3  # read as the collection was made


def test_the_same_text_in_other_fields_is_another_text(tmp_path):
    with made(tmp_path / "c") as collection:
        moved = {"id": "2", "name": "blue hat A", "description": "red band. Red again.", "brand": "acme red"}
        assert collection.upsert([moved]).changed == 1
        with made(tmp_path / "d", [DOCS[0], moved, *DOCS[2:]]) as fresh:
            assert statistics(collection) == statistics(fresh)


words = st.lists(st.sampled_from(["red", "blue", "hat.", "Shoe", "a"]), max_size=6).map(" ".join)
records = st.fixed_dictionaries({"name": words}, optional={"description": words, "brand": words, "title": words})
changes = st.lists(
    st.tuples(
        st.sampled_from(["upsert", "delete", "sync", "compact", "rollback", "flush"]),
        st.dictionaries(st.sampled_from("123456"), records, min_size=1, max_size=3),
    ),
    max_size=6,
)


@pytest.mark.parametrize("passages", [None, (3, 1)])
@settings(max_examples=25, deadline=None)
@given(changes=changes)
def test_any_changes_end_as_a_fresh_collection(passages, changes):
    with tempfile.TemporaryDirectory() as folder:
        root, state, past = Path(folder), {one["id"]: one for one in DOCS}, {}
        with made(root / "c", passages=passages) as collection:
            past[collection.generation] = state
            for verb, given_records in changes:
                state = changed(collection, verb, state, given_records, past)
                past[collection.generation] = state
            if not state:
                return
            with made(root / "d", state.values(), passages=passages) as fresh:
                assert statistics(collection) == statistics(fresh)
                collection.compact()
                assert vectors(collection) == vectors(fresh)
                assert collection.sync(state.values()).unchanged == len(state)


def changed(collection, verb, state, given_records, past):
    """Change a collection; its documents from then on."""
    source = {name: {"id": name, **record} for name, record in given_records.items()}
    if verb == "upsert":
        collection.upsert(source.values())
        return state | source
    if verb == "delete":
        collection.delete([*source])
        return {name: one for name, one in state.items() if name not in source}
    if verb == "sync":
        collection.sync(source.values())
        return source
    if verb == "rollback":
        number = min(past.keys() & collection.history().keys())
        collection.rollback(number)
        return past[number]
    (collection.compact if verb == "compact" else collection.flush)()
    return state


def test_documents_may_bring_their_parts(tmp_path):
    documents = [WEIGHTED.document(one) for one in DOCS]
    with made(tmp_path / "c") as one, made(tmp_path / "d", documents, fields=None) as other:
        assert vectors(one) == vectors(other)
        with pytest.raises(InputError, match=r"document 1: the field text.parts is .*: wanted for each part"):
            other.upsert([Document("9", "", "red", {PARTS: [[9, 2]]})])


def test_passages_are_weighed_as_the_characters_in_them(tmp_path):
    with made(tmp_path / "c", passages=(4, 0)) as collection:
        generation = collection.store.current
        rows = [generation.document(row) for row in generation.rows_of(["1"])[0]]
        assert [(row.text, row.fields[PARTS]) for row in rows] == [
            ("red shoe a blue ", [[8, 1.0], [16, 307 / 1024]]),
            ("lace. With blue soles.", [[22, 307 / 1024]]),
        ]
        assert collection.get("1").text == "red shoe a blue lace. With blue soles."
