"""Whatever the files of an index hold, opening and searching give an answer or say what is wrong."""

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lsr.arrays import load_array, save_array
from lsr.corpus import Document
from lsr.encoders import load
from lsr.errors import EncoderError, LsrError, StorageError, VectorError
from lsr.formats import VectorSource
from lsr.index import IndexSettings, Store
from lsr.index.live.snapshots import restore, verify
from lsr.index.storage.catalogue import NAME
from lsr.retrieval import Collection, Searcher, index_documents, index_vectors
from lsr.sparse import SparseMatrix
from tests.conftest import NOBODY
from tests.index import catalogues

WORDS = "bee flower honey hive dance castle wall moat knight tower".split()
TEXTS = [" ".join(WORDS[(i * j + j) % len(WORDS)] for j in range(1, 3 + i % 9)) for i in range(60)]
FIELDS = [{"n": i, "tags": ["x"], "more": [i, {"a": "b"}], "at": "2020-05-01", "vec": [i, 0.5]} for i in range(60)]
DOCUMENTS = [Document(f"d{i}", f"Title {i}", text, FIELDS[i]) for i, text in enumerate(TEXTS)]
TYPES = {"vec": "vector"}
SEISMIC = IndexSettings("seismic")


def make(folder, settings=None):
    """A collection with a segment, a deletion, new values of fields, and documents that are in no segment."""
    index_documents(DOCUMENTS, load("bm25"), folder, settings, types=TYPES)
    change(folder)


def change(folder):
    with Collection.open(folder, background=False) as collection:
        collection.delete(["d3"])
        collection.update({"d5": {"n": 99}, "d6": {"tags": ["y"]}})
        collection.upsert([{"id": "new", "text": "bee dance castle", "n": 7}, {"id": "d8", "text": "tower hive"}])


@pytest.fixture(scope="module", params=["windowed", "seismic", "vectors"])
def index(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage") / request.param
    if request.param == "vectors":
        source = folder.with_suffix(".jsonl")
        lines = (
            {"id": d.id, "contents": d.text, "vector": dict.fromkeys(d.text.split(), 1.5), **d.fields}
            for d in DOCUMENTS
        )
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        index_vectors(VectorSource([str(source)], "auto"), folder)
        change(folder)
    else:
        make(folder, SEISMIC if request.param == "seismic" else None)
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "index"
    make(folder)
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "index")


FACETED = {"integer", "keyword", "keywords"}
DEEP = b"[" * 10**5
NO_JSON = [b"", b"{", b"\xff", b'{"x": "\xff"}', b'{"x": ' + DEEP, DEEP, b"1", b"null", b"NaN", b"[]", b"{}", b"\xc1"]


@pytest.mark.parametrize("content", NO_JSON)
def test_a_record_that_is_none_is_damage(folder, content):
    """Checksums fit: some program wrote it so."""
    before = catalogues.contents_of(folder)
    for key in before:
        catalogues.write(folder, {**before, key: content})
        with pytest.raises(StorageError, match=r"is damaged|has collection format None"):
            ask_everything(folder)


@pytest.mark.parametrize("content", NO_JSON)
def test_json_of_an_encoder_that_is_none_is_damage(index, tmp_path, content):
    folder = shutil.copytree(index, tmp_path / "index")
    paths = sorted(folder.rglob("*.json"))
    assert paths
    for path in paths:
        kept = path.read_bytes()
        path.write_bytes(content)
        for ask in (Searcher.open, verify):
            with pytest.raises(StorageError, match=rf"{path.name} has {len(content):,} bytes, wanted {len(kept):,}"):
                ask(folder)
        if len(content) > len(kept):
            continue
        path.write_bytes(content.ljust(len(kept)))
        with pytest.raises(EncoderError, match="BM25" if path.name == "bm25.json" else path.name):
            Searcher.open(folder)
        with pytest.raises(StorageError, match=rf"{path.name} is damaged \(its checksum differs"):
            verify(folder)
        path.write_bytes(kept)


