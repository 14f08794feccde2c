"""When are segments written and merged? As soon as there is reason to, in a process of its own, beside all else."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading

import msgspec

from lsr.errors import StorageError
from lsr.index.live import tiers
from lsr.index.live.folding import to_write_anew
from lsr.index.live.merging import Plan, plan_of, write_merged
from lsr.index.live.store import Store
from lsr.index.storage import places
from lsr.index.storage.faults import writing
from lsr.index.storage.records import SegmentInfo

LOG = logging.getLogger("lsr")
PATIENCE = 4  # times as many new documents as make a segment: a change then waits for the segment that is written


class Maintenance:
    """Looks after a store.

    Args:
        store: that is written to.
        background: whether a process of its own builds segments; otherwise the change that makes it necessary does.
    """

    def __init__(self, store: Store, background: bool) -> None:
        self._store, self._background = store, background
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._closing, self._fault = False, None

    def look(self) -> None:
        """After a change, which is there already: see whether there is something to do, and warn where it fails."""
        if not self._background:
            try:
                self._store.maintain()
            except StorageError as error:
                self._warn(error)
            return
        if self._is_needed() and not (self._thread and self._thread.is_alive()):
            self._thread = threading.Thread(target=self._work, name="lsr maintenance", daemon=True)
            self._thread.start()
        if tiers.is_full(self._store.contents, PATIENCE):
            self.wait()

    def flush(self) -> None:
        """Write the newest documents into a segment, and wait for it.

        Raises:
            StorageError: the disk is full or broken; nothing is lost then.
        """
        self.wait()
        with self._store.changing():
            contents = self._store.contents
            if contents.state.batches:
                self._build(plan_of(contents, (), contents.state.newest, self._store.horizon, self._new_name()))
            self._store.maintain()

    def wait(self) -> None:
        """Wait for what is done in the background."""
        if self._thread and self._thread is not threading.current_thread():
            self._thread.join()

    def close(self) -> None:
        """Stop what is done in the background; the files that it was writing are removed by the next writer."""
        self._closing = True
        if self._child:
            self._child.kill()
        self.wait()

    def _is_needed(self) -> bool:
        store = self._store
        return store.plan() is not None or bool(to_write_anew(store.contents, store.horizon))

    def _work(self) -> None:
        try:
            while not self._closing and (plan := self._next()):
                info = self._built_elsewhere(plan)
                if not self._closing:
                    self._store.publish(plan, info)
            if not self._closing:
                self._store.maintain()
        except StorageError as error:
            if not self._closing:
                self._warn(error)

    def _warn(self, error: StorageError) -> None:
        folder = self._store.folder
        LOG.warning("%s: segments are not written (%s); they will be after the next change", folder, error)

    def _next(self) -> Plan | None:
        with self._store.changing():
            return self._store.plan()

    def _build(self, plan: Plan) -> None:
        with writing(self._store.folder):
            self._store.publish(plan, write_merged(self._store.contents, plan))

    def _built_elsewhere(self, plan: Plan) -> SegmentInfo:
        """Let a process of its own write a segment, which takes less from searches than a thread would."""
        command = [sys.executable, "-m", "lsr.index.live.background", str(self._store.folder.resolve())]
        self._child = subprocess.Popen(  # noqa: S603  this very Python
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        said, fault = self._child.communicate(msgspec.json.encode(plan._asdict()))
        if self._child.returncode == 0:
            return msgspec.json.decode(said, type=SegmentInfo)
        if self._closing:
            raise StorageError("closed")
        raise StorageError(fault.decode("utf-8", "replace").strip().splitlines()[-1] if fault.strip() else "stopped")

    def _new_name(self) -> str:
        return places.new_segment(self._store.folder)
