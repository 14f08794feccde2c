"""Several threads and processes on one collection: each sees one generation at a time, and the newest soon."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

import lsr
from lsr.encoders import load
from lsr.encoders.lexical.precomputed import PrecomputedVectors
from lsr.errors import StorageError
from lsr.formats import Vocabulary
from lsr.index import Store
from lsr.index.live import tiers
from tests.conftest import ROOT
from tests.crash.conftest import scratch  # noqa: F401  a folder in memory
from tests.crash.power_loss import Disk
from tests.crash.sqlite_faults import why_not
from tests.index.live.reading import DOCUMENTS, LAST, REFRESH, documents, look

NO_SQLITE = why_not()
VERSIONS = 25


@pytest.fixture(params=["given", "bm25"])
def folder(request, scratch, monkeypatch):  # noqa: F811
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 20)
    vocabulary = Vocabulary()
    vocabulary.widen(20)
    encoder = PrecomputedVectors(vocabulary) if request.param == "given" else load("bm25:none")
    lsr.Collection.create(scratch / "shop", documents(0), encoder).close()
    return scratch / "shop"


def change_often(collection, versions=VERSIONS):
    """One version after the other, with merges and compactions; when the last one was acknowledged."""
    for version in [*range(1, versions), LAST]:
        collection.upsert(documents(version))
        if version % 5 == 0:
            collection.flush()
        if version % 10 == 0:
            collection.compact()
    return time.time()


def together(*works):
    """Run all at once; the first error of any of them is raised."""
    errors = []

    def run(work):
        try:
            work()
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def looking(collection, done, pause=0.002):
    """Looks until it is done; each version is as new as the one before."""

    def work():
        seen = 0
        while not done.is_set():
            version = look(collection)
            assert version >= seen
            seen = version
            time.sleep(pause)  # lets others have the processor
        assert look(collection) == LAST

    return work


@pytest.mark.parametrize("background", [False, True])
def test_readers_see_one_generation_while_segments_are_merged(folder, background):
    done = threading.Event()

    def write():
        try:
            change_often(writer, 6 if background else VERSIONS)
        finally:
            time.sleep(2 * REFRESH)
            done.set()

    with (
        lsr.Collection.open(folder, background=background) as writer,
        lsr.Collection.open(folder, refresh=0.0) as other,
    ):
        pause = 0.05 if background else 0.002  # segments are written by a process that gives way to others
        together(write, looking(writer, done, pause), looking(other, done, pause))


def test_another_process_moves_on_within_its_refresh(folder):
    command = [sys.executable, "-m", "tests.index.live.reading", str(folder)]
    with (
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as reader,
        lsr.Collection.open(folder, background=False) as writer,
    ):
        assert reader.stdout is not None
        reader.stdout.readline()
        last = change_often(writer)
        said, fault = reader.communicate(timeout=60)
    assert reader.returncode == 0, fault
    seen, at = said.split()
    assert int(seen) > 2
    assert float(at) - last < REFRESH + 3, "a machine that is busy may take long, but not this long"


def test_a_reader_whose_segments_are_gone_still_reads_them(folder):
    with lsr.Collection.open(folder, background=False) as writer, lsr.Collection.open(folder, refresh=99) as reader:
        change_often(writer, 12)
        assert not {name for name, *_ in reader.store.current.pieces()} & {
            f"segments/{path.name}" for path in (folder / "segments").iterdir()
        }
        assert look(reader) == 0


def test_threads_of_one_process_write_and_read(folder):
    def write(name):
        for at in range(15):
            collection.upsert([{"id": f"{name}{at}", "text": f"{name}{at} 10", "price": at}])
            if at % 5 == 4:
                collection.delete(f"{name}{at}")

    def read():
        for _ in range(30):
            hits = collection.search("10", 99, exact=True)
            assert len({hit.id for hit in hits}) == len(hits)
            collection.at(collection.generation)

    with lsr.Collection.open(folder, background=False) as collection:
        together(lambda: write("a"), lambda: write("b"), read, read)
        wanted = {f"{name}{at}" for name in "ab" for at in range(15) if at % 5 != 4} | {
            f"d{i}" for i in range(DOCUMENTS)
        }
        assert sorted(found.id for found in collection) == sorted(wanted)
        seen = collection.searcher.encoder.seen()
        if seen is not None:
            assert seen.documents == len(wanted)
            assert [hit.id for hit in collection.search("b3", 5)] == ["b3"]


@pytest.mark.parametrize("background", [False, True])
def test_two_syncs_at_once_leave_what_one_of_them_says(folder, background):
    sources = [[{"id": f"{name}{at}", "text": "10 11"} for at in range(30)] for name in "ab"]
    with lsr.Collection.open(folder, background=background) as collection:
        for _ in range(1 if background else 4):
            together(*(lambda own=own: collection.sync(own) for own in sources))
            found = sorted(document.id for document in collection)
            assert found in [sorted(one["id"] for one in own) for own in sources]


def refusal(call, *arguments):
    """The one line that a call is refused with."""
    with pytest.raises(StorageError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_second_writer_is_told_who_writes(folder):
    with lsr.Collection.open(folder) as first, lsr.Collection.open(folder) as second:
        first.delete("d0")
        said = refusal(second.delete, "d1")
        assert re.fullmatch(
            rf"another process is writing to {folder} \(pid {os.getpid()} on {socket.gethostname()}, "
            r"since 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00\): wait for it, or name another folder",
            said,
        )
        second.store.refresh()
        assert len(second) == DOCUMENTS - 1
        first.close()
        assert second.delete("d1").deleted == 1


def test_a_newer_format_is_refused(folder):
    with Store(folder) as store:
        store.change_about(msgspec.structs.replace(store.about, version=4), "test")
    said = refusal(lsr.Collection.open, folder)
    assert "4" in said
    assert "newer" in said


@pytest.mark.skipif(NO_SQLITE is not None, reason=NO_SQLITE or "")
def test_a_full_disk_is_said_and_got_over(folder):
    with Disk(folder) as disk, lsr.Collection.open(folder, background=False) as collection:
        with disk.failing(1, "full", once=False):
            for _ in range(2):
                assert "the disk is full" in refusal(collection.upsert, documents(5))
        assert look(collection) == 0
        collection.upsert(documents(5))
        with disk.failing(1, "full", once=False):
            assert "the disk is full" in refusal(collection.flush)
            assert look(collection) == 5
        collection.flush()
        assert look(collection) == 5


def test_a_folder_that_may_only_be_read_is_searched(as_nobody):
    code = (
        "import lsr, sys\n"
        "with lsr.Collection.open(sys.argv[1]) as found:\n"
        "    print([hit.id for hit in found.search('10', 1)])\n"
        "    try: found.delete('d1')\n"
        "    except lsr.LsrError as error: print(error)\n"
    )
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        lsr.Collection.create(Path(place, "shop"), documents(0), load("bm25:none")).close()
        environment = {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}
        command = [*as_nobody, sys.executable, "-B", "-c", code, str(Path(place, "shop"))]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/")
    assert done.stderr == ""
    found, said = done.stdout.splitlines()
    assert found == "['d0']"
    assert said.startswith(f"cannot write to {place}/shop: Permission denied")
