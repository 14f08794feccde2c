"""Who writes an index: one at a time, whole or not at all, and nothing of others is touched."""

import errno
import fcntl
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from lsr.corpus import Document
from lsr.encoders import load
from lsr.errors import EncoderError, InputError, StorageError
from lsr.index import CollectionWriter, IndexSettings, Store, Tuning
from lsr.index.live.snapshots import restore, verify
from lsr.retrieval import Collection, Searcher, index_documents, tune
from tests.conftest import ROOT, segments_of
from tests.index import catalogues

DOCUMENTS = [Document(f"d{i}", "", f"common word{i} word{i % 7}") for i in range(50)]


def make(folder, documents=DOCUMENTS, engine="windowed"):
    return index_documents(documents, load("bm25"), folder, IndexSettings(engine))


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("documents", [[], DOCUMENTS])
@pytest.mark.parametrize(
    "name",
    [
        *("generation-7/f", "generation-000001/documents.arrow", "generation-x", "notes.txt", ".hidden", "manifest/x"),
        *("segments/f", "segments/000001-5e1f0a9c.bak/f", "segments", "encoders/mine/f", "encoders/x"),
        *("catalogue.db", "catalogue.db/f", "catalogue.db-wal", "manifest.json"),
    ],
)
def test_a_folder_without_a_catalogue_is_somebody_elses(tmp_path, name, documents):
    (tmp_path / "d" / name).parent.mkdir(parents=True)
    (tmp_path / "d" / name).write_text("mine")
    with pytest.raises(StorageError, match=r"holds other files \(.*name a new or empty --out folder"):
        make(tmp_path / "d", documents)
    assert tree(tmp_path / "d") == {name: b"mine"}


def change(folder):
    """What every writer does: new documents, a merge of segments, and removing what is named no more."""
    with Collection.open(folder, background=False) as collection:
        collection.add([{"id": "new", "text": "one more"}])
        collection.flush()
        collection.delete(["new"])
        collection.compact()


@pytest.mark.parametrize("copy", ["000001.bak", "{}.bak", "old", "1-5e1f0a9c", "000001-5E1F0A9C", "generation-000001"])
@pytest.mark.parametrize("place", ["segments", "."])
def test_copies_of_a_segment_and_other_files_stay(tmp_path, place, copy):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:5])
    (name,) = segments_of(folder)
    mine = [
        shutil.copytree(folder / "segments" / name, folder / place / copy.format(name)),
        shutil.copytree(folder / "encoders", folder / "encoders" / "mine"),
        folder / "notes.txt",
        folder / "segments" / "notes.txt",
        folder / "manifest.json",  # of a web page
        folder / "catalogue.db.bak",
    ]
    for path in mine[2:]:
        path.write_text("mine")
    (folder / "segments" / "000077").mkdir()
    kept = [path.read_text() if path.is_file() else tree(path) for path in mine]
    for size in (6, 7):
        make(folder, DOCUMENTS[:size])
        change(folder)
        assert len(Searcher.open(folder).generation) == size
        assert [path.read_text() if path.is_file() else tree(path) for path in mine] == kept
    assert (folder / "segments" / "000077").is_dir()
    assert len([path for path in segments_of(folder) if path[7:].isalnum() and len(path) == 15 and path.islower()]) <= 1


def test_what_somebody_puts_into_a_segment_is_in_nobodys_way(tmp_path):
    make(tmp_path / "index", DOCUMENTS[:5])
    (name,) = segments_of(tmp_path / "index")
    (tmp_path / "index" / "segments" / name / ".notes").mkdir()
    (tmp_path / "index" / "segments" / name / ".notes" / "x").write_text("mine")
    with Collection.open(tmp_path / "index", background=False) as collection:
        collection.add([{"id": "new", "text": "one more"}])
        collection.flush()
        assert collection.search("more")[0].id == "new"
    assert (tmp_path / "index" / "segments" / name / ".notes" / "x").read_text() == "mine"


def test_a_linked_segment_is_not_followed(tmp_path):
    make(tmp_path / "index", DOCUMENTS[:5])
    make(tmp_path / "other", DOCUMENTS[:5])
    (name,) = segments_of(tmp_path / "other")
    for link in ("000005-0a0a0a0a", "000006-0b0b0b0b"):
        (tmp_path / "index" / "segments" / link).symlink_to(tmp_path / "other" / "segments" / name)
    (encoder,) = (tmp_path / "other" / "encoders").iterdir()
    (tmp_path / "index" / "encoders" / ("0" * 64)).symlink_to(encoder)
    make(tmp_path / "index")
    change(tmp_path / "index")
    assert verify(tmp_path / "other").live_documents == 5


