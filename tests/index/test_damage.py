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
from lsr.index import Collection, IndexSettings
from lsr.retrieval import Searcher, index_documents, index_vectors
from lsr.sparse import SparseMatrix
from tests.conftest import NOBODY

WORDS = "bee flower honey hive dance castle wall moat knight tower".split()
TEXTS = [" ".join(WORDS[(i * j + j) % len(WORDS)] for j in range(1, 3 + i % 9)) for i in range(60)]
DOCUMENTS = [Document(f"d{i}", f"Title {i}", text) for i, text in enumerate(TEXTS)]
SEISMIC = IndexSettings("seismic")
FORMAT_2 = Path(__file__).parent / "format-2"


@pytest.fixture(scope="module", params=["windowed", "seismic", "vectors"])
def index(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("damage") / request.param
    if request.param == "vectors":
        source = folder.with_suffix(".jsonl")
        lines = ({"id": d.id, "contents": d.text, "vector": dict.fromkeys(d.text.split(), 1.5)} for d in DOCUMENTS)
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        index_vectors(VectorSource([str(source)], "auto"), folder)
    else:
        index_documents(DOCUMENTS, load("bm25"), folder, SEISMIC if request.param == "seismic" else None)
    return folder


DEEP = b"[" * 10**5


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b'{"x": "\xff"}', b'{"x": ' + DEEP, DEEP, b"1", b"null", b"NaN"]
)
def test_json_of_an_index_that_is_none_is_damage(index, tmp_path, content):
    folder = shutil.copytree(index, tmp_path / "index")
    manifest = json.loads((folder / "manifest.json").read_text())
    for path in sorted(folder.rglob("*.json")):
        kept = path.read_bytes()
        path.write_bytes(content)
        if path.name != "manifest.json":
            manifest["files"][str(path.relative_to(folder))]["bytes"] = len(content)
            (folder / "manifest.json").write_text(json.dumps(manifest))
        with pytest.raises(
            (StorageError, EncoderError), match=path.name.split(".")[0] if path.name != "bm25.json" else "BM25"
        ):
            Searcher.open(folder)
        path.write_bytes(kept)


def ask_everything(folder):
    searcher = Searcher.open(folder)
    for options in ({}, {"exact": True}, {"recall": 0.95}):
        for hit in searcher.search("bee dance in the tower", 70, **options):
            searcher.snippet("bee dance in the tower", hit)
    searcher.generation.search(searcher.encode("castle"), 3)  # by kernels
    for row in range(len(searcher.generation)):
        searcher.generation.document(row)
        searcher.generation.vector(row)
    searcher.generation.known(["d1"])


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


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 10**6), change=damages(), honest=st.booleans())
def test_damaged_files_give_an_answer_or_say_what_is_wrong(index, tmp_path, which, change, honest):
    """``honest``: the manifest states the new size."""
    folder = tmp_path / "index"
    if not folder.exists():
        shutil.copytree(index, folder)
    stated = folder / "manifest.json"
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    path = paths[which % len(paths)]
    kept = {path: path.read_bytes(), stated: stated.read_bytes()}
    path.write_bytes(change(kept[path]))
    if honest and path != stated:
        manifest = json.loads(kept[stated])
        manifest["files"][str(path.relative_to(folder))]["bytes"] = path.stat().st_size
        stated.write_text(json.dumps(manifest))
    try:
        with suppress(StorageError, EncoderError):
            ask_everything(folder)
    finally:
        for place, content in kept.items():
            place.write_bytes(content)


def set_last(name, value):
    def change(folder):
        path = next(folder.rglob(name))
        array = np.load(path)
        array.reshape(-1)[-1] = value
        save_array(path, array)

    return change


