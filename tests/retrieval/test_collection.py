"""A collection from Python: documents of every kind, changes that are seen at once, and what is refused."""

import os
import random
import subprocess
import sys
import threading
from typing import Any

import pytest

import lsr
from lsr.corpus import Document, DocumentReader
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.errors import InputError, MismatchError, StorageError
from lsr.index.live import tiers
from lsr.index.live.snapshots import restore, verify
from lsr.retrieval import Changes, Collection
from tests.conftest import SAMPLE

SHOES = {"id": "1", "title": "Shoes", "text": "red shoes for running", "price": 20, "brand": "Korvo"}
HAT = {"id": "2", "title": "Hat", "text": "a blue hat of felt", "price": 12}
SCARF = {"id": "3", "title": "Scarf", "text": "a green scarf of wool", "price": 9, "brand": "Ando"}


@pytest.fixture
def shop(tmp_path):
    with Collection.create(tmp_path / "shop", [SHOES, HAT], "bm25") as found:
        yield found


def ids(collection):
    return sorted(document.id for document in collection)


def everything(collection):
    return {document.id: document for document in collection}


# Kinds of documents


def as_documents(module):
    texts: list[Any] = [[one[name] for name in ("id", "title", "text")] for one in (HAT, SCARF)]
    return [Document(a, b, c, {"price": one["price"]}) for (a, b, c), one in zip(texts, (HAT, SCARF), strict=True)]


def as_generator(module):
    return (one for one in (HAT, SCARF))


def as_pandas(module):
    return module.DataFrame([HAT, SCARF])


def as_polars(module):
    return module.DataFrame([HAT, SCARF])


def as_arrow(module):
    return module.Table.from_pylist([HAT, SCARF])


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("lsr", as_documents),
        ("lsr", as_generator),
        ("pyarrow", as_arrow),
        ("pandas", as_pandas),
        ("polars", as_polars),
    ],
)
def test_documents_come_as_objects_or_as_tables(shop, name, make):
    source = make(pytest.importorskip(name))
    changes = shop.upsert(source)
    assert (changes.added, changes.changed, changes.deleted) == (1, 0, 0)
    assert shop.get("3").title == "Scarf"
    assert shop.get("3").fields["price"] == 9
    assert [hit.id for hit in shop.search("scarf")] == ["3"]


def test_a_reader_of_files_is_a_source_and_its_faults_name_the_line(shop, tmp_path):
    file = tmp_path / "more.jsonl"
    file.write_text('{"id": "3", "text": "a green scarf"}\n')
    assert shop.add(DocumentReader([file])) == Changes(added=1)
    file.write_text('{"id": "4", "text": "a mug"}\n{"id": \n')
    with pytest.raises(InputError, match=r"more\.jsonl, line 2"):
        shop.add(DocumentReader([file]))


def test_given_vectors_are_searched_without_encoding(shop, monkeypatch):
    vectors = shop.searcher.encode("felt")
    monkeypatch.setattr(BM25Encoder, "encoded_with", None)
    assert shop.add([SCARF], vectors=vectors) == Changes(added=1)
    assert sorted(hit.id for hit in shop.search("felt")) == ["2", "3"]


@pytest.mark.parametrize("documents", [[], [SCARF, {**SCARF, "id": "4"}]])
def test_every_document_needs_one_vector(shop, documents):
    with pytest.raises(InputError, match=r"vectors: 1, documents: .*; give each document one vector"):
        shop.add(documents, vectors=shop.searcher.encode("felt"))
    assert ids(shop) == ["1", "2"]


@pytest.mark.parametrize("encoder", ["bm25", "default"])
def test_vectors_of_another_vocabulary_are_refused(tmp_path, encoder):
    with Collection.create(tmp_path / "shop", [SHOES], encoder) as found:
        wide = found.searcher.encode("shoes").widened(found.searcher.encoder.dim + 50)
        with pytest.raises(MismatchError, match="encode documents with the collection's own encoder"):
            found.add([HAT], vectors=wide)
        assert [hit.id for hit in found.search("shoes")] == ["1"]


# Changes


def test_a_change_is_seen_at_once(shop):
    assert shop.add([SCARF]) == Changes(added=1)
    assert [hit.id for hit in shop.search("scarf", filter="price < 10")] == ["3"]
    assert shop.update({"3": {"price": 11, "brand": None}}) == Changes(fields=1)
    assert shop.search("scarf", filter="price < 10") == []
    assert shop.get("3").fields == {"price": 11}
    assert "3" in shop
    assert shop.delete("3") == Changes(deleted=1)
    assert "3" not in shop
    assert shop.get("3") is None
    assert (len(shop), shop.count("price exists")) == (2, 2)