@pytest.mark.parametrize("place", ["photos", "segments/../photos", "/photos"])
def test_a_catalogue_that_names_another_folder_makes_nobody_remove_it(tmp_path, place):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:5])
    (folder / "photos").mkdir()
    (folder / "photos" / "x").write_text("mine")
    place = place if place[0] != "/" else str(folder / "photos")
    catalogues.change(folder, "about", lambda about: {**about, "encoder_folder": place, "encoder_files": {}})
    with pytest.raises((StorageError, EncoderError)):
        change(folder)
    assert (folder / "photos" / "x").read_text() == "mine"
    make(folder)
    change(folder)
    assert (folder / "photos" / "x").read_text() == "mine"
    assert verify(folder).live_documents == 50


def other_manifest(folder):
    (folder / "manifest.json").write_text('{"name": "a web page", "icons": []}')


def other_database(folder):
    with closing(sqlite3.connect(folder / "catalogue.db")) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE records (title)")
        database.commit()


@pytest.mark.parametrize("other", [other_manifest, other_database])
def test_a_catalogue_of_another_program_is_not_replaced(tmp_path, other):
    other(tmp_path)
    (tmp_path / ".lock").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(StorageError, match="holds other files"):
        make(tmp_path)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("content", [b"", b"{", b"SQLite format 3\0" + bytes(5000)])
def test_a_broken_catalogue_beside_segments_of_ours_is_replaced(tmp_path, content):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:5])
    (folder / "catalogue.db").write_bytes(content)
    before = tree(folder)
    with pytest.raises(InputError, match="given before"):
        make(folder, [*DOCUMENTS, DOCUMENTS[0]])
    assert {name: own for name, own in tree(folder).items() if name != ".lock"} == {
        name: own for name, own in before.items() if name != ".lock"
    }
    make(folder)
    assert len(Searcher.open(folder).generation) == 50
    assert len(segments_of(folder)) == 1


def test_a_broken_manifest_beside_a_generation_of_ours_is_replaced(tmp_path):
    folder = tmp_path / "index"
    (folder / "generation-000001").mkdir(parents=True)
    (folder / "generation-000001" / ".lsr").write_text("generation-000001: written by lsr")
    (folder / "manifest.json").write_text("{")
    make(folder)
    assert len(Searcher.open(folder).generation) == 50
    assert {path.name for path in folder.iterdir()} == {"catalogue.db", "segments", "encoders", ".lock"}


def test_what_somebody_puts_into_a_new_folder_meanwhile_stays(tmp_path):
    with CollectionWriter(tmp_path / "index"):
        (tmp_path / "index" / "notes.txt").write_text("mine")
    assert tree(tmp_path / "index") == {"notes.txt": b"mine"}


def test_a_segment_that_was_half_removed_is_removed_by_the_next(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:40])

    remove = shutil.rmtree

    def killed(path, ignore_errors=False):
        if path.parent.name == "segments":
            monkeypatch.undo()
            next(path.iterdir()).unlink()
            raise KeyboardInterrupt
        remove(path, ignore_errors)

    found = [set(segments_of(folder))]
    for write in (make, change):
        monkeypatch.setattr("lsr.index.storage.places.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            write(folder)
        found.append(set(segments_of(folder)))
    assert found[0] < found[1] == found[2]
    assert len(Searcher.open(folder).generation) == 50  # the first one was stopped after the last step but one
    change(folder)
    assert len(segments_of(folder)) == 1
    assert verify(folder).live_documents == 50


QUERIES = [f"common word{i} word{i % 7}" for i in range(40)]


def test_tuning_of_an_index_that_was_replaced_is_refused(tmp_path):
    folder = tmp_path / "index"

    def anew():
        shutil.rmtree(folder)
        make(folder, engine="seismic")  # generation 1 again

    for first, replace_it in ((40, lambda: make(folder, engine="seismic")), (30, anew), (20, lambda: change(folder))):
        shutil.rmtree(folder, ignore_errors=True)
        make(folder, DOCUMENTS[:first])
        replaced = list[None]()

        def progress(done, total):
            if not replaced:  # noqa: B023
                replaced.append(replace_it())  # noqa: B023

        with pytest.raises(StorageError, match="was changed while it was measured: tune it again"):
            tune(Searcher.open(folder), 0.9, QUERIES, progress=progress)
        with Store(folder) as store:
            assert store.about.tuning is None
        assert len(Searcher.open(folder).search("common", 60)) == (20 if first == 20 else 50)


def test_tuning_twice_is_no_replacement(tmp_path):
    make(tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    for number in (2, 3):
        tuning, _ = tune(searcher, 0.9, QUERIES)
        with Store(tmp_path / "index") as store:
            assert store.about.tuning == tuning
            assert [*store.history()] == [*range(1, number + 1)]
            assert store.history()[number].verb == "tune"


def test_an_index_that_is_replaced_while_it_is_opened_is_opened(tmp_path):
    folder = tmp_path / "index"
    make(folder)
    done = threading.Event()

    def go_on():
        while not done.is_set():
            make(folder)

    writer = threading.Thread(target=go_on)
    writer.start()
    try:
        first = Searcher.open(folder)
        with Collection.open(folder, refresh=0.0) as reader:
            for _ in range(100):
                assert Searcher.open(folder).search("word13", exact=True)[0].id == "d13"
                assert reader.search("word13", exact=True)[0].id == "d13"
            assert reader.generation > first.generation.number
        assert first.search("word13")[0].text == "common word13 word6"  # a reader of an old one goes on
    finally:
        done.set()
        writer.join()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL])
