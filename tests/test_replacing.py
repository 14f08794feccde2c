"""A file is replaced whole; a write that fails leaves what was there, and nothing beside it."""

import os
from pathlib import Path

import numpy as np
import pytest

from lsr.errors import InputError
from lsr.replacing import replace_file, save_array


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    replace_file(path, lambda new: new.write_text(path.read_text() + " and new"))
    assert path.read_text() == "old and new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_followed_and_what_is_no_file_stays(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for text in ("one", "two"):
        replace_file(tmp_path / "link", lambda new: new.write_text(text))  # noqa: B023
        assert (tmp_path / "real").read_text() == text
    assert (tmp_path / "link").is_symlink()
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", Path("/dev/null")):
        with pytest.raises(InputError, match=r"is a (folder|device or pipe): name a file"):
            replace_file(path, lambda new: new.write_text("x"))
    assert (tmp_path / "pipe").is_fifo()


def test_a_full_disk_names_the_file(tmp_path):
    def write(new):
        raise OSError("Detail: [errno 28]")  # as pyarrow does

    with pytest.raises(OSError, match="errno 28") as caught:
        replace_file(tmp_path / "f", write)
    assert caught.value.filename == str(tmp_path / "f")


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail(new):
        new.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        replace_file(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_array_comes_back(tmp_path):
    save_array(tmp_path / "a.npy", np.arange(6.0).reshape(2, 3))
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.arange(6.0).reshape(2, 3))
