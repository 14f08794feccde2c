import multiprocessing
import os
import shutil
import signal
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from lsr.corpus import Document
from lsr.encoders import load
from lsr.encoders.lexical.bm25 import BM25Encoder
from lsr.errors import InputError, MismatchError, StorageError
from lsr.index import (
    About,
    Allowed,
    CollectionWriter,
    EncoderInfo,
    ExactIndex,
    IndexSettings,
    SeismicSettings,
)
from lsr.index.live.snapshots import verify
from lsr.index.plan import scan_cost
from lsr.kernel import Kernel
from lsr.retrieval import Collection, Searcher, index_documents
from lsr.sparse import SparseMatrix
from tests.conftest import generation_of, random_matrix, segments_of
from tests.index import catalogues

DOCUMENTS = [Document(f"d{i}", "", f"common word{i} word{i % 7}") for i in range(50)]
ABOUT = About(lsr="test", encoder=EncoderInfo("test", "print", 60))


def make(folder, documents=DOCUMENTS):
    return index_documents(documents, load("bm25"), folder)


@pytest.fixture(params=["windowed", "seismic"])
def engine(request):
    return IndexSettings(request.param)


def write(folder, matrix, step, **options):
    with CollectionWriter(folder, **options) as writer:
        for start in range(0, len(matrix), step):
            stop = min(len(matrix), start + step)
            writer.append(matrix.slice(start, stop), [Document(str(i), "", f"text {i}") for i in range(start, stop)])
        return writer.commit(ABOUT, lambda observed: observed, 60)


def test_segments_search_like_one(tmp_path, engine):
    documents, queries = random_matrix(0, 300, 60, 20, whole=True), random_matrix(1, 10, 60, 20, whole=True)
    write(tmp_path / "one", documents, 100, settings=engine)
    state = write(tmp_path / "many", documents, 50, settings=engine, segment_nonzeros=600)
    assert len(state.segments) > 2
    one, many = generation_of(tmp_path / "one"), generation_of(tmp_path / "many")
    a, b = one.search(queries, 15, exact=True), many.search(queries, 15, exact=True)
    assert a.rows.tolist() == b.rows.tolist()
    assert a.scores.tolist() == b.scores.tolist()
    for row in (0, 49, 50, 299):
        assert many.document(row) == Document(str(row), "", f"text {row}")
        assert many.document_id(row) == str(row)
        assert many.vector(row).to_dicts() == documents.slice(row, row + 1).to_dicts()
    with pytest.raises(InputError, match="row 300: wanted 0 to 299"):
        many.document(300)


def test_what_is_opened_is_what_was_written(tmp_path, engine):
    documents, queries = random_matrix(0, 300, 60, 20), random_matrix(1, 10, 60, 20)
    write(tmp_path / "index", documents, 100, settings=engine)
    built = engine.choice.index.build(documents, engine.settings).search(queries, 10)
    opened = generation_of(tmp_path / "index").search(queries, 10)
    assert opened.rows.tolist() == built.rows.tolist()
    assert opened.scores.tolist() == built.scores.tolist()
    assert verify(tmp_path / "index").live_documents == 300


def test_a_new_generation_replaces_the_old_one(tmp_path):
    make(tmp_path / "index")
    old = Searcher.open(tmp_path / "index")
    make(tmp_path / "index", DOCUMENTS[:3])
    assert len(Searcher.open(tmp_path / "index").generation) == 3
    assert verify(tmp_path / "index").newest == 2
    assert len(segments_of(tmp_path / "index")) == 1
    assert old.search("word13")[0].id == "d13"  # readers of the old one go on


def test_a_failed_build_leaves_the_old_index(tmp_path):
    make(tmp_path / "index")
    with pytest.raises(InputError, match="given before"):
        make(tmp_path / "index", [*DOCUMENTS, DOCUMENTS[0]])
    assert len(Searcher.open(tmp_path / "index").generation) == 50
    assert verify(tmp_path / "index").newest == 1
    assert len(segments_of(tmp_path / "index")) == 1


def test_a_failed_first_build_leaves_nothing(tmp_path):
    with pytest.raises(InputError, match="no documents: the sources are empty"):
        make(tmp_path / "new" / "index", [])
    assert not (tmp_path / "new" / "index").exists()


def _index_and_die(folder):
    def documents():
        yield from DOCUMENTS
        os.kill(os.getpid(), signal.SIGKILL)

    make(folder, documents())


