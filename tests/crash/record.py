"""What of a folder would still be there if the power went now?

The rules of POSIX, as a journaling file system keeps them: a content is durable since the last sync of its file, a
name since the last sync of the folder that it is in. A rename happens whole or not at all, and is durable with the
folder of its new name.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

READ = 1 << 20


@dataclass(eq=False)
class Node:
    """One file, folder or symbolic link, whatever its names are.

    Its ``descriptor`` stays open: so its number is not given to another file, its content can be read when it has no
    name any more, and SQLite's locks on it live on (to close any descriptor of a file lets go of them).
    """

    descriptor: int


@dataclass(eq=False)
class File(Node):
    """A file: its content at the last sync, and ``floor``, the smallest size that it has had since.

    ``doubtful`` is one whose sync failed: the kernel has dropped what it could not write, and a second sync succeeds
    without it. Only who writes it anew can trust it again.
    """

    synced: bytes = b""
    floor: int = 0
    doubtful: bool = False

    def now(self) -> bytes:
        """The content that a reader sees; empty once the record has forgotten the file."""
        if self.descriptor < 0:
            return b""
        content = bytearray()
        while part := os.pread(self.descriptor, READ, len(content)):
            content += part
        return bytes(content)

    def sync(self) -> None:
        """Make the content durable, unless it is doubtful."""
        if self.doubtful:
            return
        self.synced = self.now()
        self.floor = len(self.synced)

    def truncated(self, size: int) -> None:
        """Remember that the file had no more than ``size`` bytes."""
        self.floor = min(self.floor, size)
        self.doubtful = self.doubtful and size > 0


@dataclass(eq=False)
class Folder(Node):
    """A folder; its entries stand in `Names`."""


@dataclass(eq=False)
class Link(Node):
    """A symbolic link, which has no content but its target."""

    target: str = ""


Names = dict[Folder, dict[str, Node]]


@dataclass(frozen=True)
class Change:
    """A name that is given (``node``) or taken away (None) in ``folder``; a rename takes ``old`` away with it."""

    folder: Folder
    name: str
    node: Node | None
    old: tuple[Folder, str] | None = None

    def apply(self, names: Names) -> None:
        """Change ``names``."""
        entries = names.setdefault(self.folder, {})
        if self.node is None:
            entries.pop(self.name, None)
            return
        if self.old and names.get(self.old[0], {}).get(self.old[1]) is self.node:
            del names[self.old[0]][self.old[1]]
        entries[self.name] = self.node


@dataclass
class Record:
    """The names and contents of ``folder``, those that are durable apart from those that are not.

    What is there at the beginning is durable. Paths are absolute and resolved, see `located`.
    """

    folder: Path
    live: Names = field(default_factory=dict)
    durable: Names = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)
    strays: list[Path] = field(default_factory=list)
    _nodes: dict[tuple[int, int], Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = Path(os.path.realpath(self.folder))
        self.root = Folder(os.open(self.folder, os.O_RDONLY | os.O_CLOEXEC))
        self._know(self.root)
        self._scan(self.root, self.folder)
        for change in self.pending:
            change.apply(self.durable)
            if isinstance(change.node, File):
                change.node.sync()
        self.pending, self.strays = [], []

    def close(self) -> None:
        """Let go of every file; SQLite connections to them should be closed by now, or lose their locks."""
        for node in self._nodes.values():
            _close(node)
        self._nodes.clear()

    def covers(self, path: str) -> bool:
        """Whether ``path`` is below the folder."""
        return path.startswith(f"{self.folder}/")

    def of(self, descriptor: int) -> Node | None:
        """The node that ``descriptor`` is open on, or None."""
        try:
            return self._nodes.get(_identity(os.fstat(descriptor)))
        except OSError:
            return None

    def nodes(self) -> list[Node]:
        """All files, folders and links on record."""
        return [*self._nodes.values()]

    def node(self, path: str) -> Node | None:
        """What ``path`` names now, or None; what came to be without the record's knowledge is a stray."""
        if not os.path.lexists(path):
            return None
        known = self._nodes.get(_identity(os.lstat(path)))
        return known or self._adopt(path)

    def created(self, path: str) -> Node:
        """``path`` is new."""
        folder, name = self._entry(path)
        node = self._nodes.get(_identity(os.lstat(path))) or self._know(_node(path))
        self._change(Change(folder, name, node))
        return node

    def removed(self, path: str) -> None:
        """``path`` is gone."""
        folder, name = self._entry(path)
        self._change(Change(folder, name, None))

    def renamed(self, node: Node | None, old: str, new: str) -> None:
        """``node`` was ``old`` and is ``new``; None, or a path outside the folder, for what is not ours."""
        if not self.covers(new):
            self.removed(old)
        elif node is None or not self.covers(old):
            self._adopt(new)
        elif self.live[self._entry(new)[0]].get(self._entry(new)[1]) is not node:
            self._change(Change(*self._entry(new), node, self._entry(old)))

    def folder_synced(self, folder: Folder) -> None:
        """Make the names in ``folder`` durable."""
        done = [change for change in self.pending if change.folder is folder]
        self.pending = [change for change in self.pending if change.folder is not folder]
        for change in done:
            change.apply(self.durable)
            if change.old:  # a name that the rename took away cannot come back
                gone = (*change.old, change.node)
                self.pending = [one for one in self.pending if (one.folder, one.name, one.node) != gone]
        if any(change.node is None or change.old for change in done):
            self._forget()

    def synced(self, node: Node) -> None:
        """Make a file's content, or a folder's names, durable."""
        if isinstance(node, File):
            node.sync()
        elif isinstance(node, Folder):
            self.folder_synced(node)

    def adopt_strays(self) -> list[Path]:
        """All that came to be without passing the shims; from now on it is on record, as never synced.

        SQLite's -shm files are none of them.
        """
        self._scan(self.root, self.folder)
        return self.strays

    def _entry(self, path: str) -> tuple[Folder, str]:
        parent, name = os.path.split(path)
        folder = self.node(parent)
        if not isinstance(folder, Folder):
            raise NotADirectoryError(parent)
        return folder, name

    def _change(self, change: Change) -> None:
        change.apply(self.live)
        self.pending.append(change)

    def _know(self, node: Node) -> Node:
        self._nodes[_identity(os.fstat(node.descriptor))] = node
        if isinstance(node, Folder):
            self.live.setdefault(node, {})
            self.durable.setdefault(node, {})
        return node

    def _adopt(self, path: str) -> Node:
        node = self.created(path)
        self.strays.append(Path(path))
        if isinstance(node, Folder):
            self._scan(node, Path(path))
        return node

    def _scan(self, folder: Folder, path: Path) -> None:
        for entry in sorted(os.scandir(path), key=lambda one: one.name):
            if entry.name.endswith("-shm"):
                continue
            node = self._nodes.get(_identity(entry.stat(follow_symlinks=False)))
            if node is None or self.live[folder].get(entry.name) is not node:
                self._adopt(entry.path)
            elif isinstance(node, Folder):
                self._scan(node, Path(entry.path))

    def _forget(self) -> None:
        """Close what has no name, durable or not, and none that may come back."""
        named = {self.root, *(change.node for change in self.pending)}
        named |= {
            node for names in (self.live, self.durable) for entries in names.values() for node in entries.values()
        }
        for key in [key for key, node in self._nodes.items() if node not in named]:
            node = self._nodes.pop(key)
            _close(node)
            if isinstance(node, Folder):
                self.live.pop(node)
                self.durable.pop(node)


def located(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], folder: int | None = None) -> str:
    """The absolute path of a name, in the open ``folder`` where one is given; a link that it may be is not followed."""
    text = os.fsdecode(path)
    if folder is not None:
        text = str(Path(f"/proc/self/fd/{folder}").readlink() / text)
    parent, name = os.path.split(os.path.abspath(text))  # noqa: PTH100 - Path.resolve would follow the last link
    return os.path.join(os.path.realpath(parent), name)  # noqa: PTH118 - this runs at each operation


def entries(names: Names, folder: Folder) -> Iterator[tuple[str, Node]]:
    """The names in ``folder`` in their order, with what they name."""
    yield from sorted(names.get(folder, {}).items())


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _node(path: str) -> Node:
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        return Link(os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC), str(Path(path).readlink()))
    opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return Folder(opened) if stat.S_ISDIR(mode) else File(opened)


def _close(node: Node) -> None:
    if node.descriptor >= 0:
        os.close(node.descriptor)
    node.descriptor = -1
