"""Any write, sync, rename or other change of the disk fails, in our files or in SQLite's, once or from then on.

The error is one of lsr's, what was acknowledged stays, and the collection goes on. `make crash` leaves nothing out.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from lsr.errors import LsrError
from tests.crash import unsafe
from tests.crash.scale import SCALED
from tests.crash.sqlite_faults import why_not
from tests.crash.sweeps import every_fault
from tests.crash.workload import KINDS, SHOP, START, Expected, Workload, check_collection, check_open, make, opened

VERBS = ("add", "upsert", "update", "flush", "delete", "snapshot", "sync", "reopen", "upsert", "compact", "add")
NO_SQLITE = why_not()
pytestmark = [
    pytest.mark.skipif(NO_SQLITE is not None, reason=NO_SQLITE or ""),
    pytest.mark.usefixtures("small_segments"),
    pytest.mark.timeout(7200 if SCALED else 300),
]


class Stubborn:
    """A writer that goes on after each error, and compares what it sees with what it did.

    Attributes:
        docs: that the collection shows.
        states: those that a new process may find: of changes that failed it cannot be known.
        copies: by number the snapshots that were made.
        refused: the errors.
    """

    def __init__(self, folder):
        self.folder, self.docs, self.states, self.copies, self.refused = folder, START, [START], {}, []
        self.collection = None

    def perform(self, workload):
        """Do all steps, as far as there is a collection that can be opened."""
        for step in workload.steps():
            if self.collection is None or step.verb == "reopen":
                self.reopen()
            if self.collection is not None and step.verb != "reopen":
                self.do(step)
        if self.collection is not None:
            self.collection.close()

    def reopen(self):
        """Open the collection, and see in which state it is."""
        if self.collection is not None:
            self.collection.close()
        self.collection = None
        with self.noted():
            self.collection = opened(self.folder)
            self.docs = check_open(self.collection, self.states)
            self.states = [self.docs]

    def do(self, step):
        """One step, and a look at what it did."""
        states, after = step.states(self.docs), step.after(self.docs)
        failures = len(self.refused)
        with self.noted():
            step.run(self.collection, self.folder)
            if after != self.docs:
                self.docs, self.states = after, [after]
            if step.verb == "snapshot":
                self.copies[step.number] = self.docs
        if len(self.refused) > failures:
            assert self.collection is not None
            now = check_open(self.collection, states)
            assert now == self.docs or step.verb == "sync", f"{step.verb} was refused, and done"
            self.states = [now, *(one for one in (*self.states, *states) if one != now)]
            self.docs = now

    def noted(self):
        """A context whose errors, of lsr only, are noted."""
        return _Noted(self.refused)


class _Noted(suppress):
    def __init__(self, errors):
        super().__init__(LsrError)
        self._errors = errors

    def __exit__(self, kind, error, at):
        if isinstance(error, LsrError):
            self._errors.append(f"{type(error).__name__}: {error}")
        return super().__exit__(kind, error, at)


def faults_of(scratch, kind, stride, kinds=("full", "io", "short")):
    """A trial, and the writer in it, for each fault."""
    start, workload = make(scratch / "start", kind), Workload(7, 0, VERBS)
    writers = []

    def work(folder, _):
        writers.append(Stubborn(folder))
        writers[-1].perform(workload)

    for trial in every_fault(start, scratch, work, kinds, stride):
        yield trial, writers[-1]


def check(trial, writer):
    """What a new process finds, and that it can go on."""
    assert trial.error is None, trial
    expected = Expected(writer.docs)
    expected.states, expected.copies = writer.states, writer.copies
    found = expected.check(trial.folder)
    with opened(trial.folder) as collection:
        collection.upsert([{"id": "last", "text": "10"}])
        collection.flush()
        collection.compact()
    check_collection(trial.folder / SHOP, [found | {"last": ("10", None)}])


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_fails_nothing_is_lost_and_the_collection_goes_on(kind, scratch):
    refused = 0
    for trial, writer in faults_of(scratch, kind, 1 if SCALED else 47):
        try:
            check(trial, writer)
        except (AssertionError, LsrError) as error:
            raise AssertionError(f"{trial}; {writer.refused}") from error
        refused += bool(writer.refused)
        for line in writer.refused:
            assert line.startswith("StorageError: "), line
            assert "\n" not in line
            assert "damaged" not in line, line
    assert refused > 10


def check_all(scratch):
    """Every seventh fault."""
    for trial, writer in faults_of(scratch, "given", 7, kinds=("full",)):
        check(trial, writer)


def test_control_a_writer_that_hides_errors_loses_changes(scratch):
    with unsafe.without_errors(), pytest.raises((AssertionError, LsrError)):
        check_all(scratch)
