"""The power goes at any moment, and files that were not synced are old, new, in between, zero, short or empty.

`make crash` does so 5,000 times.
"""

from __future__ import annotations

from functools import partial

import pytest

from lsr.errors import LsrError
from tests.crash import unsafe
from tests.crash.scale import SCALED
from tests.crash.sqlite_faults import why_not
from tests.crash.sweeps import power_cuts
from tests.crash.workload import KINDS, START, Expected, Workload, make, perform

WORKLOADS, EACH = (100, 50) if SCALED else (10, 20)
NO_SQLITE = why_not()
pytestmark = [
    pytest.mark.skipif(NO_SQLITE is not None, reason=NO_SQLITE or ""),
    pytest.mark.usefixtures("small_segments"),
    pytest.mark.timeout(7200 if SCALED else 300),
]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_acknowledged_outlasts_the_power(kind, scratch):
    start, heard = make(scratch / "start", kind), 0
    for seed in range(KINDS.index(kind), WORKLOADS, len(KINDS)):
        workload = Workload(seed, 8)
        for trial in power_cuts(start, scratch, partial(perform, workload=workload), range(EACH)):
            Expected(START).done(workload, trial.acknowledged).check(trial.folder)
            heard += len(trial.acknowledged)
    assert heard > WORKLOADS * EACH


def broken(trials, workload):
    """How many trials lost something, or left damage."""
    found = 0
    for trial in trials:
        try:
            Expected(START).done(workload, trial.acknowledged).check(trial.folder)
        except (AssertionError, LsrError):
            found += 1
    return found


@pytest.mark.parametrize("seed", range(20 if SCALED else 2))
def test_without_syncs_of_changes_only_the_latest_are_lost(seed, scratch):
    """``durability="os"`` is a promise over a kill; over the power a collection is still what it was some time ago."""
    start, lost = make(scratch / "start"), 0
    workload = Workload(seed, 12, ("add", "upsert", "delete", "update", "flush"))
    states = [START]
    for step in workload.steps():
        states.append(step.after(states[-1]))
    work = partial(perform, workload=workload, durability="os")
    for trial in power_cuts(start, scratch, work, range(EACH), images=2):
        expected = Expected(START)
        expected.states = states
        lost += expected.check(trial.folder) not in Expected(START).done(workload, trial.acknowledged).states
    assert lost


def test_control_files_that_are_not_flushed_are_damage(scratch):
    def work(folder, heard):
        with unsafe.without_syncs():
            perform(folder, heard, workload)

    workload = Workload(1, 8)
    assert broken(power_cuts(make(scratch / "start"), scratch, work, range(10)), workload)


def test_control_a_disk_that_lies_loses_changes(scratch):
    workload = Workload(1, 8)
    work = partial(perform, workload=workload)
    assert broken(power_cuts(make(scratch / "start"), scratch, work, range(10), honest=False), workload)