def ask_everything(folder):
    """Read all that there is; changes go to a copy."""
    with Collection.open(folder) as collection:
        searcher = collection.searcher
        for options in ({}, {"exact": True}, {"recall": 0.95}, {"filter": "n < 50"}, {"sort": "n"}):
            for hit in searcher.search("bee dance in the tower", 70, **options):
                searcher.snippet("bee dance in the tower", hit)
        searcher.generation.search(searcher.encode("castle"), 3)  # by kernels
        for _ in collection:
            pass
        for row in range(searcher.generation.rows):
            searcher.generation.document(row)
            searcher.generation.vector(row)
        searcher.generation.known(["d1", "new"])
        collection.facets([name for name, kind in collection.fields.items() if kind in FACETED], "tags in ['y']")
        for number in collection.history():
            collection.at(number).search("castle", 70)


@st.composite
def damages(draw):
    """A change of the bytes of a file."""
    kind = draw(st.sampled_from(["flip", "flip", "set", "cut", "longer", "zeros"]))
    share, extra = draw(st.floats(0, 1, exclude_max=True)), draw(st.binary(min_size=1, max_size=8))
    near = draw(st.booleans())  # the start, where formats keep what they follow

    def change(content):
        at = int(share * (min(128, len(content)) if near else len(content)))
        new = bytearray(content)
        if kind == "flip":
            new[at] ^= 1 << (extra[0] % 8)
        elif kind == "set":
            new[at : at + len(extra)] = extra[: len(content) - at]
        elif kind == "zeros":
            new[at : at + 64] = bytes(len(new[at : at + 64]))
        return bytes(new[:at] if kind == "cut" else new + extra if kind == "longer" else new)

    return change


def state_sizes(folder, path):
    """Let the catalogue say how large a file is now."""

    def of_segment(info):
        if path.parent.name in names and path.name in info["files"]:
            info["files"][path.name]["bytes"] = path.stat().st_size

    names = {Path(key.name).name for key in catalogues.contents_of(folder) if key.kind == "segment"}
    catalogues.change(folder, "segment", of_segment)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 10**6), change=damages(), honest=st.booleans(), database=st.integers(0, 4))
def test_damaged_files_give_an_answer_or_say_what_is_wrong(index, tmp_path, which, change, honest, database):
    """``honest``: the catalogue states the new size."""
    folder = tmp_path / "index"
    if not folder.exists():
        shutil.copytree(index, folder)
    stated = folder / NAME
    paths = sorted(path for path in folder.rglob("*") if path.stat().st_size and not path.name.startswith("."))
    paths = [path for path in paths if path.is_file()]
    path = paths[which % len(paths)] if database else stated
    kept = {path: path.read_bytes(), stated: stated.read_bytes()}
    path.write_bytes(change(kept[path]))
    if honest and path != stated:
        state_sizes(folder, path)
    try:
        with suppress(StorageError, EncoderError):
            ask_everything(folder)
        if not honest and path.read_bytes() != kept[path] and path != stated:
            with pytest.raises(StorageError, match=path.name):
                verify(folder)
    finally:
        for place, content in kept.items():
            place.write_bytes(content)
        for end in ("wal", "shm"):
            stated.with_name(f"{NAME}-{end}").unlink(missing_ok=True)


def sql(*statements):
    return lambda folder: catalogues.run(folder, *statements)


