"""A folder of an encoder is there whole or not at all."""

import errno
import os
import subprocess
import sys

import pytest

from lsr.encoders.storage.writer import new_folder
from lsr.errors import EncoderError


def test_a_folder_gets_its_name_at_the_end(tmp_path):
    with new_folder(tmp_path / "below" / "encoder") as new:
        (new / "a").write_text("x")
        assert not (tmp_path / "below" / "encoder").exists()
    assert [path.name for path in (tmp_path / "below").rglob("*")] == ["encoder", "a"]
    with pytest.raises(EncoderError, match="is there already: name a new folder"), new_folder(tmp_path / "below"):
        pass


def test_a_fault_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "encoder") as new:  # noqa: PT012
        (new / "a").write_text("x")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_a_kill_leaves_no_encoder(tmp_path):
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom lsr.encoders.storage.writer import new_folder\n"
        "with new_folder(Path(sys.argv[1])) as new:\n    (new / 'a').write_text('x')\n    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "encoder")], check=False)
    assert done.returncode == -9
    assert not (tmp_path / "encoder").exists()


def test_what_a_kill_left_is_removed_by_the_next_writer(tmp_path):
    for process in (2**22 + 1, os.getppid()):
        (tmp_path / f".encoder.{process}.new").mkdir()
    with new_folder(tmp_path / "encoder") as new:
        (new / "a").write_text("x")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f".encoder.{os.getppid()}.new", "encoder"]


def test_two_writers_of_one_folder_are_told_apart(tmp_path):
    with pytest.raises(EncoderError, match="another process wrote it"), new_folder(tmp_path / "encoder"):  # noqa: PT012
        (tmp_path / "encoder").mkdir()
        (tmp_path / "encoder" / "theirs").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["encoder"]


def test_a_full_disk_names_the_folder_that_was_to_be_written(tmp_path):
    with (
        pytest.raises(EncoderError, match=r"cannot write .*/encoder: the disk is full; name another folder"),
        new_folder(tmp_path / "encoder"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device", "/models/source.safetensors")
    assert not list(tmp_path.iterdir())