def change_manifest(**fields):
    def change(folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, value in fields.items():
            manifest[name] = value(manifest[name]) if callable(value) else value
        (folder / "manifest.json").write_text(json.dumps(manifest))

    return change


def as_content(content):
    return lambda folder: (folder / "manifest.json").write_bytes(content)


POINT = {"k": 10, "recall": 1.0, "low": 1.0, "high": 1.0, "p50_us": 1.0, "p99_us": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_last("windows.ids.npy", 65535), "a posting points to row 65535"),
        (set_last("windows.groups.npy", 24 << 16), "a posting of level 24"),
        (set_last("windows.steps.npy", np.nan), "steps of weights that are no numbers above 0, or too large"),
        (set_last("windows.steps.npy", np.inf), "steps of weights that are no numbers above 0, or too large"),
        (set_last("windows.steps.npy", -1), "steps of weights that are no numbers above 0, or too large"),
        (as_content(b"\xff\xfe{}"), "is damaged"),
        (as_content(b'{"format": "lsr-index", "version": 2, "x": ' + b"[" * 10**5), "is damaged"),
        (as_content(b" " * (2**26 + 1)), "is larger than any manifest"),
        (as_content(b"[]"), "is not the manifest of an lsr index"),
        (change_manifest(encoder_folder="/etc"), "names '/etc', which is not inside"),
        (change_manifest(encoder_folder="../other"), "names '../other', which is not inside"),
        (change_manifest(files=lambda files: {**files, "../x": {"bytes": 1, "sha256": ""}}), "names '../x'"),
        (change_manifest(segments=lambda s: [{**s[0], "folder": "/x"}]), "names '/x', which is not inside"),
        (change_manifest(segments=lambda s: [{**s[0], "documents": 59}]), "is not what its manifest says"),
        (change_manifest(segments=lambda s: [{**s[0], "documents": -1}]), "is not what its manifest says"),
        (change_manifest(encoder=lambda e: {**e, "dim": 2**40}), "is damaged"),
        (change_manifest(encoder=lambda e: {**e, "dim": 0}), "is damaged"),
        (change_manifest(settings={"engine": ["windowed"]}), "unreadable settings"),
        (change_manifest(settings={"engine": "windowed", "cut": "much"}), "unreadable settings"),
        (change_manifest(settings={"engine": "windowed", "effort": 1e300}), "unreadable settings"),
        (change_manifest(settings={"engine": "seismic", "query_cut": 2.5}), "unreadable settings"),
        (change_manifest(settings={"engine": "seismic", "query_cut": 2**70}), "unreadable settings"),
        (
            change_manifest(tuning={"queries": 1, "source": "", "points": [{**POINT, "settings": {"speed": 9}}]}),
            "unreadable settings .*unknown setting 'speed'",
        ),
    ],
)
def test_what_a_kernel_follows_is_checked(tmp_path, change, message):
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index")
    change(tmp_path / "index")
    with pytest.raises(StorageError, match=message):
        ask_everything(tmp_path / "index")


def test_a_number_beyond_the_documents_of_a_window_is_followed_nowhere(tmp_path):
    """A window has room for 1,024 rows; here 60 are documents."""
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index")
    path = next((tmp_path / "index").rglob("windows.ids.npy"))
    save_array(path, np.full_like(np.load(path), 1023))
    collection = Collection(tmp_path / "index")
    encoder = load(collection.encoder_folder)
    assert (collection.search(encoder.encode_queries(TEXTS), 60).rows == -1).all()


@pytest.mark.parametrize("engine", ["windowed", "seismic"])
def test_weights_whose_sums_are_no_floats_are_refused(tmp_path, engine):
    vectors = SparseMatrix.from_dicts([{1: 3e38, 2: 1.0}], 5)
    with pytest.raises(VectorError, match=r"row 0 has the weight 3e\+38, wanted at most 1e\+15"):
        IndexSettings(engine).choice.index.build(vectors)
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index", IndexSettings(engine))
    set_last("vectors.weights.npy", 3e38)(tmp_path / "index")
    with pytest.raises(StorageError, match=r"is damaged \(row 59 has the weight 3e\+38"):
        Collection(tmp_path / "index")


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


@pytest.mark.parametrize("name", ["manifest.json", "documents.arrow", "vectors.terms.npy", "encoder", "segment-0000"])
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


@pytest.mark.parametrize("engine", ["windowed", "seismic"])
def test_an_index_of_the_first_version_of_this_format_is_searched(tmp_path, engine):
    searcher = Searcher.open(FORMAT_2 / engine)
    for exact in (False, True):
        hits = searcher.search("where do bees dance", 3, exact)
        assert [hit.id for hit in hits] == ["honey", "flower"]
        assert [hit.score for hit in hits] == pytest.approx([1.3735015, 0.31524634], rel=1e-5)
        assert hits[0].text == "Bees dance to tell other bees where flowers are."
    assert Collection.verify(FORMAT_2 / engine).documents == 3
    shutil.copytree(FORMAT_2 / engine, tmp_path / "index")
    index_documents(DOCUMENTS, load("bm25"), tmp_path / "index")
    assert len(Searcher.open(tmp_path / "index").generation) == 60
    assert [path.name for path in (tmp_path / "index").glob("generation-*")] == ["generation-000002"]


def test_the_format_is_written_as_it_is_read(tmp_path):
    index_documents(DOCUMENTS[:3], load("bm25"), tmp_path / "index")
    names = {
        str(path.relative_to(FORMAT_2 / "windowed")) for path in (FORMAT_2 / "windowed").rglob("*") if path.is_file()
    }
    written = {str(path.relative_to(tmp_path / "index")) for path in (tmp_path / "index").rglob("*") if path.is_file()}
    assert written - names == {".lock", "generation-000001/.lsr"}
    assert names <= written