EXTRA = "INSERT INTO records SELECT 'batch', 9, name, content, checksum FROM records WHERE kind = 'batch'"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (sql("DELETE FROM records WHERE kind = 'deletions'"), "records are missing"),
        (sql("DELETE FROM records WHERE kind = 'segment'"), "records are missing"),
        (sql("DELETE FROM records"), "records are missing"),
        (sql("DELETE FROM records", "UPDATE digest SET value = zeroblob(16)"), "it is empty"),
        (sql(EXTRA), "a record of batch"),
        (sql("DELETE FROM digest"), "records are missing"),
        (sql("INSERT INTO digest SELECT * FROM digest"), "records are missing"),
        (sql("UPDATE digest SET value = 5"), "records are missing"),
        (sql("UPDATE digest SET value = 'x'"), "records are missing"),
        (sql("UPDATE records SET content = x'00' WHERE kind = 'about'"), "a record of about"),
        (sql("UPDATE records SET content = 'text' WHERE kind = 'updates'"), "a record of updates"),
        (sql("UPDATE records SET content = 7 WHERE kind = 'batch'"), "a record of batch"),
        (sql("UPDATE records SET checksum = x'' WHERE kind = 'corpus'"), "is damaged"),
        (sql("UPDATE records SET checksum = 'text' WHERE kind = 'corpus'"), "is damaged"),
        (sql("UPDATE records SET checksum = 1000000000000 WHERE kind = 'corpus'"), "is damaged"),
        (sql("UPDATE records SET checksum = -1 WHERE kind = 'corpus'"), "is damaged"),
        (sql("UPDATE records SET kind = 'x' WHERE kind = 'corpus'"), "a record of x"),
        (sql("UPDATE records SET kind = x'ff' WHERE kind = 'schema'"), "is damaged"),
        (sql("UPDATE records SET name = x'ff00' WHERE kind = 'segment'"), "is damaged"),
        (sql("UPDATE records SET generation = 'one' WHERE kind = 'deletions' AND generation = 2"), "is damaged"),
        (sql("UPDATE records SET generation = 2.5 WHERE kind = 'deletions' AND generation = 2"), "is damaged"),
        (sql("UPDATE records SET generation = 7 WHERE kind = 'deletions' AND generation = 2"), "a record of deletions"),
        (sql("DROP TABLE records"), r"is damaged \(no such table: records\)"),
        (sql("DROP TABLE digest"), r"is damaged \(no such table: digest\)"),
        (sql("ALTER TABLE records RENAME COLUMN checksum TO sum"), r"is damaged \(no such column: checksum\)"),
        (lambda folder: (folder / NAME).write_bytes(b""), r"is damaged \(no such table: records\)"),
        (lambda folder: (folder / NAME).write_bytes(b"text " * 1000), r"is damaged \(file is not a database\)"),
        (lambda folder: (folder / NAME).write_bytes((folder / NAME).read_bytes()[:5000]), "is damaged"),
        (lambda folder: (folder / NAME).unlink(), "holds a half-written index"),
    ],
)
def test_a_catalogue_that_somebody_changed_is_damage(folder, change, message):
    before = {
        path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and not path.name.startswith(NAME)
    }
    change(folder)
    for ask in (Searcher.open, Collection.open, verify):
        with pytest.raises(StorageError, match=message):
            ask(folder)
    assert all(path.read_bytes() == content for path, content in before.items())
    with suppress(StorageError), Store(folder) as store, store.changing():
        pass  # nor does a writer remove anything
    assert all(path.exists() for path in before)


def test_without_log_and_index_of_the_database_nothing_that_was_closed_is_lost(folder):
    """People copy one file and not the others."""
    assert not list(folder.glob("*-wal"))
    for end in ("shm", "wal"):
        (folder / f"{NAME}-{end}").write_bytes(b"of another one" * 100)
        ask_everything(folder)
        (folder / f"{NAME}-{end}").unlink(missing_ok=True)


def set_last(name, value):
    def change(folder):
        path = next(folder.rglob(name))
        array = np.load(path)
        array.reshape(-1)[-1] = value
        save_array(path, array)

    return change


def of_about(**fields):
    return of("about", **fields)


def of(kind, **fields):
    """What a record says becomes something else."""

    def one(said):
        for name, value in fields.items():
            said[name] = value(said[name]) if callable(value) else value

    return lambda folder: catalogues.change(folder, kind, one)


