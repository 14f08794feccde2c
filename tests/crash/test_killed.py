"""A writer is killed at any moment, again and again on one folder: nothing acknowledged is lost, nothing comes twice.

`make crash` does so 1,000 times.
"""

from __future__ import annotations

import shutil

import pytest

from lsr.errors import LsrError
from tests.crash.killing import Victims
from tests.crash.scale import SCALED
from tests.crash.workload import KINDS, START, Expected, Workload, make

KILLS = 1000 if SCALED else 60
MICROSECONDS = 30_000


@pytest.fixture(scope="module")
def victims():
    with Victims("tests.crash.victims:write") as found:
        yield found


def killed_again_and_again(victims, folder, seeds, safeguards="safeguards"):
    """How many victims a kill ended; what they left is compared each time."""
    docs, kills = START, 0
    for seed in seeds:
        left = victims.kill([str(folder), str(seed), safeguards], seed, 9, MICROSECONDS)
        docs = Expected(docs).done(Workload(seed), left.lines).check(folder)
        for copy in folder.glob("copy-*"):
            shutil.rmtree(copy)
        kills += left.killed
    return kills


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_writer_loses_nothing_that_it_acknowledged(kind, victims, scratch):
    kills = killed_again_and_again(victims, make(scratch, kind), range(KILLS // 2))
    assert kills > KILLS // 3


def test_control_a_writer_without_transactions_leaves_damage(victims, scratch):
    with pytest.raises((LsrError, AssertionError)):
        killed_again_and_again(victims, make(scratch), range(60), "none")
