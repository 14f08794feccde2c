"""What does tests/index/format-3 hold? Every later version has to open it; this made it, and is not run again:

python -m tests.index.format_3 tests/index/format-3
"""

import sys
from pathlib import Path

from lsr.retrieval import Collection, index_documents

NAMES = "crane anvil piston lathe rivet gasket spindle flange bolt valve gear wrench".split()
KINDS = "tool", "part", "machine"
FIRST = [
    {
        "id": f"a{i:02}",
        "title": name.title(),
        "text": f"The {name} turns steel, {NAMES[i - 1]} and {NAMES[i - 2]} hold it.",
        "price": 5 * i,
        "rating": i / 4,
        "kind": KINDS[i % 3],
        "tags": [KINDS[i % 3], name],
        "made": f"20{10 + i}-03-01",
        "stocked": i % 2 == 0,
        "size": {"width": i},
    }
    for i, name in enumerate(NAMES)
]
SECOND = [
    {"id": f"b{i}", "text": f"A pump of brass moves water past the {NAMES[i]}.", "price": 100 + i, "kind": "machine"}
    for i in range(5)
]
LAST = [
    {"id": "c0", "text": "A new pump of copper.", "price": 300, "colour": "red"},
    {"id": "c1", "title": "Turbine", "text": "Steam turns the turbine and its gear.", "kind": "machine"},
    {"id": "a03", "title": "Lathe", "text": "This lathe now cuts copper.", "price": 16, "kind": "tool"},
]


def make(folder: Path) -> None:
    """Two segments, a deletion, new values of fields, and documents that are in no segment yet."""
    index_documents(FIRST, "bm25", folder, self_contained=True, types={"rating": "float"})
    with Collection.open(folder, background=False) as collection:
        collection.add(SECOND)
        collection.flush()
        collection.delete(["a07", "b1"])
        collection.update({"a05": {"price": 999, "kind": None}, "b2": {"tags": ["water"]}})
        collection.upsert(LAST)
    (folder / ".lock").unlink()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
