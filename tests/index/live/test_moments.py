"""What happens when another thread, a fault or a change comes at exactly the wrong moment?"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing

import pytest

import lsr
from lsr.encoders import load
from lsr.errors import InputError, StorageError
from lsr.index.live import opening, tiers
from lsr.index.live import store as stores
from lsr.retrieval.changing import sync as syncs
from tests.crash.conftest import scratch  # noqa: F401  a folder in memory

START = [{"id": f"d{at}", "text": f"red w{at}"} for at in range(6)]


@pytest.fixture
def shop(scratch, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 6)
    lsr.Collection.create(scratch / "shop", START, load("bm25:none")).close()
    with lsr.Collection.open(scratch / "shop", background=False) as collection:
        yield collection


def found(collection, word):
    return [hit.id for hit in collection.search(word, 9, exact=True)]


def test_new_terms_are_known_to_a_writer_that_never_searched(shop):
    for word in ("blue", "green", "black"):
        shop.add([{"id": word, "text": f"{word} hat"}])
    shop.compact()
    assert len(set(shop.searcher.encoder.terms)) == shop.searcher.generation.dim == 7 + 4
    assert [found(shop, word) for word in ("blue", "green", "black")] == [["blue"], ["green"], ["black"]]
    assert sorted(found(shop, "hat")) == ["black", "blue", "green"]


def test_a_search_that_was_begun_before_everything_was_compacted_knows_its_statistics(shop, monkeypatch):
    before = shop.store.current
    shop.add([{"id": "new", "text": "red"}])
    shop.compact()
    assert len(found(shop, "red")) == 7
    monkeypatch.setattr(type(shop), "_current", property(lambda _: before))
    assert shop.searcher.encoder.seen().documents == 6
    assert found(shop, "w3") == ["d3"]


def test_sync_deletes_no_others_when_segments_are_merged_meanwhile(shop, monkeypatch):
    shop.delete("d0")
    without, merging, before = syncs._without, [], shop.generation

    def chosen(generation, seen):
        rows = without(generation, seen)
        if generation.number > before:
            merging.append(threading.Thread(target=shop.compact))
            merging[-1].start()
            merging[-1].join(0.3)
        return rows

    monkeypatch.setattr(syncs, "_without", chosen)
    shop.sync([*START[3:5], {"id": "d5", "text": "blue"}])
    merging[0].join()
    assert sorted(one.id for one in shop) == ["d3", "d4", "d5"]


def test_a_change_that_could_not_be_opened_is_seen_by_the_next_one(shop, monkeypatch):
    real = opening.open_generation

    def failing(*arguments, **more):
        monkeypatch.setattr(stores, "open_generation", real)
        raise StorageError("the disk cannot be read")

    shop.flush()
    monkeypatch.setattr(stores, "open_generation", failing)
    with pytest.raises(StorageError, match="cannot be read"):
        shop.add([{"id": "new", "text": "blue"}])
    with pytest.raises(InputError, match="is there already"):
        shop.add([{"id": "new", "text": "blue"}])
    assert found(shop, "blue") == ["new"]


def test_a_reader_that_could_not_follow_tries_again(shop, monkeypatch):
    real = opening.open_generation
    with lsr.Collection.open(shop.folder, refresh=0.0) as reader:
        shop.add([{"id": "new", "text": "blue"}])

        def failing(*arguments, **more):
            raise StorageError("the disk cannot be read")

        monkeypatch.setattr(stores, "open_generation", failing)
        with pytest.raises(StorageError, match="cannot be read"):
            reader.search("red")
        monkeypatch.setattr(stores, "open_generation", real)
        assert found(reader, "blue") == ["new"]


def test_a_catalogue_without_records_is_damage(shop):
    shop.close()
    with closing(sqlite3.connect(shop.folder / "catalogue.db")) as database, database:
        database.execute("DELETE FROM records")
        database.execute("UPDATE digest SET value = zeroblob(16)")
    with pytest.raises(StorageError, match="is damaged"):
        lsr.Collection.open(shop.folder)


@pytest.mark.parametrize("encoder", ["bm25:none", "bm25"])
def test_a_reader_follows_into_a_collection_that_takes_the_place_of_its_own(shop, encoder):
    with lsr.Collection.open(shop.folder, refresh=0.0) as reader:
        assert found(reader, "w3") == ["d3"]
        shop.close()
        others = [{"id": f"e{at}", "text": f"w{at} cities"} for at in (5, 3, 1)]
        lsr.Collection.create(shop.folder, others, load(encoder)).close()
        assert [found(reader, word) for word in ("w5", "w3", "w1", "red")] == [["e5"], ["e3"], ["e1"], []]
        assert len(found(reader, "cities")) == 3
        reader.upsert([{"id": "new", "text": "blue w3"}])
        assert found(reader, "blue") == ["new"]
