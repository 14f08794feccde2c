"""Folders that earlier versions wrote are opened by this one, and by every later one; see format_3.py."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import msgspec
import pytest
from typer.testing import CliRunner

from lsr.cli.app import app
from lsr.encoders import load
from lsr.errors import InputError, MismatchError, StorageError
from lsr.index import IndexSettings, Store
from lsr.index.live.facts import facts_of
from lsr.index.live.snapshots import restore, verify
from lsr.index.storage import format_2
from lsr.retrieval import Collection, Searcher, index_documents, tune
from tests.conftest import NOBODY, generation_of
from tests.index import catalogues, format_3

HERE = Path(__file__).parent
FORMAT_2, FORMAT_3 = HERE / "format-2", HERE / "format-3"
BEES = [("honey", 1.3735015), ("flower", 0.31524634)]


def tree(folder):
    """Content and time of all files."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def near(hits):
    return [(hit.id, pytest.approx(hit.score, rel=1e-5)) for hit in hits]


@pytest.fixture(params=["windowed", "seismic"])
def old(request, tmp_path):
    """A copy of an index of format 2, as its first version wrote it."""
    return shutil.copytree(FORMAT_2 / request.param, tmp_path / "index")


def test_format_2_is_searched_and_verified_as_it_is(old):
    before = tree(old)
    searcher = Searcher.open(old)
    for exact in (False, True):
        hits = searcher.search("where do bees dance", 3, exact)
        assert near(hits) == BEES
        assert hits[0].text == "Bees dance to tell other bees where flowers are."
    assert verify(old).live_documents == facts_of(old).documents == 3
    assert facts_of(old).format == 2
    with Collection.open(old) as collection:
        assert [document.title for document in collection] == ["Bees", "", "Pollen"]
        assert [(info.verb, info.counts) for info in collection.history().values()] == [("index", {"added": 3})]
        with pytest.raises(StorageError, match=r"is an index of format 2: run lsr upgrade"):
            collection.snapshot(old.parent / "snapshot")
    assert tree(old) == before


def test_format_2_is_opened_with_its_own_encoder_and_no_other(old):
    own = load(old / "generation-000001" / "encoder")
    assert near(Searcher.open(old, own).search("where do bees dance")) == BEES
    with pytest.raises(MismatchError, match=r"was indexed with bm25 \(bm25-97f84.*the encoder given is bm25-"):
        Searcher.open(old, load("bm25"))


def upgrade(folder):
    for said in ("has format 3 now", "had format 3 already"):
        found = CliRunner().invoke(app, ["upgrade", str(folder)])
        assert (found.exit_code, found.output) == (0, f"{folder} {said}\n")


def add(folder):
    with Collection.open(folder) as collection:
        assert collection.add([{"id": "new", "text": "A comet."}]).added == 1


def delete(folder):
    with Collection.open(folder) as collection:
        assert collection.delete(["moon"]).deleted == 0
        assert collection.delete(["flower"]).deleted == 1


def update(folder):
    with Collection.open(folder) as collection:
        assert collection.update({"honey": {"price": 3}}).fields == 1
        assert [hit.id for hit in collection.search("bees", filter="price = 3")] == ["honey"]


def measure(folder):
    tune(Searcher.open(folder), 0.9, ["bees", "flowers", "dance", "pollen"] * 6)


@pytest.mark.parametrize("verb", [upgrade, add, delete, update, measure])
def test_every_change_makes_format_2_a_collection(old, verb):
    reader = Collection.open(old, refresh=0.0)
    verb(old)
    assert {path.name for path in old.iterdir()} == {"catalogue.db", "segments", "encoders", ".lock"} | {
        path.name
        for path in old.glob("catalogue.db-*")  # of the reader
    }
    assert verify(old)
    assert facts_of(old).format == 3
    first, *rest = [info.verb for info in generation_and_history(old)]
    assert first == "index"
    assert rest == ([] if verb is upgrade else ["tune" if verb is measure else verb.__name__])
    for collection in (reader, Collection.open(old)):
        hits = collection.search("where do bees dance", exact=True)
        assert hits[0].id == "honey"
        if verb in (upgrade, update, measure):
            assert near(hits) == BEES
        if verb is add:
            assert collection.search("comet")[0].id == "new"
        if verb is delete:
            assert "flower" not in collection
        collection.close()