def test_documents_and_values_that_are_there_already_are_not_written(shop, monkeypatch):
    monkeypatch.setattr(BM25Encoder, "encoded_with", None)
    before = shop.generation
    assert shop.upsert([SHOES, HAT]) == Changes(unchanged=2)
    assert shop.update({"1": {"price": 20}, "2": {"brand": None}}) == Changes(unchanged=2)
    assert shop.sync([HAT, SHOES]) == Changes(unchanged=2)
    assert shop.delete(["nobody"]) == Changes()
    assert shop.generation == before


def test_changes_say_what_was_done():
    assert str(Changes(1200, 0, 3, 1, 0)) == "1,200 added, 3 updated, 1 deleted"
    assert str(Changes()) == "nothing changed"


def test_sync_tells_its_progress(shop):
    told: list[int] = []
    assert shop.sync([SHOES, SCARF], progress=told.append) == Changes(added=1, deleted=1, unchanged=1)
    assert told == [2]
    assert ids(shop) == ["1", "3"]


def test_other_processes_see_a_change(shop):
    with Collection.open(shop.folder, refresh=0) as other:
        assert other.count() == 2
        shop.add([SCARF])
        assert [hit.id for hit in other.search("scarf")] == ["3"]
        with pytest.raises(StorageError, match=r"another process is writing to .* \(pid \d+ on "):
            other.delete("3")
    code = f"import lsr; print(len(lsr.Collection.open({str(shop.folder)!r})))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert found.stdout == "3\n"


def test_words_that_other_processes_added_stay_apart(shop):
    def found(collection):
        return {word: sorted(hit.id for hit in collection.search(word)) for word in ("felt", "wool", "clay", "glass")}

    with Collection.open(shop.folder) as other:  # the first one to write after this
        with Collection.open(shop.folder) as one:
            one.add([SCARF])
        other.add([{"id": "4", "text": "a mug of clay"}])
        other.add([{"id": "5", "text": "a mug of glass"}])
        wanted = {"felt": ["2"], "wool": ["3"], "clay": ["4"], "glass": ["5"]}
        assert found(other) == wanted
        other.delete("4")
        other.compact()
        assert found(other) == wanted | {"clay": []}
    with Collection.open(shop.folder) as again:
        assert found(again) == wanted | {"clay": []}


def test_words_of_a_change_that_failed_leave_nothing(shop):
    with pytest.raises(InputError):
        shop.add([{"id": "6", "text": "violet umbrella"}, SHOES])
    shop.add([SCARF])
    assert [hit.id for hit in shop.search("wool")] == ["3"]
    assert shop.search("umbrella") == []


def test_a_searcher_stays_at_its_generation(shop):
    before, number = shop.searcher, shop.generation
    shop.delete("1")
    assert [hit.id for hit in before.search("shoes")] == ["1"]
    assert [hit.id for hit in shop.at(number).search("shoes")] == ["1"]
    assert shop.search("shoes") == []


def test_the_newest_documents_become_segments_in_the_background(shop, monkeypatch):
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 50)
    for first in range(0, 120, 40):
        shop.add([{"id": f"n{n}", "text": f"mug number {n}"} for n in range(first, first + 40)])
        assert len(shop.search("mug", k=200)) == first + 40
    shop.flush()
    contents = shop.store.contents
    assert not contents.state.batches
    assert len(shop.search("mug", k=200)) == 120
    verify(shop.folder)


# History and copies


def test_a_collection_opened_at_a_generation_stays_there(shop):
    first = shop.generation
    shop.delete("1")
    with Collection.open(shop.folder, generation=first) as past:
        shop.add([SCARF])
        assert (ids(past), past.generation) == (["1", "2"], first)
        assert [hit.id for hit in past.search("shoes")] == ["1"]
        with pytest.raises(InputError, match=f"opened at generation {first}, which stays"):
            past.delete("2")
    with pytest.raises(InputError, match="no generation 99"):
        Collection.open(shop.folder, generation=99)


def test_a_rollback_brings_back_documents_fields_and_vectors(shop):
    before, first = everything(shop), shop.generation
    hits = shop.search("red shoes")
    shop.sync([{**HAT, "text": "a blue cap"}, SCARF])
    shop.update({"2": {"price": 1}})
    changes = shop.rollback(first)
    assert (changes.added, changes.deleted) == (1, 1)
    assert everything(shop) == before
    assert [(hit.id, hit.score) for hit in shop.search("red shoes")] == [(hit.id, hit.score) for hit in hits]
    assert [info.verb for info in shop.history().values()] == ["index", "sync", "sync", "update", "rollback"]


