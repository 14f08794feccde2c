"""Who writes an index: one at a time, whole or not at all, and nothing of others is touched."""

import errno
import fcntl
import os
import resource
import shutil
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from lsr.corpus import Document
from lsr.encoders import load
from lsr.errors import StorageError
from lsr.index import Collection, CollectionWriter, IndexSettings, Tuning, store_tuning
from lsr.index.storage import generations
from lsr.retrieval import Searcher, index_documents
from tests.conftest import ROOT

DOCUMENTS = [Document(f"d{i}", "", f"common word{i} word{i % 7}") for i in range(50)]


def make(folder, documents=DOCUMENTS, engine="windowed"):
    return index_documents(documents, load("bm25"), folder, IndexSettings(engine))


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("documents", [[], DOCUMENTS])
@pytest.mark.parametrize(
    "name",
    ["generation-7/f", "generation-000001/documents.arrow", "generation-x", "notes.txt", ".hidden", "manifest/x"],
)
def test_a_folder_without_a_manifest_is_somebody_elses(tmp_path, name, documents):
    (tmp_path / "d" / name).parent.mkdir(parents=True)
    (tmp_path / "d" / name).write_text("mine")
    with pytest.raises(StorageError, match=r"holds other files \(.*name a new or empty --out folder"):
        make(tmp_path / "d", documents)
    assert tree(tmp_path / "d") == {name: b"mine"}


@pytest.mark.parametrize(
    "copy", ["generation-000001.bak", "generation-000009", "generation-1", "generation-99999999999", "generation-old"]
)
def test_copies_of_a_generation_and_other_files_stay(tmp_path, copy):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:5])
    shutil.copytree(folder / "generation-000001", folder / copy)
    (folder / "notes.txt").write_text("mine")
    (folder / "generation-0000077").mkdir()
    kept = tree(folder / copy)
    for size in (6, 7):
        make(folder, DOCUMENTS[:size])
        assert len(Searcher.open(folder).generation) == size
    assert tree(folder / copy) == kept
    assert (folder / "notes.txt").read_text() == "mine"
    assert (folder / "generation-0000077").is_dir()
    assert len([path for path in folder.glob("generation-*") if generations.is_ours(path)]) == 1


def test_a_linked_generation_is_not_followed(tmp_path):
    make(tmp_path / "index", DOCUMENTS[:5])
    make(tmp_path / "other", DOCUMENTS[:5])
    (tmp_path / "index" / "generation-000005").symlink_to(tmp_path / "other" / "generation-000001")
    make(tmp_path / "index")
    assert len(Searcher.open(tmp_path / "other").generation) == 5


def test_a_manifest_that_names_another_folder_makes_nobody_remove_it(tmp_path):
    make(tmp_path / "index", DOCUMENTS[:5])
    (tmp_path / "index" / "photos").mkdir()
    (tmp_path / "index" / "photos" / "x").write_text("mine")
    manifest = (tmp_path / "index" / "manifest.json").read_text()
    (tmp_path / "index" / "manifest.json").write_text(
        manifest.replace('"generation-000001/encoder"', '"photos/encoder"')
    )
    make(tmp_path / "index")
    assert (tmp_path / "index" / "photos" / "x").read_text() == "mine"


def test_a_manifest_of_another_program_is_not_replaced(tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "a web page", "icons": []}')
    (tmp_path / "icon.png").write_text("mine")
    (tmp_path / ".lock").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(StorageError, match="holds other files"):
        make(tmp_path)
    assert tree(tmp_path) == before


def test_a_broken_manifest_beside_a_generation_of_ours_is_replaced(tmp_path):
    make(tmp_path / "index", DOCUMENTS[:5])
    (tmp_path / "index" / "manifest.json").write_text("{")
    make(tmp_path / "index")
    assert len(Searcher.open(tmp_path / "index").generation) == 50
    assert len(list((tmp_path / "index").glob("generation-*"))) == 1


def test_what_somebody_puts_into_a_new_folder_meanwhile_stays(tmp_path):
    with CollectionWriter(tmp_path / "index"):
        (tmp_path / "index" / "notes.txt").write_text("mine")
    assert tree(tmp_path / "index") == {"notes.txt": b"mine"}