def parts(how):
    """Changes the parts of deletions or updates."""
    return lambda found: {name: how(own) for name, own in found.items()}


def of_field(how):
    return parts(lambda fields: {name: how(*own) for name, own in fields.items()})


def numbers(*values, dtype=np.uint32):
    return np.array(values, dtype).tobytes()


def renamed(name):
    """A segment gets another name."""

    def change(folder):
        contents = catalogues.contents_of(folder)
        key = next(key for key in contents if key.kind == "segment")
        catalogues.write(
            folder, {**{k: v for k, v in contents.items() if k != key}, key._replace(name=name): contents[key]}
        )

    return change


POINT = {"k": 10, "recall": 1.0, "low": 1.0, "high": 1.0, "p50_us": 1.0, "p99_us": 1.0}
FILE = {"bytes": 1, "sha256": ""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_last("windows.ids.npy", 65535), "a posting points to row 65535"),
        (set_last("windows.groups.npy", 24 << 16), "a posting of level 24"),
        (set_last("windows.steps.npy", np.nan), "steps of weights that are no numbers above 0, or too large"),
        (set_last("windows.steps.npy", np.inf), "steps of weights that are no numbers above 0, or too large"),
        (set_last("windows.steps.npy", -1), "steps of weights that are no numbers above 0, or too large"),
        (set_last("ids.rows.npy", 60), "ids.rows.npy is damaged"),
        (set_last("ids.hashes.npy", 0), "ids.hashes.npy is damaged"),
        (of_about(version=99), "has collection format 99, this lsr reads format 3"),
        (of_about(encoder_folder="/etc"), "names '/etc', which is not inside"),
        (of_about(encoder_folder="../other"), r"names '\.\./other', which is not inside"),
        (of_about(encoder_folder="a\0b"), r"names 'a\\x00b', which is not inside"),
        (of_about(encoder_files={"../x": FILE}), r"names '\.\./x', which is not inside"),
        (renamed("/x"), "names '/x', which is not inside"),
        (renamed("segments/../.."), "names 'segments/../..', which is not inside"),
        (renamed(""), "names '', which is not inside"),
        (of("segment", files=lambda files: {**files, "../x": FILE}), r"names '\.\./x', which is not inside"),
        (of("segment", fields="../x"), r"names '\.\./x', which is not inside"),
        (of("segment", fields="x.arrow"), "x.arrow is missing"),
        (of("segment", documents=59), "not what the index says"),
        (of("segment", documents=-1), "deletes rows that are not there"),
        (of("segment", nonzeros=1), "not what the index says"),
        (of("segment", born=-1), "born.npy is missing"),
        (of("segment", dim=2**40), "is damaged"),
        (of("segment", dim=0), "is damaged"),
        (of("segment", dim=3), "is damaged"),
        (of_about(encoder={"name": "bm25", "fingerprint": "x", "dim": 2**40}), "is damaged"),
        (of_about(encoder={"name": "bm25", "fingerprint": "x", "dim": 0}), "is damaged"),
        (of_about(base_terms=2**40), "is damaged"),
        (of_about(kept=-1), "is damaged"),
        (of_about(settings={}), "unreadable settings"),
        (of_about(settings={"engine": ["windowed"]}), "unreadable settings"),
        (of_about(settings={"engine": "windowed", "cut": "much"}), "unreadable settings"),
        (of_about(settings={"engine": "windowed", "effort": 1e300}), "unreadable settings"),
        (of_about(settings={"engine": "seismic", "query_cut": 2.5}), "unreadable settings"),
        (of_about(settings={"engine": "seismic", "query_cut": 2**70}), "unreadable settings"),
        (
            of_about(tuning={"queries": 1, "source": "", "points": [{**POINT, "settings": {"speed": 9}}]}),
            "unreadable settings .*unknown setting 'speed'",
        ),
        (of("schema", types={"n": "paint"}), "is damaged"),
        (of("schema", types={"n": "keyword", "tags": "keywords"}), "is damaged"),
        (of("schema", types={}), "is damaged"),
        (of("deletions", parts=parts(lambda _: numbers(60))), "deletes rows that are not there"),
        (of("deletions", parts=parts(lambda _: numbers(2**32 - 1))), "deletes rows that are not there"),
        (of("deletions", parts=parts(lambda _: b"abc")), "is damaged"),
        (of("deletions", parts=lambda found: {"segments/x": numbers(1)}), "is damaged"),
        (of("updates", parts=of_field(lambda rows, values: [numbers(60), values])), "is damaged"),
        (of("updates", parts=of_field(lambda rows, values: [rows[:3], values])), "is damaged"),
        (of("updates", parts=of_field(lambda rows, values: [rows, []])), "is damaged"),
        (of("updates", parts=of_field(lambda rows, values: [rows, [b"bytes"]])), "is damaged"),
        (of("updates", parts=of_field(lambda rows, values: [rows, [{"a": 1}]])), "is damaged"),
        (of("updates", parts=parts(lambda fields: {"at": [numbers(5), [2**62]]})), "type datetime is damaged"),
        (of("updates", parts=parts(lambda fields: {"n": [numbers(5), [2**63]]})), "type integer is damaged"),
        (of("updates", parts=parts(lambda fields: {"more": [numbers(5), ["{"]]})), "type json is damaged"),
        (of("updates", parts=parts(lambda fields: {"vec": [numbers(5), [b"abc"]]})), "is damaged"),
        (of("updates", parts=parts(lambda fields: {"unknown": next(iter(fields.values()))})), "is damaged"),
        (of("updates", parts=lambda found: {"batch-9": next(iter(found.values()))}), "is damaged"),
        (of("batch", ids=["new"]), "is damaged"),
        (of("batch", titles=["a", "b", "c"]), "is damaged"),
        (of("batch", texts=[]), "is damaged"),
        (of("batch", columns={"n": [7]}), "is damaged"),
        (of("batch", columns={"n": ["a", "b"]}), "is damaged"),
        (of("batch", columns={"unknown": [1, 2]}), "is damaged"),
        (of("batch", indptr=numbers(0, 99, 99, dtype=np.int64)), "is damaged"),
        (of("batch", indptr=numbers(0, 3, 1, dtype=np.int64)), "is damaged"),
        (of("batch", indptr=numbers(0, -3, 5, dtype=np.int64)), "is damaged"),
        (of("batch", indptr=b"abc"), "is damaged"),
        (of("batch", indptr=b""), "is damaged"),
        (of("batch", terms=lambda terms: terms[:-4] + numbers(2**32 - 1)), "is damaged"),
        (of("batch", terms=lambda terms: terms[:-4]), "is damaged"),
        (of("batch", terms=lambda terms: terms[:-1]), "is damaged"),
        (of("batch", weights=lambda weights: weights[:-4] + numbers(np.nan, dtype=np.float32)), "is damaged"),
        (of("batch", weights=lambda weights: weights[:-4] + numbers(np.inf, dtype=np.float32)), "is damaged"),
        (of("batch", weights=lambda weights: weights[:-4] + numbers(3e38, dtype=np.float32)), "is damaged"),
        (of("batch", dim=1), "is damaged"),
        (of("batch", dim=0), "is damaged"),
        (of("batch", dim=2**40), "is damaged"),
        (of("batch", dim=-1), "is damaged"),
        (of("corpus", terms=lambda terms: terms[:-4] + numbers(2**32 - 1)), "is damaged"),
        (of("corpus", terms=lambda terms: terms[:-1]), "is damaged"),
        (of("corpus", counts=lambda counts: counts[:-8]), "is damaged"),
        (of("corpus", counts=lambda counts: counts[:-1]), "is damaged"),
        (of("corpus", counts=lambda counts: b"\xff" * len(counts)), "is damaged"),
        (of("corpus", documents=-100), "is damaged"),
        (of("corpus", length=-100), "is damaged"),
        (of("terms", first=2**40), "is damaged"),
        (of("terms", first=-1), "is damaged"),
        (of("terms", names=[]), "is damaged"),
    ],
)
def test_what_a_kernel_follows_is_checked(folder, change, message):
    """Checksums fit: some program wrote it so."""
    change(folder)
    with pytest.raises(StorageError, match=message):
        ask_everything(folder)