def test_a_snapshot_is_one_generation_while_others_write(shop, tmp_path):
    stop, faults = threading.Event(), []

    def write():
        number = 0
        while not stop.is_set():
            try:
                shop.upsert([{"id": f"pair-{number % 7}-{side}", "text": f"sock {number}"} for side in "ab"])
            except lsr.LsrError as fault:
                faults.append(fault)
            number += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        for number in range(4):
            shop.snapshot(tmp_path / f"copy-{number}")
    finally:
        stop.set()
        thread.join()
    assert faults == []
    for number in range(4):
        verify(tmp_path / f"copy-{number}")
        with Collection.open(tmp_path / f"copy-{number}") as copy:
            texts = {document.id: document.text for document in copy if document.id.startswith("pair")}
            assert all(text == texts[f"{name[:-1]}{'ab'[name.endswith('a')]}"] for name, text in texts.items())


def test_a_snapshot_is_restored_and_lives_on_its_own(shop, tmp_path):
    shop.add([SCARF])
    shop.snapshot(tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "back")
    shop.compact()
    with Collection.open(tmp_path / "back") as back:
        assert everything(back) == everything(shop)
        assert [hit.id for hit in back.search("wool")] == ["3"]
        back.delete("3")
    assert "3" in shop
    for target in (shop.folder, tmp_path / "back"):
        with pytest.raises(StorageError, match="is there already, and not empty: name a new folder"):
            restore(tmp_path / "copy", target)
    assert "3" in shop


def test_compact_gives_weights_of_a_new_index(tmp_path):
    documents = list(DocumentReader([SAMPLE]))
    with Collection.create(tmp_path / "grown", documents[:40], "bm25") as grown:
        grown.add(documents[40:])
        grown.delete([document.id for document in documents[:10]])
        grown.compact()  # before any search: terms that came with the last documents stay
        found = {word: scores(grown, word) for word in ("water", "cholera", "sourdough")}
    with Collection.create(tmp_path / "new", documents[10:], "bm25") as new:
        assert found == {word: pytest.approx(scores(new, word), rel=1e-4) for word in found}


def scores(collection, query):
    return {hit.id: hit.score for hit in collection.search(query, k=300)}


# Refusals


def test_a_closed_collection_takes_no_change(shop):
    shop.close()
    shop.close()
    with pytest.raises(InputError, match="is closed: open it again"):
        shop.delete("1")


def test_its_text_says_what_a_collection_is(shop):
    assert repr(shop) == f"<Collection {str(shop.folder)!r}, 2 documents, encoder 'bm25'>"


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda c: c.add([SHOES]), "the id '1' is there already: use upsert to replace its document"),
        (lambda c: c.add([SCARF, SCARF]), "the id '3' was given twice"),
        (lambda c: c.add([{"id": "4"}]), "record 1: no text field: found the fields 'id', wanted 'text'"),
        (lambda c: c.add([SCARF, 5]), "record 2: found a int, wanted lsr.Document or a dict"),
        (lambda c: c.add("more.csv"), "the documents are 'more.csv': wanted several lsr.Document, or dicts"),
        (lambda c: c.upsert([{**SHOES, "price": "dear"}]), "document '1', field 'price': found 'dear', wanted a whole"),
        (lambda c: c.update({"9": {"price": 1}}), "no document with the id '9': add it first, or use upsert"),
        (lambda c: c.update({"1": {"price": "dear"}}), "index everything again with --field price:keyword"),
        (lambda c: c.update({"1": {"text": "boots"}}), "update of '1': 'text' is its id, title or text: use upsert"),
        (lambda c: c.update({"1": 3}), "update of '1': found 3, wanted fields, as {'id': {'price': 3}}"),
        (lambda c: c.update([("1", 3)]), "wanted fields, as {'id': {'price': 3}}"),
        (lambda c: c.delete(), "delete wants ids, or a filter: give one of them"),
        (lambda c: c.delete("1", filter="price < 3"), "delete wants ids, or a filter: give one of them"),
        (lambda c: c.delete(filter="colour = red"), "asks for the field 'colour': the index has brand: keyword"),
        (lambda c: c.search("hat", filter={"price": {"near": 1}}), "asks 'near' of 'price': wanted eq, lt, "),
        (lambda c: c.search("hat", sort="colour"), "no field 'colour': the index has brand, price"),
        (lambda c: c.facets(["colour"]), "no field 'colour': the index has brand, price"),
        (lambda c: c.sync([]), "the source is empty, and syncing to it would delete everything"),
        (lambda c: c.at(9), "no generation 9: .* keeps 1 to 1"),
        (lambda c: c.rollback(9), "no generation 9: .* keeps 1 to 1"),
    ],
)
def test_what_is_refused_changes_nothing_and_says_why(shop, call, match):
    before = shop.generation
    with pytest.raises(InputError, match=match.replace("{", r"\{").replace("(", r"\(")):
        call(shop)
    assert (shop.generation, ids(shop)) == (before, ["1", "2"])