@pytest.mark.parametrize("before", [True, False])
def test_a_killed_build_is_seen_and_mended(tmp_path, before):
    folder = tmp_path / "index"
    if before:
        make(folder, DOCUMENTS[:5])
    process = multiprocessing.get_context("spawn").Process(target=_index_and_die, args=(folder,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    if before:
        assert len(Searcher.open(folder).generation) == 5
    else:
        with pytest.raises(StorageError, match=r"holds a half-written index .*run lsr index again"):
            Searcher.open(folder)
    make(folder)
    assert len(Searcher.open(folder).generation) == 50
    assert len(segments_of(folder)) == 1
    assert len(list((folder / "encoders").iterdir())) == 1
    assert verify(folder).newest == 1 + before


def test_two_writers_do_not_meet(tmp_path):
    with CollectionWriter(tmp_path / "index"), pytest.raises(StorageError, match="another process is writing"):
        CollectionWriter(tmp_path / "index")


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(StorageError, match=r"holds other files \(thesis.tex"):
        make(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="cannot write to"):
        make(tmp_path / "file")


def test_another_encoder_is_refused(tmp_path):
    make(tmp_path / "index")
    for other in (load("bm25:german"), BM25Encoder(k1=1.2)):
        for ask in (Searcher.open, Collection.open):
            with pytest.raises(MismatchError, match=r"was indexed with bm25 \(bm25-.*the encoder given is bm25-"):
                ask(tmp_path / "index", other)


def test_one_encoder_serves_several_collections(tmp_path):
    """What it learns of one is no part of another."""
    encoder = load("bm25")
    texts = {"a": "apple pear", "b": "car apple truck", "c": "pear car"}
    for name, text in texts.items():
        index_documents([Document(name, "", text)], encoder, tmp_path / name)
    assert not encoder.learned
    opened = [Collection.open(tmp_path / name, encoder) for name in texts]
    for words in ("apple", "pear", "car", "truck"):
        found = [[hit.id for hit in collection.search(words)] for collection in opened]
        assert found == [[name] if words in text else [] for name, text in texts.items()]
    for collection in opened:
        collection.close()


def test_another_encoders_vectors_are_refused(searcher):
    with pytest.raises(MismatchError, match="encode queries with the index's own encoder"):
        searcher.generation.search(SparseMatrix.from_dicts([{1: 1.0}], 7), 3)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))


def test_a_collection_of_another_version_is_kept_until_the_new_one_is_done(tmp_path):
    make(tmp_path / "index")
    another_version(tmp_path / "index")
    before = files(tmp_path / "index")
    with pytest.raises(InputError, match="given before"):
        make(tmp_path / "index", [*DOCUMENTS, DOCUMENTS[0]])
    assert files(tmp_path / "index") == before
    with pytest.raises(StorageError, match="has collection format 99"):
        Searcher.open(tmp_path / "index")
    make(tmp_path / "index")
    assert len(segments_of(tmp_path / "index")) == 1
    assert verify(tmp_path / "index").live_documents == 50


def another_version(folder):
    catalogues.change(folder, "about", lambda about: {**about, "version": 99})


class TestDamage:
    @pytest.fixture
    def folder(self, tmp_path):
        make(tmp_path / "index")
        return tmp_path / "index"

    def test_no_folder(self, tmp_path):
        with pytest.raises(StorageError, match=r"no such index: .*make it with lsr index"):
            Searcher.open(tmp_path / "missing")

    def test_a_file(self, folder):
        with pytest.raises(StorageError, match="is a file: wanted the folder of an index"):
            Searcher.open(folder / "catalogue.db")

    def test_a_folder_without_index(self, tmp_path):
        with pytest.raises(StorageError, match="holds no index"):
            Searcher.open(tmp_path)

    def test_another_format_version(self, folder):
        another_version(folder)
        with pytest.raises(StorageError, match="has collection format 99, this lsr reads format 3: use the lsr"):
            Searcher.open(folder)

    def test_a_database_of_another_program(self, tmp_path):
        with closing(sqlite3.connect(tmp_path / "catalogue.db")) as database:
            database.execute("CREATE TABLE books (title)")
        with pytest.raises(StorageError, match=r"is damaged \(no such table: records\)"):
            Searcher.open(tmp_path)

    def test_a_broken_catalogue(self, folder):
        (folder / "catalogue.db").write_bytes(b"SQLite format 3\0")
        with pytest.raises(StorageError, match="is damaged"):
            Searcher.open(folder)

    def test_a_missing_catalogue(self, folder):
        (folder / "catalogue.db").unlink()
        with pytest.raises(StorageError, match=r"holds a half-written index .*run lsr index again"):
            Searcher.open(folder)
        make(folder)
        assert verify(folder).live_documents == 50

    def test_unknown_settings(self, folder):
        catalogues.change(folder, "about", lambda about: {**about, "settings": {"colour": "red"}})
        with pytest.raises(StorageError, match="unreadable settings"):
            Searcher.open(folder)

    @pytest.mark.parametrize("name", ["windows.ids.npy", "documents.arrow", "vectors.terms.npy"])
    def test_a_missing_file(self, folder, name):
        next(folder.rglob(name)).unlink()
        with pytest.raises(StorageError, match=f"{name} is missing"):
            Searcher.open(folder)

    @pytest.mark.parametrize("name", ["windows.ids.npy", "documents.arrow", "vectors.terms.npy"])
    def test_a_cut_file(self, folder, name):
        path = next(folder.rglob(name))
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(StorageError, match=f"{name} has .* bytes, wanted"):
            Searcher.open(folder)

    @pytest.mark.parametrize("name", ["windows.ids.npy", "windows.groups.npy", "vectors.terms.npy"])
    def test_numbers_out_of_range_never_reach_a_kernel(self, folder, name):
        path = next(folder.rglob(name))
        array = np.load(path)
        array[-1] = np.iinfo(array.dtype).max
        np.save(path, array)
        with pytest.raises(StorageError, match="is damaged"):
            Searcher.open(folder)

    def test_a_flipped_byte_is_found_by_check(self, folder):
        path = next(folder.rglob("documents.arrow"))
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
        with pytest.raises(StorageError, match=r"documents\.arrow is damaged \(its checksum differs"):
            verify(folder)


