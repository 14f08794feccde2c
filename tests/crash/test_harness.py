"""The harness sees faults: a sound program passes, each unsound one is caught."""

import errno
import io
import os
import shutil
import sqlite3
import tempfile
import threading
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.crash import toy_programs as toy
from tests.crash.killing import Victims
from tests.crash.operations import Operations, PowerCut
from tests.crash.power_loss import Disk
from tests.crash.record import Record
from tests.crash.sqlite_faults import SqliteFaults, why_not
from tests.crash.sweeps import every_fault, power_cuts

NO_SQLITE = why_not()
needs_sqlite = pytest.mark.skipif(NO_SQLITE is not None, reason=NO_SQLITE or "")


@pytest.fixture
def start(tmp_path):
    folder = tmp_path / "start"
    folder.mkdir()
    toy.make_database(folder)
    return folder


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "folder"
    path.mkdir()
    return path


def lost(trials, found):
    """How many trials broke a promise, or left something broken."""
    broken = 0
    for trial in trials:
        try:
            broken += not set(trial.acknowledged) <= set(found(trial.folder))
        except (AssertionError, sqlite3.Error, OSError, UnicodeDecodeError):
            broken += 1
    return broken


@needs_sqlite
def test_sqlite_that_syncs_loses_no_acknowledged_row(start, tmp_path):
    heard = 0
    for trial in power_cuts(start, tmp_path, toy.append_rows, range(200)):
        rows = toy.rows_of(trial.folder)
        assert rows == list(range(len(rows))), trial
        assert len(rows) - len(trial.acknowledged) in (0, 1), trial
        heard += len(trial.acknowledged)
    assert heard > 200


@needs_sqlite
@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_control_sqlite_that_does_not_sync_loses_rows(start, tmp_path, synchronous):
    work = partial(toy.append_rows, synchronous=synchronous)
    assert lost(power_cuts(start, tmp_path, work, range(40)), toy.rows_of)


@needs_sqlite
@pytest.mark.parametrize(("synchronous", "sound"), [("FULL", False), ("EXTRA", True)])
def test_sqlite_without_a_log_keeps_rows_only_with_extra_syncs(start, tmp_path, synchronous, sound):
    """FULL does not sync the folder after the journal is deleted: it may come back, and undo a commit."""
    work = partial(toy.append_rows, synchronous=synchronous, journal="DELETE")
    assert bool(lost(power_cuts(start, tmp_path, work, range(60)), toy.rows_of)) != sound


@needs_sqlite
@pytest.mark.parametrize("rows_first", [False, True])
def test_a_row_may_not_come_before_its_file(start, tmp_path, rows_first):
    work = partial(toy.append_segments, rows_first=rows_first)
    assert bool(lost(power_cuts(start, tmp_path, work, range(100), images=2), toy.segments_of)) == rows_first


@needs_sqlite
def test_control_a_disk_that_lies_loses_rows(start, tmp_path):
    assert lost(power_cuts(start, tmp_path, toy.append_rows, range(40), honest=False), toy.rows_of)


@needs_sqlite
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_transaction_is_there_or_not_whatever_fails(start, tmp_path, mode):
    def work(folder, acknowledge):
        with closing(sqlite3.connect(folder / toy.DATABASE, isolation_level=None)) as database:
            database.execute(f"PRAGMA journal_mode={mode}")
            database.execute("PRAGMA cache_spill=OFF")
            database.execute("BEGIN IMMEDIATE")
            for number in range(20):
                database.execute("INSERT INTO rows VALUES (?, ?)", (number, toy.text_of(number)))
            database.execute("COMMIT")
            acknowledge("all")

    left = set()
    for trial in every_fault(start, tmp_path, work):
        assert isinstance(trial.error, sqlite3.Error | None), trial
        rows = toy.rows_of(trial.folder)
        assert rows in ([], [*range(20)]), trial
        assert rows or not trial.acknowledged, trial
        left.add(len(rows))
    assert left == {0, 20}


@needs_sqlite
def test_sqlite_gets_the_code_of_the_fault(start):
    codes = set()
    with Disk(start) as disk:
        for what in ("write", "sync"):
            for kind in ("full", "io", "short"):
                with disk.failing(1, kind, only={what}) as happening, pytest.raises(sqlite3.OperationalError) as caught:
                    toy.append_rows(start, print, 1)
                assert happening.operation
                assert happening.operation.what == what
                codes.add((what, kind, caught.value.sqlite_errorname))
    assert codes == {
        ("write", "full", "SQLITE_FULL"),
        ("write", "io", "SQLITE_IOERR_WRITE"),
        ("write", "short", "SQLITE_FULL"),
        ("sync", "full", "SQLITE_FULL"),
        ("sync", "io", "SQLITE_IOERR_FSYNC"),
        ("sync", "short", "SQLITE_FULL"),
    }


