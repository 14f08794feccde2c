"""A process that reads a collection while others write, and says what it saw: see `test_concurrency`.

Every document of a generation has the price of that generation, which is the only thing that `look` relies on.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import lsr

DOCUMENTS, LAST, REFRESH = 12, 1_000_000, 0.05
WORDS = "10 11 12 13 14 15"


def documents(version: int) -> list[dict[str, object]]:
    """What a collection holds at a version."""
    return [{"id": f"d{i}", "text": f"{10 + i % 6} {10 + version % 6}", "price": version} for i in range(DOCUMENTS)]


def look(collection: lsr.Collection) -> int:
    """The version that a search sees, which must be one, and complete."""
    searcher = collection.searcher
    hits = searcher.search(WORDS, 2 * DOCUMENTS, exact=True)
    assert sorted(hit.id for hit in hits) == sorted(f"d{i}" for i in range(DOCUMENTS)), hits
    (version,) = {hit.fields["price"] for hit in hits}
    assert len(searcher.generation) == DOCUMENTS
    assert {hit.id for hit in searcher.search(WORDS, 20, filter=f"price = {version}")} == {hit.id for hit in hits}
    assert searcher.generation.rows_of(["d3"])[0], "get looks up ids late"
    found = collection.get("d3")
    assert found is not None
    assert int(found.fields["price"]) >= version
    return int(version)


def main() -> None:
    """Look until the last version comes, and print how many were seen and how old the last one was."""
    seen, end = [0], time.monotonic() + 60
    with lsr.Collection.open(Path(sys.argv[1]), refresh=REFRESH) as collection:
        print(look(collection), flush=True)  # noqa: T201
        while seen[-1] != LAST and time.monotonic() < end:
            version = look(collection)
            assert version >= seen[-1], "back in time"
            if version != seen[-1]:
                seen.append(version)
    print(len(seen), time.time(), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
