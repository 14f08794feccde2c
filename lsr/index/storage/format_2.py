"""How are index folders of format 2 read? One JSON manifest names the segments of one generation.

Versions before format 3 wrote them. They are opened for search as they are; `lsr upgrade`, or the first change, makes
them collections.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from lsr.corpus.values import NOT_JSON
from lsr.errors import StorageError
from lsr.index.plan import Tuning
from lsr.index.storage import records
from lsr.index.storage.faults import unreadable
from lsr.index.storage.files import FileInfo, is_inside
from lsr.index.storage.records import About, EncoderInfo, GenerationInfo, SegmentInfo, State

FORMAT, VERSION = "lsr-index", 2
NAME = "manifest.json"
MARK = ".lsr"
GENERATION, REMOVED = re.compile(r"generation-\d{6,18}"), ".removed-"
FIELDS = "fields.arrow"
MOST_BYTES = 2**26  # of a manifest; a file takes about 150


class Segment(msgspec.Struct, frozen=True):
    """One segment: its folder below that of the index, and its counts."""

    folder: str
    documents: int
    nonzeros: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a manifest says."""

    lsr: str
    generation: int
    encoder: EncoderInfo
    encoder_folder: str
    settings: dict[str, Any]
    summary: dict[str, int]
    segments: list[Segment]
    files: dict[str, FileInfo]
    fields: dict[str, str] = {}
    tuning: Tuning | None = None


def is_there(folder: Path) -> bool:
    """Whether ``folder`` has a manifest of lsr, of this format version or another."""
    try:
        head = msgspec.json.decode(_content(folder))
    except (StorageError, *NOT_JSON):
        return False
    return isinstance(head, dict) and head.get("format") == FORMAT


def read(folder: Path) -> State:
    """What the index in ``folder`` holds, as a collection that was never changed.

    Raises:
        StorageError: no manifest, another format version, or damage.
    """
    found = _manifest(folder)
    about = About(
        lsr=found.lsr,
        encoder=found.encoder,
        encoder_folder=found.encoder_folder,
        encoder_files=_below(found.files, found.encoder_folder),
        base_terms=found.encoder.dim,
        settings=found.settings,
        summary=found.summary,
        tuning=found.tuning,
    )
    made = (folder / NAME).stat().st_mtime
    generations = {found.generation: GenerationInfo(made, "index", {"added": sum(s.documents for s in found.segments)})}
    segments = {segment.folder: _segment(found, segment) for segment in found.segments}
    return State(about, found.fields, generations, segments, {}, {}, {}, {}, {})


def is_ours(folder: Path) -> bool:
    """Whether lsr wrote the manifest of ``folder``; a damaged one counts beside a generation."""
    return is_there(folder) or ((folder / NAME).exists() and any(map(is_generation, folder.iterdir())))


def remove(folder: Path) -> None:
    """Remove manifest and generations, once the folder holds a collection; what others put there stays.

    Generations are renamed first: where the process is killed on the way, the next one knows that it may go on.
    """
    if is_ours(folder):
        for name in _named(folder):
            _mark(folder / name)
        (folder / NAME).unlink()
    for path in filter(is_generation, [*folder.iterdir()]):
        removed = path.with_name(f"{REMOVED}{path.name.removeprefix(REMOVED)}")
        with contextlib.suppress(OSError):
            path.rename(removed)
        shutil.rmtree(removed, ignore_errors=True)


def is_generation(path: Path) -> bool:
    """Whether lsr wrote the folder of a generation; a copy under another name is somebody's own."""
    name = path.name.removeprefix(REMOVED)
    if path.is_symlink() or not GENERATION.fullmatch(name):
        return False
    try:
        said = (path / MARK).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return path.name != name
    return said.split(":")[0] == name


def _named(folder: Path) -> set[str]:
    """Generations that the manifest names: the first ones have no mark."""
    with contextlib.suppress(StorageError):
        found = _manifest(folder)
        paths = [PurePosixPath(path) for path in (found.encoder_folder, *(s.folder for s in found.segments))]
        return {path.parts[0] for path in paths if len(path.parts) > 1 and GENERATION.fullmatch(path.parts[0])}
    return set()


def _mark(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        (path / MARK).write_text(f"{path.name}: written by lsr, and removed by it when replaced\n")


def _segment(found: Manifest, segment: Segment) -> SegmentInfo:
    files = _below(found.files, segment.folder)
    fields = FIELDS if FIELDS in files else ""
    return SegmentInfo(segment.documents, segment.nonzeros, found.encoder.dim, found.generation, fields, files)


def _below(files: dict[str, FileInfo], folder: str) -> dict[str, FileInfo]:
    return {name.removeprefix(f"{folder}/"): file for name, file in files.items() if name.startswith(f"{folder}/")}


def _manifest(folder: Path) -> Manifest:
    content = _content(folder)
    try:
        head = msgspec.json.decode(content)
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise StorageError(f"{folder / NAME} is not the manifest of an lsr index: give a folder made by lsr index")
        if head.get("version") != VERSION:
            raise StorageError(
                f"{folder} has index format {head.get('version')}, this lsr reads formats {VERSION} and "
                f"{records.VERSION}: index the documents again, or use the lsr version that wrote it"
            )
        found = msgspec.convert(head, Manifest)
    except NOT_JSON as error:
        raise StorageError(f"{folder / NAME} is damaged ({error}): index the documents again") from None
    folders = [segment.folder for segment in found.segments]
    if not folders or len(set(folders)) < len(folders):
        raise StorageError(f"{folder / NAME} is damaged ({len(folders)} segments): index the documents again")
    for path in (found.encoder_folder, *folders, *found.files):
        if not is_inside(path):
            raise StorageError(
                f"{folder / NAME} names {path!r}, which is not inside {folder}: index the documents again"
            )
    return found


def _content(folder: Path) -> bytes:
    path = folder / NAME
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from None
    if len(content) > MOST_BYTES:
        raise StorageError(f"{path} is larger than any manifest: give a folder made by lsr index")
    return content