@needs_sqlite
def test_the_default_vfs_comes_back(start):
    def names():
        with closing(sqlite3.connect(start / toy.DATABASE)) as database:
            return database.execute("PRAGMA journal_mode").fetchall()

    with Disk(start) as disk:
        assert disk.count(lambda: toy.append_rows(start, print, 1)) > 3
        before = len(disk.log)
    toy.append_rows(start, print, 1)
    assert names() == [("wal",)]
    assert len(disk.log) == before


@needs_sqlite
def test_a_database_may_ask_for_faults_by_name(start):
    def add(place, uri):
        with closing(sqlite3.connect(place, uri=uri, isolation_level=None)) as database:
            database.execute("INSERT INTO rows (text) VALUES ('x')")

    operations, record = Operations(), Record(start)
    with closing(record), SqliteFaults(operations, record, default=False):
        assert operations.count(lambda: add(start / toy.DATABASE, False)) == 0
        assert operations.count(lambda: add(f"file:{start / toy.DATABASE}?vfs=faulty", True)) > 1


@needs_sqlite
def test_two_disks_do_not_disturb_each_other(start, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    toy.make_database(other)
    with Disk(start) as one, Disk(other) as two:
        assert one.count(lambda: toy.append_segments(other, print)) == 0
        assert two.count(lambda: toy.append_segments(start, print)) == 0
        assert [what for what, _ in one.log] == [what for what, _ in two.log]
        assert all(path.startswith(str(other)) for _, path in two.log)


@needs_sqlite
def test_threads_are_numbered_together(start):
    def work(number):
        (start / f"{number}").mkdir()
        toy.append_files(start / f"{number}", heard.append, 20)
        with closing(sqlite3.connect(start / toy.DATABASE, isolation_level=None, timeout=60)) as database:
            for row in range(number * 10, number * 10 + 10):
                database.execute("INSERT INTO rows VALUES (?, ?)", (row, toy.text_of(row)))

    heard: list[int] = []
    with Disk(start) as disk:
        threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(one.what == "rename" for one in disk.log) == len(heard) == 80
    assert toy.rows_of(start) == [*range(40)]


def test_files_that_are_synced_are_kept(folder, tmp_path):
    for trial in power_cuts(folder, tmp_path, toy.append_files, range(200)):
        found = toy.files_of(trial.folder)
        assert len(found) - len(trial.acknowledged) in (0, 1), trial


@pytest.mark.parametrize(
    "flaw", [{"sync": False}, {"sync_folder": False}, {"rename_first": True}], ids=lambda flaw: next(iter(flaw))
)
def test_control_a_flaw_in_the_order_is_seen(folder, tmp_path, flaw):
    assert lost(power_cuts(folder, tmp_path, partial(toy.append_files, **flaw), range(60)), toy.files_of)


def test_control_a_disk_that_lies_loses_files(folder, tmp_path):
    assert lost(power_cuts(folder, tmp_path, toy.append_files, range(20), honest=False), toy.files_of)


def test_every_fault_of_a_file_leaves_whole_files(folder, tmp_path):
    kinds = set()
    for trial in every_fault(folder, tmp_path, partial(toy.append_files, files=2)):
        assert isinstance(trial.error, OSError), trial
        assert trial.error.errno == (errno.EIO if trial.kind == "io" else errno.ENOSPC)
        assert set(trial.acknowledged) <= set(toy.files_of(trial.folder)) <= {0, 1}
        assert trial.operation
        kinds.add(trial.operation.what)
    assert kinds == {"create", "write", "sync", "rename"}


@pytest.mark.parametrize("sync_again", [False, True])
def test_a_sync_that_failed_is_not_made_good_by_another(folder, tmp_path, sync_again):
    work = partial(toy.append_files, files=2, sync_again=sync_again)
    trials = every_fault(folder, tmp_path, work, images=10)
    assert bool(lost(trials, toy.files_of)) == sync_again


def test_a_file_that_is_written_anew_is_trusted_again(folder, tmp_path):
    with Disk(folder) as disk:
        for at in (1, 2):
            with disk.failing(at, "io", only={"sync"}), suppress(OSError), (folder / "file").open("wb") as file:
                file.write(b"x" * 3000)
                file.flush()
                os.fsync(file.fileno())
        sync(folder)
        assert {found["file"].read_bytes() for found in images(disk, tmp_path)} == {b"x" * 3000}


def test_a_short_write_writes_half(folder):
    with Disk(folder) as disk, disk.failing(1, "short", only={"write"}):
        with pytest.raises(OSError, match="No space"):
            (folder / "file").write_bytes(b"0123456789")
        (folder / "other").write_bytes(b"after")
    assert (folder / "other").read_bytes() == b"after"


def test_a_short_write_without_a_buffer_stays_half(folder):
    with Disk(folder) as disk, disk.failing(1, "short", only={"write"}):
        with (folder / "file").open("wb", buffering=0) as file, suppress(OSError):
            file.write(b"0123456789")
        descriptor = os.open(folder / "descriptor", os.O_CREAT | os.O_WRONLY)
        os.write(descriptor, b"whole")
        os.close(descriptor)
    assert (folder / "file").read_bytes() == b"01234"
    assert (folder / "descriptor").read_bytes() == b"whole"


WRITERS = {
    "bytes": lambda path: path.write_bytes(b"x" * 9000),
    "text": lambda path: path.write_text("x" * 9000),
    "io.open": lambda path: io.open(path, "x").close(),  # noqa: UP020
    "np.save": lambda path: _with(path, lambda file: np.save(file, np.arange(9000))),
    "np.save of a path": lambda path: np.save(path, np.arange(9000)),
    "np.savez": lambda path: np.savez(path, a=np.arange(9000)),
    "tofile": lambda path: _with(path, np.arange(9000).tofile),
    "tofile of a path": lambda path: np.arange(9000).tofile(path),
    "ipc": lambda path: _with(path, _ipc),
    "parquet": lambda path: _with(path, partial(pq.write_table, pa.table({"a": [1, 2, 3]}))),
    "copyfile": lambda path: shutil.copyfile(__file__, path),
    "copytree": lambda path: shutil.copytree(Path(__file__).parent, path, ignore=lambda *_: ["__pycache__"]),
    "mkdir": lambda path: path.mkdir(),
    "makedirs": lambda path: os.makedirs(path / "deep" / "er"),  # noqa: PTH103
    "tempfile": lambda path: _temporary(path.parent),
    "os.open": lambda path: os.close(os.open(path, os.O_CREAT | os.O_RDWR)),
    "os.fdopen": lambda path: _with_descriptor(os.open(path, os.O_CREAT | os.O_WRONLY)),
    "mkstemp": lambda path: _with_descriptor(tempfile.mkstemp(dir=path.parent)[0]),
    "symlink": lambda path: path.symlink_to("nowhere"),
}


def _with(path, write):
    with path.open("wb") as file:
        write(file)


def _with_descriptor(descriptor):
    with os.fdopen(descriptor, "w") as file:
        file.write("text")


def _ipc(file):
    table = pa.table({"a": [1, 2, 3]})
    with pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _temporary(folder):
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        file.write(b"x" * 100)


@pytest.mark.parametrize("name", WRITERS)
def test_each_way_to_write_is_seen_and_fails(folder, name):
    with Disk(folder) as disk:
        operations = disk.count(lambda: WRITERS[name](folder / "file.npy"))
        assert operations > (name not in {"io.open", "mkdir", "os.open", "symlink"})
        assert not disk.bypassed()
        written = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    shutil.rmtree(folder)
    for at in range(1, operations + 1):
        folder.mkdir()
        with Disk(folder) as disk, disk.failing(at, "io", once=False), suppress(OSError):
            WRITERS[name](folder / "file.npy")
            raise AssertionError(disk.log)
        shutil.rmtree(folder)
    assert len(written) >= (name not in {"mkdir", "makedirs", "symlink"})


def test_what_is_written_is_what_would_be_written_without(folder, tmp_path):
    for name in ("bytes", "np.save", "tofile", "ipc", "parquet", "copyfile", "np.save of a path"):
        with Disk(folder):
            WRITERS[name](folder / f"{name}.npy")
        WRITERS[name](tmp_path / f"{name}.npy")
        assert (folder / f"{name}.npy").read_bytes() == (tmp_path / f"{name}.npy").read_bytes(), name


def test_what_passes_by_is_told(folder, tmp_path):
    with Disk(folder) as disk:
        (folder / "seen").write_text("seen")
        with pa.OSFile(str(folder / "unseen"), "wb") as file:
            file.write(b"unseen")
        pq.write_table(pa.table({"a": [1]}), folder / "table")
        assert disk.bypassed() == [disk.record.folder / name for name in ("table", "unseen")]
        images = [disk.image(tmp_path / f"image{seed}", seed) for seed in range(20)]
    assert {(image / "unseen").exists() for image in images} == {True, False}


@pytest.mark.parametrize("name", ["ipc", "parquet", "tofile", "np.save", "copyfile"])
def test_the_power_can_go_below_c_code(folder, name):
    with Disk(folder) as disk:
        with disk.cut_after(1, only={"write"}):
            WRITERS[name](folder / "file")
        assert not disk.on
    assert [path.read_bytes() for path in folder.iterdir()] == [b""]


@pytest.mark.parametrize("pass_by", [False, True])
def test_a_power_cut_ends_everything(folder, pass_by):
    """Also what comes later, by other means and in other threads."""
    with Disk(folder) as disk:
        with disk.cut_after(2):
            (folder / "first").mkdir()
            if pass_by:
                with suppress(Exception):
                    (folder / "second").mkdir()
            (folder / "third").mkdir()
        assert not disk.on
        for change in (lambda: (folder / "x").touch(), lambda: (folder / "first").rmdir()):
            with pytest.raises(PowerCut):
                change()
        caught = []
        thread = threading.Thread(target=lambda: caught.append(raised(lambda: (folder / "y").write_text("y"))))
        thread.start()
        thread.join()
        assert caught == [PowerCut]
    assert [path.name for path in folder.iterdir()] == ["first"]


def raised(work):
    try:
        work()
    except BaseException as error:  # noqa: BLE001
        return type(error)
    return None


def test_errors_before_a_cut_are_the_programs_own(folder):
    with Disk(folder) as disk, pytest.raises(ZeroDivisionError), disk.cut_after(100):
        _ = 1 / 0


def images(disk, tmp_path, seeds=60):
    made = [disk.image(tmp_path / f"image{seed}", seed) for seed in range(seeds)]
    return [{str(path.relative_to(image)): path for path in image.rglob("*")} for image in made]


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)