def test_a_folder_without_a_collection_is_refused(tmp_path):
    with pytest.raises(StorageError, match=r"no such index: .*; make it with lsr index SOURCE --out "):
        Collection.open(tmp_path / "nothing")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(StorageError, match="holds no index"):
        Collection.open(tmp_path)
    with pytest.raises(StorageError, match="holds other files"):
        Collection.create(tmp_path, [SHOES], "bm25")


def test_a_collection_without_documents_is_one(tmp_path):
    with Collection.create(tmp_path / "c", [{"id": "a", "text": "red shoes"}], "bm25") as shop:
        assert shop.delete("a").deleted == 1
        assert (shop.search("red"), len(shop), list(shop)) == ([], 0, [])
        shop.compact()
        assert shop.search("red") == []
        assert shop.sync([{"id": "b", "text": "blue shoes"}]).added == 1
        assert [hit.id for hit in shop.search("shoes")] == ["b"]


WORDS = [f"word{number}" for number in range(99)]


def test_room_of_documents_that_became_a_segment_is_given_back(tmp_path):
    catalogue = tmp_path / "c" / "catalogue.db"
    with Collection.create(tmp_path / "c", [{"id": "a", "text": "red shoes"}], "bm25") as shop:
        before = catalogue.stat().st_size
        rng = random.Random(0)
        shop.add([{"id": str(i), "text": " ".join(rng.choices(WORDS, k=400))} for i in range(300)])
        shop.compact()
        assert catalogue.stat().st_size < before + 2**16


def test_a_process_that_was_forked_opens_a_collection_of_its_own(shop):
    shop.update({"1": {"price": 1}})
    child = os.fork()
    if child == 0:
        try:
            shop.upsert([{"id": "x", "text": "hat"}])
        except lsr.LsrError:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert shop.upsert([{"id": "p", "text": "hat"}]).added == 1


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_times_outside_of_the_calendar_are_refused(value, tmp_path):
    with Collection.create(tmp_path / "c", [{"id": "1", "text": "hat", "d": "2024-05-01"}], "bm25") as shop:
        with pytest.raises(InputError, match="a time in ISO 8601"):
            shop.update({"1": {"d": value}})
        assert [one.fields["d"][:4] for one in shop] == ["2024"]


def test_a_collection_that_is_closed_or_pinned_writes_nothing(tmp_path):
    with Collection.create(tmp_path / "c", [{"id": "1", "text": "hat"}], "bm25") as shop:
        shop.update({"1": {"n": 5}})
        with Collection.open(tmp_path / "c", generation=1) as pinned:
            for verb in (pinned.compact, pinned.flush):
                with pytest.raises(InputError, match="stays"):
                    verb()
    for verb in (shop.compact, shop.flush):
        with pytest.raises(InputError, match="is closed"):
            verb()


def test_integers_are_sorted_as_they_are(tmp_path):
    least, large = -(2**63), 2**53
    docs = [{"id": str(n), "text": "hat", "n": n} for n in (1, least, 5, large + 1, large)]
    with Collection.create(tmp_path / "c", docs, "bm25") as shop:
        shop.upsert([{"id": "none", "text": "hat"}])
        wanted = [str(n) for n in sorted((1, least, 5, large + 1, large))]
        assert [hit.id for hit in shop.search("hat", sort="n")] == [*wanted, "none"]
        assert [hit.id for hit in shop.search("hat", sort="-n")] == [*reversed(wanted), "none"]


def test_codes_that_end_like_numbers_are_keywords(tmp_path):
    with Collection.create(tmp_path / "c", [{"id": "1", "text": "hat", "code": "E12"}], "bm25") as shop:
        assert shop.fields == {"code": "keyword"}
        assert shop.count("code = E12") == 1
        with pytest.raises(InputError, match="holds keywords"):
            shop.count(f"code = {'1' * 5000}")


def test_a_time_that_no_calendar_has_is_refused(tmp_path):
    with (
        Collection.create(tmp_path / "c", [{"id": "1", "text": "hat", "d": "2024-05-01"}], "bm25") as shop,
        pytest.raises(InputError, match="wanted a time in the years"),
    ):
        shop.count("d > now-999999y")


def test_of_many_snapshots_to_one_folder_one_is_whole(shop, tmp_path):
    for number in range(12):
        done, refused = list[int](), list[lsr.LsrError]()

        def copy(at, number=number, done=done, refused=refused):
            try:
                shop.snapshot(tmp_path / f"copy-{number}")
                done.append(at)
            except lsr.LsrError as error:
                refused.append(error)

        threads = [threading.Thread(target=copy, args=(at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(done), len(refused)) == (1, 3)
        verify(tmp_path / f"copy-{number}")