def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch, number):
    make(tmp_path / "index", DOCUMENTS[:5])
    before = tree(tmp_path / "index")

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(StorageError, match=rf"cannot lock .*{os.strerror(number)}.*file system has no locks"):
        make(tmp_path / "index")
    with pytest.raises(StorageError, match=r"cannot lock "):
        change(tmp_path / "index")
    assert tree(tmp_path / "index") == before


@pytest.mark.parametrize("most", [10, 500, 1_000, 5_000, 20_000])
@pytest.mark.parametrize("before", [True, False])
def test_a_disk_that_takes_no_more_leaves_the_old_index(tmp_path, most, before):
    folder = tmp_path / "index"
    if before:
        make(folder, DOCUMENTS[:5])
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, old[1]))
    try:
        wanted = "File too large; name another folder" if most < 5_000 else "the disk is full"
        with pytest.raises(StorageError, match=rf"cannot write to {folder}: {wanted}|cannot be read or written"):
            make(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert folder.exists() == before
    if before:
        assert verify(folder).live_documents == 5
        assert verify(folder).newest == 1
        assert len(segments_of(folder)) == 1


def add_many(collection):
    for number in range(50):
        collection.add([{"id": f"n{number}", "text": "many words " * 50}])


@pytest.mark.parametrize("most", [10, 500, 5_000, 20_000, 30_000])
def test_a_disk_that_takes_no_more_leaves_the_documents_that_are_there(tmp_path, most):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:5])
    before = tree(folder)
    with Collection.open(folder, background=False) as collection:
        old = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, old[1]))
        try:
            with pytest.raises(StorageError, match=rf"{folder}"):
                add_many(collection)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, old)
        there = len(collection)
        assert {document.id for document in collection} == {f"d{i}" for i in range(5)} | {
            f"n{i}" for i in range(there - 5)
        }
        collection.add([{"id": "last", "text": "comet"}])
        assert collection.search("comet")[0].id == "last"
    assert verify(folder).live_documents == there + 1
    assert {name: own for name, own in tree(folder).items() if name.startswith("segments")} == {
        name: own for name, own in before.items() if name.startswith("segments")
    }


FULL_DISK = """
mount -t tmpfs -o size={size} tmpfs {folder} || exit 77
cd {root}
index() {{ {python} -c 'from lsr.cli import main; main()' index "$1" --encoder bm25 --out {folder}/index; }}
index {few} > /dev/null 2>&1 || exit 78
free=$(stat -f -c %a {folder})
index {root}/data/sample
echo "rc $?"
test $(stat -f -c %a {folder}) = $free && echo "nothing is left"
{python} -c 'from lsr.cli import main; main()' check {folder}/index
"""


@pytest.mark.parametrize("size", ["250k", "420k"])
def test_a_full_disk_is_not_kept_full(tmp_path, size):
    few = tmp_path / "few.jsonl"
    few.write_text('{"_id": "a", "text": "bees dance"}\n')
    script = FULL_DISK.format(size=size, folder=tmp_path, root=ROOT, python=sys.executable, few="-")
    if os.geteuid() != 0 or not shutil.which("unshare"):
        pytest.skip("only root may mount a small disk")
    with few.open() as source:
        found = subprocess.run(["unshare", "-m", "sh", "-c", script], stdin=source, capture_output=True, text=True)
    if found.returncode == 77:
        pytest.skip(f"no small disk can be mounted: {found.stderr}")
    assert f"error: cannot write to {tmp_path}/index: the disk is full (No space left on device" in found.stderr
    assert found.stdout.startswith("rc 2\nnothing is left\n")
    assert "all checksums right" in found.stdout