def generation_and_history(folder):
    with Store(folder) as store:
        return [*store.history().values()]


def test_what_format_2_has_counted_counts_on(old):
    """Scores are those of an index of the same documents, whatever was added when."""
    texts = {document.id: document for document in Collection.open(old)}
    more = [{"id": f"n{i}", "text": f"A comet dances, number{i}."} for i in range(4)]
    with Collection.open(old, background=False) as collection:
        collection.add(more)
        collection.delete(["flower"])
        collection.compact()
        left = [document for name, document in texts.items() if name != "flower"]
        with Collection.create(old.parent / "anew", [*left, *more], "bm25") as anew:
            for words in ("bees dance", "comet", "number2"):
                found, wanted = (one.search(words, 9, exact=True) for one in (collection, anew))
                assert {hit.id: pytest.approx(hit.score, rel=1e-5) for hit in found} == {h.id: h.score for h in wanted}
    assert near(Searcher.open(old).search("comet number2", 1)) == [("n2", pytest.approx(wanted_score(old), rel=1e-5))]


def wanted_score(folder):
    with Collection.open(folder) as collection:
        return collection.search("comet number2", 1)[0].score


def test_format_2_is_replaced_by_indexing(old):
    index_documents([{"id": "x", "text": "bees"}], "bm25", old)
    assert [hit.id for hit in Searcher.open(old).search("bees")] == ["x"]
    assert {path.name for path in old.iterdir()} == {"catalogue.db", "segments", "encoders", ".lock"}
    assert generation_of(old).number == 2


def test_format_2_is_kept_until_what_replaces_it_is_done(old):
    before = tree(old)
    with pytest.raises(InputError, match="given before"):
        index_documents([{"id": "x", "text": "a b"}] * 2, "bm25", old)
    assert {name: content for name, content in tree(old).items() if name != ".lock"} == before
    assert near(Searcher.open(old).search("where do bees dance")) == BEES


@pytest.mark.parametrize("step", ["create", "remove", "mark", "half removed"])
def test_an_upgrade_that_is_stopped_is_finished_by_the_next_change(old, monkeypatch, step):
    def stop(*_, **__):
        raise KeyboardInterrupt

    place = {
        "create": "lsr.index.storage.catalogue.create",
        "remove": "lsr.index.storage.format_2.remove",
        "mark": "lsr.index.storage.format_2._mark",
        "half removed": "lsr.index.storage.format_2.shutil",
    }[step]
    monkeypatch.setattr(place, SimpleNamespace(rmtree=stop) if step == "half removed" else stop)
    with pytest.raises(KeyboardInterrupt), Store(old) as store, store.changing():
        pass
    monkeypatch.undo()
    assert near(Searcher.open(old).search("where do bees dance")) == BEES
    add(old)
    assert {path.name for path in old.iterdir()} == {"catalogue.db", "segments", "encoders", ".lock"}
    assert len(list((old / "segments").iterdir())) == 1
    assert [hit.id for hit in Searcher.open(old).search("bees comet", 9)] == ["new", "honey", "flower"]


def manifest_with(**changes):
    def change(folder):
        manifest = msgspec.json.decode((folder / "manifest.json").read_bytes())
        for name, value in changes.items():
            manifest[name] = value(manifest[name]) if callable(value) else value
        (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))

    return change


def as_content(content):
    return lambda folder: (folder / "manifest.json").write_bytes(content)


def without(name):
    return lambda folder: next(folder.rglob(name)).unlink()


