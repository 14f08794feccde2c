"""Catalogues that are changed by SQLite, as no version of lsr would."""

import sqlite3
from contextlib import closing

import msgspec

from lsr.index.storage.catalogue import NAME, Key, _combined, checksum
from lsr.index.storage.records import JSON

ALL = "SELECT kind, generation, name, content FROM records"


def run(folder, *statements):
    """Do something in the database of a collection that nobody has open."""
    with closing(sqlite3.connect(folder / NAME, isolation_level=None)) as database:
        for statement in statements:
            database.execute(*(statement if isinstance(statement, tuple) else (statement,)))
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def contents_of(folder):
    """The bytes of every record by its key."""
    with closing(sqlite3.connect(folder / NAME)) as database:
        return {Key(*key): content for *key, content in database.execute(ALL)}


def write(folder, contents):
    """Make bytes the records, with checksums that fit."""
    sums = {key: checksum(key, content) for key, content in contents.items()}
    rows = (("INSERT INTO records VALUES (?, ?, ?, ?, ?)", (*key, contents[key], sums[key])) for key in contents)
    digest = "UPDATE digest SET value = ?", (_combined(sums.values()),)
    run(folder, "BEGIN", "DELETE FROM records", *rows, digest, "COMMIT")


def plain(key, content):
    """What a record says, without types."""
    return (msgspec.json if key.kind in JSON else msgspec.msgpack).decode(content)


def change(folder, kind, how):
    """Change what every record of a kind says, with checksums that fit; ``how`` gets it, and gives None or another."""
    contents = contents_of(folder)
    for key in [key for key in contents if key.kind == kind]:
        value = plain(key, contents[key])
        changed = how(value)
        codec = msgspec.json if kind in JSON else msgspec.msgpack
        contents[key] = codec.encode(value if changed is None else changed)
    write(folder, contents)