def test_synced_bytes_stay_and_others_may_be_anything(folder, tmp_path):
    (folder / "file").write_bytes(b"a" * 3000)
    with Disk(folder) as disk:
        with (folder / "file").open("r+b") as file:
            file.seek(600)
            file.write(b"b" * 1000)
            file.seek(0, 2)
            file.write(b"c" * 3000)
        contents = {found["file"].read_bytes() for found in images(disk, tmp_path)}
    assert len(contents) > 20
    for content in contents:
        assert content[:600] == b"a" * 600
        assert content[1600:3000] == b"a" * 1400
        assert set(content[600:1600]) <= set(b"ab\0")
        assert set(content[3000:]) <= set(b"c\0")
    assert b"a" * 3000 in contents
    assert b"a" * 600 + b"b" * 1000 + b"a" * 1400 + b"c" * 3000 in contents


def test_a_rewritten_file_may_be_empty(folder, tmp_path):
    (folder / "file").write_bytes(b"a" * 3000)
    with Disk(folder) as disk:
        (folder / "file").write_bytes(b"a" * 3000)
        sizes = {found["file"].stat().st_size for found in images(disk, tmp_path)}
    assert {0, 3000} < sizes


def test_a_file_is_shortened_at_once(folder, tmp_path):
    (folder / "file").write_bytes(b"a" * 3000)
    with Disk(folder) as disk:
        os.truncate(folder / "file", 1000)
        contents = {found["file"].read_bytes() for found in images(disk, tmp_path)}
    assert contents == {b"a" * 1000, b"a" * 3000}