def cut(name):
    def change(folder):
        path = next(folder.rglob(name))
        path.write_bytes(path.read_bytes()[:-8])

    return change


FILE = {"bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (as_content(b""), "is damaged"),
        (as_content(b"{"), "is damaged"),
        (as_content(b"\xff\xfe{}"), "is damaged"),
        (as_content(b'{"format": "lsr-index", "version": 2'), "is damaged"),
        (as_content(b'{"format": "lsr-index", "version": 2}'), "is damaged"),
        (as_content(b'{"format": "lsr-index", "version": 2, "x": ' + b"[" * 10**5), "is damaged"),
        (as_content(b" " * (2**26 + 1)), "is larger than any manifest"),
        (as_content(b"[]"), "is not the manifest of an lsr index"),
        (manifest_with(format="lucene"), "is not the manifest of an lsr index"),
        (manifest_with(version=99), "has index format 99, this lsr reads formats 2 and 3: index the documents again"),
        (manifest_with(encoder_folder="/etc"), "names '/etc', which is not inside"),
        (manifest_with(encoder_folder="../other"), r"names '\.\./other', which is not inside"),
        (manifest_with(files=lambda files: {**files, "../x": FILE}), r"names '\.\./x'"),
        (manifest_with(segments=lambda s: [{**s[0], "folder": "/x"}]), "names '/x', which is not inside"),
        (manifest_with(segments=[]), "0 segments"),
        (manifest_with(segments=lambda s: [*s, *s]), "2 segments"),
        (manifest_with(segments=lambda s: [{**s[0], "documents": 2}]), "not what the index says"),
        (manifest_with(segments=lambda s: [{**s[0], "documents": -1}]), "not what the index says"),
        (manifest_with(encoder=lambda e: {**e, "dim": 2**40}), "is damaged"),
        (manifest_with(encoder=lambda e: {**e, "dim": 0}), "is damaged"),
        (manifest_with(fields={"n": "paint"}), "is damaged"),
        (manifest_with(settings={"colour": "red"}), "unreadable settings"),
        (manifest_with(settings={"engine": "windowed", "cut": "much"}), "unreadable settings"),
        (without("documents.arrow"), "documents.arrow is missing"),
        (without("vectors.terms.npy"), "vectors.terms.npy is missing"),
        (without("vocabulary.txt"), "vocabulary.txt is missing"),
        (without("manifest.json"), "holds no index|half-written"),
        (cut("documents.arrow"), "documents.arrow has .* bytes, wanted"),
        (cut("bm25.json"), "bm25.json has .* bytes, wanted"),
    ],
)
def test_damage_of_format_2_is_said_in_one_line(old, change, message):
    change(old)
    before = tree(old)
    for ask in (Searcher.open, Collection.open, verify, lambda folder: restore(folder, old.parent / "new")):
        with pytest.raises(StorageError, match=message) as found:
            ask(old)
        assert "\n" not in str(found.value)
    with pytest.raises(StorageError), Store(old) as store, store.changing():
        Searcher.open(old)
    assert {path: content for path, content in tree(old).items() if path in before} == before


def test_a_flipped_byte_of_format_2_is_found_by_check(old):
    for name in ("documents.arrow", "vocabulary.txt"):
        path = next(old.rglob(name))
        kept = path.read_bytes()
        path.write_bytes(kept[:-2] + bytes([kept[-2] ^ 1]) + kept[-1:])
        with pytest.raises(StorageError, match=rf"{name} is damaged \(its checksum differs"):
            verify(old)
        path.write_bytes(kept)


def test_what_others_put_beside_format_2_stays(old):
    shutil.copytree(old / "generation-000001", old / "generation-000001.bak")
    shutil.copytree(old / "generation-000001", old / "generation-000009")  # without the mark of a generation
    (old / "notes.txt").write_text("mine")
    (old / "segments").mkdir()
    (old / "segments" / "mine.txt").write_text("mine")
    kept = {name: content for name, content in tree(old).items() if not name.startswith(("generation-000001/", "man"))}
    add(old)
    assert kept.items() <= tree(old).items()
    assert not (old / "manifest.json").exists()
    assert not (old / "generation-000001").exists()


