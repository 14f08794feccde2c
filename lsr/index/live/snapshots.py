"""How is a collection copied while it changes? Its catalogue as of one moment, and the segments that this names."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path

from lsr.errors import StorageError
from lsr.index.live.contents import Contents
from lsr.index.live.store import Store, database_of
from lsr.index.storage import catalogue, places
from lsr.index.storage.catalogue import Catalogue
from lsr.index.storage.faults import writing
from lsr.index.storage.files import check_sums, make_folder, sync_folders
from lsr.index.storage.lock import NAME as LOCK
from lsr.index.storage.lock import WriterLock
from lsr.index.storage.records import State

TRIES = 5  # while others merge segments


def snapshot(store: Store, folder: Path) -> None:
    """Make a copy of a collection in the new or empty ``folder``; files that never change are linked where they can be.

    Raises:
        StorageError: something is there already, or the disk is full.
    """
    if store.contents.database is None:
        raise StorageError(f"{store.folder} is an index of format 2: run lsr upgrade {store.folder} first")
    with Catalogue(store.folder) as database:  # that of the store may be closed meanwhile
        _copied(store.folder, database, folder)


def restore(source: Path, folder: Path) -> None:
    """Make a snapshot a collection in the new or empty ``folder``, after every file of it was checked.

    Raises:
        StorageError: damage, something is there already, or the disk is full.
    """
    verify(source)
    with Catalogue(source) as database:
        _copied(source, database, folder)


def verify(folder: Path) -> State:
    """Compare every file of a collection with its checksum, and every record; what it holds.

    Raises:
        StorageError: a file is missing or damaged.
    """
    database = database_of(folder)
    with database or nullcontext():
        _check_files(Contents(folder, database))
    with Store(folder) as store:
        return store.contents.state


def _check_files(contents: Contents) -> None:
    state = contents.state
    try:
        for name, info in state.segments.items():
            check_sums(contents.folder / name, info.files)
        if state.about.encoder_folder:
            check_sums(contents.folder / state.about.encoder_folder, state.about.encoder_files)
    except StorageError:
        if not contents.refresh():  # otherwise a merge has removed it
            raise
        _check_files(contents)


def _copied(source: Path, database: Catalogue, folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise StorageError(f"{folder} is there already, and not empty: name a new folder")
    with writing(folder):
        made = not folder.exists()
        make_folder(folder)
        lock = WriterLock(folder)  # another copy may be on its way to the same folder
        try:
            if any(path.name != LOCK for path in folder.iterdir()):
                raise StorageError(f"{folder} is there already, and not empty: name a new folder")
            _fill(source, database, folder, made)
        finally:
            try:
                lock.path.unlink(missing_ok=True)
            finally:
                lock.release()


def _fill(source: Path, database: Catalogue, folder: Path, made: bool) -> None:
    """Copy into an empty folder; where that fails it is empty again, or gone if it was ``made``."""
    new = catalogue.NEW
    try:
        for left in reversed(range(TRIES)):
            database.copy(folder / new)
            try:
                _link(source, folder, new)
                break
            except FileNotFoundError:  # a merge has removed it: the next copy names others
                if not left:
                    raise
        catalogue.publish(folder)
    except BaseException:
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
        if made:
            folder.rmdir()
        raise


def _link(source: Path, folder: Path, name: str) -> None:
    """Give ``folder`` all files that the catalogue called ``name`` in it names."""
    with Catalogue(folder, name=name) as database:
        state = Contents(folder, database).state
    named = {segment: list(info.files) for segment, info in state.segments.items()}
    if state.about.encoder_folder:
        named[state.about.encoder_folder] = list(state.about.encoder_files)
    for place, files in named.items():
        shutil.rmtree(folder / place, ignore_errors=True)
        for file in files:
            (folder / place / file).parent.mkdir(parents=True, exist_ok=True)
            places.link(source / place / file, folder / place / file)
    for place in (places.SEGMENTS, places.ENCODERS):
        if (folder / place).is_dir():
            sync_folders(folder / place)
