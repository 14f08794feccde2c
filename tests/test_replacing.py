"""A file is replaced whole; a write that fails leaves what was there, and nothing beside it."""

import numpy as np
import pytest

from lsr.replacing import replace_file, save_array


def test_a_file_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    replace_file(path, lambda new: new.write_text(path.read_text() + " and new"))
    assert path.read_text() == "old and new"
    assert list(tmp_path.iterdir()) == [path]


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