def test_names_are_those_of_the_last_sync_of_their_folder(folder, tmp_path):
    (folder / "from").mkdir()
    (folder / "to").mkdir()
    (folder / "from" / "old").write_text("old")
    with Disk(folder) as disk:
        (folder / "from" / "old").rename(folder / "to" / "new")
        before = {tuple(sorted(found)) for found in images(disk, tmp_path / "a")}
        assert before == {("from", "from/old", "to"), ("from", "to", "to/new")}
        sync(folder / "from")
        assert {tuple(sorted(found)) for found in images(disk, tmp_path / "b")} == before
        sync(folder / "to")
        assert {tuple(sorted(found)) for found in images(disk, tmp_path / "c")} == {("from", "to", "to/new")}


def test_a_folder_moves_with_all_that_is_in_it(folder, tmp_path):
    with Disk(folder) as disk:
        (folder / "new").mkdir()
        (folder / "new" / "file").write_text("content")
        sync(folder / "new" / "file")
        sync(folder / "new")
        (folder / "new").rename(folder / "place")
        found = {tuple(sorted(one)) for one in images(disk, tmp_path / "a")}
        assert found == {(), ("new", "new/file"), ("place", "place/file")}
        sync(folder)
        assert {tuple(sorted(one)) for one in images(disk, tmp_path / "b")} == {("place", "place/file")}
        shutil.rmtree(folder / "place")
        assert ("place", "place/file") in {tuple(sorted(one)) for one in images(disk, tmp_path / "c")}


