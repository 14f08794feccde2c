"""Where do the files of a collection lie, and which of them are still named by something?

::

    catalogue.db                 what the collection holds
    segments/000001-5e1f0a9c/    one immutable segment
    encoders/<fingerprint>/      what makes the vectors, unless it comes with lsr
    .lock                        who writes
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from lsr.errors import StorageError
from lsr.index.storage import catalogue, format_2, lock
from lsr.index.storage.files import Files, check_sums, describe_files, make_folder, sync_folder, sync_folders
from lsr.index.storage.records import About, SegmentInfo, State

SEGMENTS, ENCODERS = "segments", "encoders"
LEFT = {lock.NAME, *(path.name for path in catalogue.files_of(Path(catalogue.NEW)))}
PASSING = {lock.NAME, f"{catalogue.NAME}-shm"}
SEGMENT = re.compile(r"\d{6,}-[0-9a-f]{8}")
ENCODER = re.compile(r"\.new-\d+|([a-z\d]+-)*[0-9a-f]{32,64}(-[a-z\d]+)*")
OURS = {SEGMENTS: SEGMENT, ENCODERS: ENCODER}  # what lies in a folder of ours; anything else is somebody's own


def new_segment(folder: Path) -> str:
    """The name of a segment that was never there, and that no other writer takes."""
    make_folder(folder / SEGMENTS)
    numbers = [path.name.split("-")[0] for path in (folder / SEGMENTS).iterdir()]
    last = max((int(number) for number in numbers if number.isdigit()), default=0)
    return f"{SEGMENTS}/{last + 1:06d}-{secrets.token_hex(4)}"


def save_encoder(folder: Path, fingerprint: str, save: Callable[[Path], None]) -> tuple[str, Files]:
    """Let ``save`` write an encoder, and give it its place; the place below ``folder``, and its files, flushed.

    One that is there stays: the collection that is replaced needs it, until the new one is there.
    """
    place = f"{ENCODERS}/{fingerprint}"
    new = folder / ENCODERS / f".new-{os.getpid()}"
    new.parent.mkdir(exist_ok=True)
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir()
    try:
        save(new)
        found = describe_files(new)
        if not _holds(folder / place, found):
            place = f"{place}-{secrets.token_hex(4)}" if (folder / place).exists() else place
            new.rename(folder / place)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    sync_folders(folder / ENCODERS)
    sync_folder(folder)
    return place, found


def adopt_encoder(folder: Path, about: About) -> tuple[str, Files]:
    """A copy of the encoder of an index of format 2, in its place in a collection."""
    source = folder / about.encoder_folder

    def copy(new: Path) -> None:
        for name in about.encoder_files:
            (new / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, new / name)

    return save_encoder(folder, about.encoder.fingerprint, copy)


def adopt_segments(folder: Path, segments: Mapping[str, SegmentInfo]) -> dict[str, SegmentInfo]:
    """The segments of an index of format 2 under new names: links to the same files, or copies."""
    found = {}
    for info, old in ((info, folder / name) for name, info in segments.items()):
        name = new_segment(folder)
        (folder / name).mkdir()
        for file in info.files:
            link(old / file, folder / name / file)
        sync_folder(folder / name)
        found[name] = msgspec.structs.replace(info)
    sync_folder(folder / SEGMENTS)
    return found


def link(source: Path, target: Path) -> None:
    """Give a file that never changes a second name; a copy where the file system cannot."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
        with target.open("rb") as file:
            os.fsync(file.fileno())


def remove_others(folder: Path, state: State | None) -> None:
    """Remove what lsr wrote and a collection does not name, everything where there is none; readers go on."""
    segments = state.segments if state else {}
    named = {*segments, state.about.encoder_folder} if state else set()
    for place, own in OURS.items():
        for path in _listed(folder / place):
            if own.fullmatch(path.name) and f"{place}/{path.name}" not in named:
                shutil.rmtree(path, ignore_errors=True)
    for name, info in segments.items():
        for path in (folder / name).glob("fields*.arrow"):
            if path.name not in info.files:
                path.unlink(missing_ok=True)
    if state:
        format_2.remove(folder)


def check_finished(folder: Path) -> None:
    """Refuse a folder that holds no collection.

    Raises:
        StorageError: says what it holds, and what to do.
    """
    if catalogue.is_there(folder):
        return
    if not folder.exists():
        raise StorageError(f"no such index: {folder}; make it with lsr index SOURCE --out {folder}")
    if not folder.is_dir():
        raise StorageError(f"{folder} is a file: wanted the folder of an index made by lsr index")
    if (folder / format_2.NAME).exists():
        format_2.read(folder)  # says what is wrong with it
    if (folder / SEGMENTS).is_dir() or any(map(format_2.is_generation, folder.glob("generation-*"))):
        raise StorageError(f"{folder} holds a half-written index (indexing did not finish): run lsr index again")
    raise StorageError(f"{folder} holds no index ({catalogue.NAME} is missing): give a folder made by lsr index")


def make_root(folder: Path) -> None:
    """Make the folder of a collection, unless it holds something else.

    Raises:
        StorageError: it does.
    """
    if folder.exists() and not folder.is_dir():
        raise StorageError(f"cannot write to {folder}: it is a file; name another folder")
    make_folder(folder)
    if format_2.is_ours(folder) or catalogue.is_ours(folder) or (catalogue.is_there(folder) and _has_segments(folder)):
        return
    foreign = sorted(path.name for path in folder.iterdir() if not _is_left_over(path))
    if foreign:
        raise StorageError(f"{folder} holds other files ({foreign[0]}, ...): name a new or empty --out folder")


def size_of(folder: Path) -> int:
    """Bytes of all files of a collection, without those that only processes that have it open need."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(FileNotFoundError):  # a merge has removed it
                found += Path(place, name).stat().st_size if name not in PASSING else 0
    return found


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _holds(folder: Path, files: Files) -> bool:
    with contextlib.suppress(StorageError):
        check_sums(folder, files)
        return True
    return False


def _has_segments(folder: Path) -> bool:
    return any(SEGMENT.fullmatch(path.name) for path in _listed(folder / SEGMENTS))


def _is_left_over(path: Path) -> bool:
    """Whether an interrupted writer may have left ``path`` in the folder of a collection."""
    if path.name in OURS:
        return path.is_dir() and all(OURS[path.name].fullmatch(own.name) for own in path.iterdir())
    return path.name in LEFT or format_2.is_generation(path)