@pytest.mark.parametrize("place", [lambda outside: str(outside), lambda outside: "../outside", lambda outside: "."])
def test_a_snapshot_that_names_other_folders_removes_and_copies_nothing(folder, tmp_path, place):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    for named in (of_about(encoder_folder=place(outside)), renamed(place(outside))):
        kept = shutil.copytree(folder, tmp_path / "copy")
        named(kept)
        with pytest.raises(StorageError, match="which is not inside"):
            restore(kept, tmp_path / "new")
        assert not (tmp_path / "new").exists()
        assert (outside / "precious").read_text() == "mine"
        shutil.rmtree(kept)


def test_a_number_beyond_the_documents_of_a_window_is_followed_nowhere(tmp_path):
    """A window has room for 1,024 rows; here 60 are documents."""
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index")
    path = next((tmp_path / "index").rglob("windows.ids.npy"))
    save_array(path, np.full_like(np.load(path), 1023))
    searcher = Searcher.open(tmp_path / "index")
    assert (searcher.generation.search(searcher.encoder.encode_queries(TEXTS), 60).rows == -1).all()


@pytest.mark.parametrize("engine", ["windowed", "seismic"])
def test_weights_whose_sums_are_no_floats_are_refused(tmp_path, engine):
    vectors = SparseMatrix.from_dicts([{1: 3e38, 2: 1.0}], 5)
    with pytest.raises(VectorError, match=r"row 0 has the weight 3e\+38, wanted at most 1e\+15"):
        IndexSettings(engine).choice.index.build(vectors)
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index", IndexSettings(engine))
    set_last("vectors.weights.npy", 3e38)(tmp_path / "index")
    with pytest.raises(StorageError, match=r"is damaged \(row 59 has the weight 3e\+38"):
        Store(tmp_path / "index")