@pytest.fixture
def kept(tmp_path):
    """A copy of the folder of format 3 that is kept."""
    return shutil.copytree(FORMAT_3, tmp_path / "index")


def scores(*pairs):
    return [(name, pytest.approx(score, rel=1e-5)) for name, score in pairs]


FOUND = {
    "lathe": scores(("a03", 0.98202676), ("b3", 0.7444769), ("a04", 0.7296286), ("a05", 0.7296286)),
    "pump copper": scores(
        ("c0", 1.8477805), ("a03", 1.0826771), ("b0", 0.6367114), ("b2", 0.6367114), ("b3", 0.6367114)
    ),
    "steel gear": scores(
        ("a10", 1.2397474), ("a00", 1.013311), ("a11", 1.013311), ("c1", 0.7373906), ("a01", 0.2836824)
    ),
    "turbine": scores(("c1", 1.7256296)),
    "castle": [],
}
FILTERED = {
    "price < 20": ["a00", "a01", "a02", "a03"],
    'kind = "tool"': ["a00", "a06", "a09", "a03"],
    "made > 2019-01-01": ["a09", "a10", "a11"],
    "stocked = true and rating >= 1": ["a04", "a06", "a08", "a10"],
    "colour = red": ["c0"],
    'tags in ["water"]': ["b2"],
    "size.width = 5": ["a05"],
    "price = 999 and not kind exists": ["a05"],
}
ALL = "a00 a01 a02 a04 a05 a06 a08 a09 a10 a11 b0 b2 b3 b4 c0 c1 a03".split()
PAST = {
    1: ["a03", "a04", "a05"],
    2: ["b3", "a03", "a04", "a05", "b0", "b1", "b2", "b4"],
    3: ["b3", "a03", "b0", "b2", "b4", "a04", "a05"],
    4: ["b3", "a03", "b0", "b2", "b4", "a04", "a05"],
    5: ["a03", "c0", "b3", "a04", "a05", "b0", "b2", "b4"],
}
HISTORY = {
    1: ("index", {"added": 12}),
    2: ("add", {"added": 5}),
    3: ("delete", {"deleted": 2}),
    4: ("update", {"fields": 2}),
    5: ("upsert", {"added": 2, "changed": 1}),
}
TYPES = {
    "price": "integer",
    "rating": "float",
    "kind": "keyword",
    "tags": "keywords",
    "made": "datetime",
    "stocked": "boolean",
    "size.width": "integer",
    "colour": "keyword",
}


def check_kept(collection):
    """Everything that stands in format_3.py."""
    for words, found in FOUND.items():
        for options in ({}, {"exact": True}):
            assert [(hit.id, hit.score) for hit in collection.search(words, 5, **options)] == found
    for filter_, names in FILTERED.items():
        assert [document.id for document in collection if document.id in matching(collection, filter_)] == names
        assert collection.count(filter_) == len(names)
    assert [hit.id for hit in collection.search("steel pump", 4, sort="-price")] == ["a05", "c0", "b4", "b3"]
    assert collection.facets(["kind"])[0].counts == [("machine", 8), ("tool", 4), ("part", 3)]
    assert dict(collection.fields) == TYPES
    assert [document.id for document in collection] == ALL
    assert {n: (info.verb, dict(info.counts)) for n, info in collection.history().items()} == HISTORY
    for number, found in PAST.items():
        assert [hit.id for hit in collection.at(number).search("copper lathe pump", 9)] == found
    documents = {name: collection.get(name) for name in ("a03", "a05", "b2", "c0", "a07")}
    assert documents["a03"][1:] == ("Lathe", "This lathe now cuts copper.", {"price": 16, "kind": "tool"})
    assert documents["a05"].fields == {
        "rating": 1.25,
        "price": 999,
        "tags": ["machine", "gasket"],
        "made": "2015-03-01T00:00:00Z",
        "stocked": False,
        "size.width": 5,
    }
    assert documents["b2"].fields == {"price": 102, "kind": "machine", "tags": ["water"]}
    assert documents["c0"].fields == {"price": 300, "colour": "red"}
    assert documents["a07"] is None