def test_settings_come_back_from_a_record():
    settings = IndexSettings("seismic", SeismicSettings(query_cut=3))
    assert IndexSettings.from_dict(settings.to_dict()) == settings


def test_unknown_engines_and_mixed_settings_are_refused():
    with pytest.raises(InputError, match="unknown engine 'lucene': wanted windowed or seismic"):
        IndexSettings("lucene")
    with pytest.raises(InputError, match="settings of SeismicSettings for windowed: wanted WindowedSettings"):
        IndexSettings("windowed", SeismicSettings())


def test_an_index_can_be_moved(tmp_path):
    make(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert Searcher.open(tmp_path / "there").search("word13")[0].id == "d13"


def test_filters_hold_over_several_segments(tmp_path):
    vectors, queries = random_matrix(30, 300, 60, 20), random_matrix(31, 20, 60, 20)
    state = write(tmp_path / "index", vectors, 50, segment_nonzeros=600)
    assert len(state.segments) > 2
    collection = generation_of(tmp_path / "index")
    for rows in (range(0, 300, 3), (7, 250)):
        allowed = Allowed.of_rows(list(rows), 300)
        expected = ExactIndex(vectors).search(queries, 10, allowed=allowed)
        for arguments in ({"exact": True}, {"recall": 1.0}, {"exact": True, "threads": 2}):
            found = collection.search(queries, 10, allowed=allowed, **arguments)
            assert found.rows.tolist() == expected.rows.tolist()
    with pytest.raises(MismatchError, match="a choice among 299 documents, index of 300"):
        collection.search(queries, 10, allowed=Allowed.of_rows([], 299))


@pytest.mark.parametrize("signed", [False, True])
def test_search_without_kernels_is_exact_search(tmp_path, signed):
    vectors, queries = random_matrix(32, 400, 60, 20, signed=signed), random_matrix(33, 30, 60, 20, signed=signed)
    write(tmp_path / "index", vectors, 400)
    segment = generation_of(tmp_path / "index").parts[0].segment
    for allowed in (None, Allowed.of_rows(range(0, 400, 3), 400)):
        by_kernels = segment.search(queries, 15, exact=True, allowed=allowed)
        scanned = segment.search(queries, 15, exact=True, allowed=allowed, scan=True)
        assert scanned.rows.tolist() == by_kernels.rows.tolist()
        assert scanned.scores.tolist() == by_kernels.scores.tolist()


def test_kernels_take_over_from_a_process_that_asks_much(tmp_path, monkeypatch):
    write(tmp_path / "index", random_matrix(34, 300, 60, 20), 100)
    queries = random_matrix(35, 3, 60, 20)
    nonzeros = generation_of(tmp_path / "index").summary.nonzeros
    monkeypatch.setattr("lsr.index.live.generation.COMPILER", 1.5 * scan_cost(nonzeros, 3))
    monkeypatch.setattr("lsr.index.live.generation.search_windows", Kernel(print, print))  # none is loaded
    generation = generation_of(tmp_path / "index")
    assert [generation._may_scan(len(queries)) for _ in range(3)] == [True, False, False]
    assert not generation_of(tmp_path / "index")._may_scan(5)