def test_a_file_that_was_removed_or_replaced_may_come_back(folder, tmp_path):
    (folder / "gone").write_text("gone")
    (folder / "file").write_text("old")
    with Disk(folder) as disk:
        (folder / "gone").unlink()
        (folder / "file.new").write_text("new")
        sync(folder / "file.new")
        (folder / "file.new").replace(folder / "file")
        found = images(disk, tmp_path / "a")
        assert {"gone" in one for one in found} == {True, False}
        assert {one["file"].read_text() for one in found} == {"old", "new"}
        sync(folder)
        assert all(set(one) == {"file"} and one["file"].read_text() == "new" for one in images(disk, tmp_path / "b"))


def test_a_second_name_is_the_same_file(folder, tmp_path):
    with Disk(folder) as disk:
        (folder / "one").write_text("content" * 100)
        os.link(folder / "one", folder / "two")
        sync(folder)
        for found in images(disk, tmp_path):
            assert found["one"].samefile(found["two"])


def test_an_image_is_its_seeds(folder, tmp_path):
    with Disk(folder) as disk:
        for number in range(10):
            (folder / f"{number}").write_text(toy.text_of(number))
        first, again = (images(disk, tmp_path / name, 10) for name in "ab")
    assert [{name: path.read_bytes() for name, path in one.items()} for one in first] == [
        {name: path.read_bytes() for name, path in one.items()} for one in again
    ]


@needs_sqlite
def test_the_memory_of_the_log_is_never_in_an_image(start, tmp_path):
    with Disk(start) as disk, closing(sqlite3.connect(start / toy.DATABASE)) as database:
        database.execute("INSERT INTO rows VALUES (0, 'x')")
        database.commit()
        assert (start / f"{toy.DATABASE}-shm").exists()
        assert set().union(*images(disk, tmp_path / "images")) == {toy.DATABASE, f"{toy.DATABASE}-wal"}
        assert not disk.bypassed()


@needs_sqlite
def test_an_error_of_the_harness_itself_is_raised_at_the_end(start, monkeypatch):
    def fail(*_):
        raise ZeroDivisionError

    disk = Disk(start)
    monkeypatch.setattr(disk.operations, "step", fail)
    disk.__enter__()
    with pytest.raises(sqlite3.OperationalError):
        toy.append_rows(start, print, 1)
    with pytest.raises(ZeroDivisionError):
        disk.__exit__()


def test_a_killed_process_keeps_what_it_acknowledged(start):
    lines, killed = 0, 0
    with Victims("tests.crash.toy_programs:victim") as victims:
        assert len(victims.run([str(start), "3"])) == 3
        for seed in range(40):
            before = len(toy.rows_of(start))
            trial = victims.kill([str(start), "12"], seed)
            rows = toy.rows_of(start)
            assert rows == [*range(len(rows))]
            assert len(rows) - before - len(trial.lines) in (0, 1)
            lines, killed = lines + len(trial.lines), killed + trial.killed
        victims.kill_in_time([str(start), "12"], 0, 0.01)
    assert lines
    assert killed > 20


def test_control_a_promise_before_the_commit_is_seen_to_break(start):
    broken = 0
    with Victims("tests.crash.toy_programs:hasty_victim") as victims:
        for seed in range(30):
            before = len(toy.rows_of(start))
            heard = len(victims.kill([str(start)], seed, lines=5, microseconds=200).lines)
            broken += len(toy.rows_of(start)) - before < heard
    assert broken