@pytest.mark.parametrize("array", [np.arange(5), np.zeros((3, 2), np.uint32), np.zeros(0, np.uint16), np.zeros((4, 0))])
def test_arrays_come_back_and_nothing_else_does(tmp_path, array):
    path, columns = tmp_path / "a.npy", array.shape[1] if array.ndim == 2 else None
    save_array(path, array)
    assert np.load(path).tolist() == load_array(path, array.dtype.name, columns=columns).tolist() == array.tolist()
    for wrong in ({"columns": 7}, {"columns": None if array.ndim == 2 else 0}):
        with pytest.raises(ValueError, match="wanted"):
            load_array(path, array.dtype.name, **wrong)
    with pytest.raises(ValueError, match="wanted float16"):
        load_array(path, "float16", columns=columns)
    for content in (b"", b"\x93NUMPY", path.read_bytes() + b"x", path.read_bytes()[:-1], b"PK\x03\x04", b"\x80\x04N."):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.npy"):
            load_array(path, array.dtype.name, columns=columns)


@pytest.mark.parametrize("name", [NAME, "documents.arrow", "vectors.terms.npy", "encoders", "segments"])
def test_a_file_that_may_not_be_read_is_no_damage(index, name):
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(shutil.copytree(index, Path(place, "index")))
        ask_everything(folder)  # all that is needed is imported
        next(folder.rglob(name)).chmod(0)
        if root := os.geteuid() == 0:
            os.seteuid(NOBODY)
        try:
            with pytest.raises(LsrError, match=rf"(?i)permission.*{name}|{name}.*permission"):
                Searcher.open(folder)
        finally:
            if root:
                os.seteuid(0)
            next(folder.rglob(name)).chmod(0o700)