STOPS = """
import os, signal, sys
from pathlib import Path
from lsr.corpus import Document
from lsr.encoders import load
from lsr.index.live.snapshots import verify
from lsr.retrieval import Searcher, index_documents

folder, how, rest, seen = Path(sys.argv[1]), sys.argv[2], 10**9, 0
TOUCH = "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"

def hook(event, arguments):
    global seen
    if event in TOUCH and str(folder) in str(arguments[0]):
        seen += 1
        if seen == rest + 1:
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise KeyboardInterrupt

def make(size):
    index_documents([Document(f"d{i}", "", f"common word{i} word{i % 7}") for i in range(size)], load("bm25"), folder)

make(20)
sys.addaudithook(hook)
for first, step in ((0, 7), (3, 7)):
    for number in range(first, 10**6, step):
        child = os.fork()
        if child == 0:
            rest, seen = number, 0
            try:
                make(50)
            except KeyboardInterrupt:
                os._exit(1)
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        size = verify(folder).live_documents
        found = len(Searcher.open(folder).search("common", 99, exact=True))
        assert size == found and size in (20, 50), (number, size, found)
        if ended == 0:
            break
        assert ended == (-signal.SIGKILL if how == "kill" else 1)
        make(20)
        assert [len(list((folder / name).iterdir())) for name in ("segments", "encoders")] == [1, 1], number
print("stopped", number)
"""


@pytest.mark.parametrize("how", ["kill", "interrupt"])
def test_a_writer_may_be_stopped_at_any_step(tmp_path, how):
    command = [sys.executable, "-c", STOPS, str(tmp_path / "index"), how]
    found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert found.returncode == 0, found.stderr
    assert int(found.stdout.split()[-1]) > 40  # so many steps, at least


def test_two_processes_do_not_write_at_once(tmp_path):
    with CollectionWriter(tmp_path / "index"):
        other = "import pathlib, sys, lsr.index\nlsr.index.CollectionWriter(pathlib.Path(sys.argv[1]))"
        command = [sys.executable, "-c", other, str(tmp_path / "index")]
        found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert "StorageError: another process is writing to" in found.stderr


def test_a_linked_folder_is_an_index(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    make(tmp_path / "link", DOCUMENTS[:5])
    make(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(Searcher.open(tmp_path / "link").generation) == len(Searcher.open(tmp_path / "real").generation) == 50


@pytest.mark.parametrize("target", ["nothing", "file"])
def test_a_link_that_leads_to_no_folder_is_refused(tmp_path, target):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(target)
    with pytest.raises(StorageError, match=r"cannot write to .*: (it is a file|File exists); name another folder"):
        make(tmp_path / "link")
    with pytest.raises(StorageError, match=r"no such index|is a file"):
        Searcher.open(tmp_path / "link")


def test_an_index_that_may_only_be_read_is_searched(as_nobody):
    search = "import sys\nfrom lsr.cli import main\nsys.argv[1:] = {}\nmain()\n"
    environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}

    def run(*arguments):
        command = [*as_nobody, sys.executable, "-B", "-c", search.format(list(arguments))]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")

    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        folder = Path(place, "index")
        make(folder)
        found = run("search", str(folder), "word13", "-k", "1")
        assert found.stderr == ""
        assert "d13" in found.stdout
        refused = run("index", str(ROOT / "data" / "sample"), "--out", str(folder), "--encoder", "bm25")
        assert refused.returncode == 2
        assert f"error: cannot write to {folder}: Permission denied; name another folder" in refused.stderr
        refused = run("delete", str(folder), "--id", "d1")
        assert refused.returncode == 2
        assert f"error: cannot write to {folder}: Permission denied" in refused.stderr


def test_a_path_that_is_no_utf_8_holds_an_index(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    make(folder)
    make(folder, DOCUMENTS[:20])
    assert Searcher.open(folder).search("word13")[0].id == "d13"
    assert verify(folder).live_documents == 20
    with Collection.open(folder) as collection:
        collection.add([{"id": "new", "text": "comet"}])
        collection.flush()
        collection.snapshot(folder.with_name(os.fsdecode(b"\xff")))
    restore(folder.with_name(os.fsdecode(b"\xff")), folder.with_name("restored"))
    assert Searcher.open(folder.with_name("restored")).search("comet")[0].id == "new"


def test_settings_are_kept_with_what_was_tuned(tmp_path):
    make(tmp_path / "index")
    tuning = Tuning(1, "", [])
    with Store(tmp_path / "index") as store:
        about = store.about
        store.change_about(
            msgspec.structs.replace(about, tuning=tuning, settings={**about.settings, "cut": 0.3}), "tune"
        )
    with Store(tmp_path / "index") as store:
        stored = store.about
        assert stored.tuning == tuning
        assert store.current.settings.settings.cut == 0.3
    assert replace(IndexSettings.from_dict(stored.settings).settings, cut=0.12) == IndexSettings().settings
    assert Path(tmp_path / "index" / stored.encoder_folder).is_dir()
