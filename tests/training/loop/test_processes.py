"""Two processes with half a batch each take the step of one process with all of it."""

import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.encoders.models import bert
from tests.training.one_rank import first_gradients


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def start(folder):
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    shared |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.training.one_rank", str(folder)]
    for rank in ("0", "1"):
        environment = os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank}
        yield subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, cwd=ROOT)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_ranks_lower_the_loss_of_one_with_the_same_gradients(tmp_path):
    bert(tmp_path / "bert")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "bert").symlink_to(tmp_path / "bert")
    started = list(start(tmp_path / "two"))
    made, wanted = first_gradients(tmp_path)
    for process in started:
        assert process.communicate(timeout=100)[1] is not None
    assert [process.returncode for process in started] == [0, 0]
    processes = [load_file(tmp_path / "two" / f"rank-{rank}.safetensors") for rank in (0, 1)]
    for name, value in wanted.items():
        assert torch.allclose(value, processes[0][name], rtol=1e-4, atol=1e-5), name
    for name, value in processes[0].items():
        assert torch.equal(value, processes[1][name]), name
    lines = (tmp_path / "two" / "run" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 4 + 3  # steps and measurements, each written by one process only
    made.folder.close()