def matching(collection, filter_):
    generation = collection.store.current
    return {generation.document_id(row) for row in generation.matching(filter_).rows.tolist()}


def test_format_3_holds_what_was_written(kept):
    assert sum(path.stat().st_size for path in FORMAT_3.rglob("*") if path.is_file()) < 100_000
    before = tree(kept)
    with Collection.open(kept) as collection:
        check_kept(collection)
    assert verify(kept).live_documents == len(ALL)
    facts = facts_of(kept)
    assert (facts.format, facts.documents, facts.segments, facts.recent, facts.generation) == (3, 17, 2, 3, 5)
    assert near(Searcher.open(kept, load("bm25")).search("lathe")) == FOUND["lathe"]
    assert tree(kept) == before  # readers write nothing


def test_format_3_is_read_where_nothing_can_be_written():
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(shutil.copytree(FORMAT_3, Path(place, "index")))
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        before = tree(folder)
        if root := os.geteuid() == 0:
            os.seteuid(NOBODY)
        try:
            with Collection.open(folder) as collection:
                check_kept(collection)
                with pytest.raises(StorageError, match=r"(?i)permission"):
                    collection.delete(["a00"])
            assert verify(folder).newest == 5
        finally:
            if root:
                os.seteuid(0)
            folder.chmod(0o755)
            for path in folder.rglob("*"):
                path.chmod(0o755 if path.is_dir() else 0o644)
        assert tree(folder) == before


def test_format_3_goes_on_being_changed(kept):
    with Collection.open(kept, background=False) as collection:
        collection.rollback(2)
        assert {hit.id for hit in collection.search("copper lathe pump", 9)} == {*PAST[2]}
        collection.rollback(5)
        collection.flush()
        collection.compact()
        assert {name: hit for name, hit in found_by(collection).items() if hit != FOUND[name]} == {}
        assert {document.id for document in collection} == set(ALL)
        collection.snapshot(kept.parent / "snapshot")
    restore(kept.parent / "snapshot", kept.parent / "restored")
    assert near(Searcher.open(kept.parent / "restored").search("turbine")) == FOUND["turbine"]


def found_by(collection):
    """Weights of BM25 are made anew by compacting: only which documents are found is the same."""
    return {
        words: FOUND[words] if {name for name, _ in FOUND[words]} <= {hit.id for hit in hits} else hits
        for words, hits in ((words, collection.search(words, 20)) for words in FOUND)
    }


def names_of(folder):
    """Files of a collection, without what is random in their names."""
    return sorted(str(path.relative_to(folder)).split("-")[0] + path.suffix for path in folder.rglob("*.*"))


def test_format_3_is_written_as_it_is_read(tmp_path):
    format_3.make(tmp_path / "index")
    assert names_of(tmp_path / "index") == names_of(FORMAT_3)
    made, kept = (
        {
            (key.kind, key.generation, key.name.split("-")[0]): catalogues.plain(key, content)
            for key, content in c.items()
        }
        for c in map(catalogues.contents_of, (tmp_path / "index", FORMAT_3))
    )
    assert made.keys() == kept.keys()
    for key, value in kept.items():
        assert made[key].keys() == value.keys(), key
    with Collection.open(tmp_path / "index") as collection:
        check_kept(collection)
    assert (tmp_path / "index" / ".lock").exists() is False
    assert format_2.is_there(tmp_path / "index") is False
    assert IndexSettings.from_dict(kept["about", 0, ""]["settings"]) == IndexSettings()
