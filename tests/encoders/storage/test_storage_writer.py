"""A folder of an encoder is there whole or not at all."""

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