def test_a_generation_that_was_half_removed_is_removed_by_the_next(tmp_path, monkeypatch):
    folder = tmp_path / "index"
    make(folder, DOCUMENTS[:40])

    def killed(path, ignore_errors):
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        make(folder)
    monkeypatch.undo()
    assert len(list(folder.glob("generation-*"))) == 2
    make(folder)
    assert len(list(folder.glob("generation-*"))) == 1


def test_tuning_of_an_index_that_was_replaced_is_refused(tmp_path):
    folder = tmp_path / "index"
    for first in (DOCUMENTS[:40], DOCUMENTS[:30]):
        make(folder, first)
        measured = Searcher.open(folder).generation
        make(folder, engine="seismic")
        with pytest.raises(StorageError, match="was replaced while it was measured: tune the new index again"):
            store_tuning(folder, measured.manifest, Tuning(1, "", []), {"cut": 0.3, "effort": 2.0})
        shutil.rmtree(folder)
        make(folder, engine="seismic")  # generation 1 again
        with pytest.raises(StorageError, match="was replaced"):
            store_tuning(folder, measured.manifest, Tuning(1, "", []), {"cut": 0.3, "effort": 2.0})
        assert len(Searcher.open(folder).search("common", 60)) == 50
    now = Searcher.open(folder).generation.manifest
    again = store_tuning(folder, now, Tuning(1, "", []), {"query_cut": 3})
    assert store_tuning(folder, now, Tuning(2, "", []), {}).settings == again.settings  # tuned twice is no replacement


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
        for _ in range(150):
            assert Searcher.open(folder).search("word13", exact=True)[0].id == "d13"
        assert not first.generation.is_current()
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
    assert tree(tmp_path / "index") == before


@pytest.mark.parametrize("most", [10, 500, 1_000])
@pytest.mark.parametrize("before", [True, False])
def test_a_disk_that_takes_no_more_leaves_the_old_index(tmp_path, most, before):
    folder = tmp_path / "index"
    if before:
        make(folder, DOCUMENTS[:5])
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, old[1]))
    try:
        with pytest.raises(StorageError, match=rf"cannot write to {folder}: File too large; name another folder"):
            make(folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert folder.exists() == before
    if before:
        assert Collection.verify(folder).documents == 5
        assert [path.name for path in folder.glob("generation-*")] == ["generation-000001"]


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


def test_a_full_disk_is_not_kept_full(tmp_path):
    few = tmp_path / "few.jsonl"
    few.write_text('{"_id": "a", "text": "bees dance"}\n')
    script = FULL_DISK.format(size="500k", folder=tmp_path, root=ROOT, python=sys.executable, few="-")
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
from lsr.index import Collection
from lsr.retrieval import Searcher, index_documents

folder, how, rest, seen = Path(sys.argv[1]), sys.argv[2], 10**9, 0
TOUCH = "open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree"

def hook(event, arguments):
    global seen
    if event in TOUCH and str(arguments[0]).startswith(str(folder)):
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
        size = Collection.verify(folder).documents
        found = len(Searcher.open(folder).search("common", 99, exact=True))
        assert size == found and size in (20, 50), (number, size, found)
        if ended == 0:
            break
        assert ended == (-signal.SIGKILL if how == "kill" else 1)
        make(20)
        assert len(list(folder.glob("generation-*"))) == 1, number
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


def test_a_path_that_is_no_utf_8_holds_an_index(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    make(folder)
    make(folder, DOCUMENTS[:20])
    assert Searcher.open(folder).search("word13")[0].id == "d13"
    assert Collection.verify(folder).documents == 20


def test_settings_are_kept_with_what_was_tuned(tmp_path):
    make(tmp_path / "index")
    manifest = Searcher.open(tmp_path / "index").generation.manifest
    stored = store_tuning(tmp_path / "index", manifest, Tuning(1, "", []), {"cut": 0.3})
    assert replace(IndexSettings.from_dict(stored.settings).settings, cut=0.12) == IndexSettings().settings
    assert Path(tmp_path / "index" / stored.encoder_folder).is_dir()
