"""Index your own documents and search them: a catalogue in CSV, to passages with the terms that found them.

    python examples/own_documents.py

Anything that can be read in Python becomes documents: an id, a title, a text.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path

import lsr

CATALOGUE = """sku,name,price,description
DR-18,Cordless hammer drill,129.00,"Makes holes in brick, masonry and concrete. Two batteries, keyless chuck."
KS-02,Ceramic knife sharpener,19.50,Puts a keen edge back on blades in three strokes.
TH-07,Vacuum flask,24.90,"Double-walled steel bottle; keeps tea hot for twelve hours."
HL-11,Head torch,34.00,"Lamp on an elastic band for running, camping and caves at night."
TN-03,Two-person tent,189.00,"Shelter for hikers, stands in four minutes, keeps dry in a storm."
"""
QUERIES = ["light for walking in the dark", "where do we sleep in the mountains", "tool for a concrete wall"]


def documents(rows: Iterator[dict[str, str]]) -> Iterator[lsr.Document]:
    """A document a row; the price goes into the text, because that is all a document keeps."""
    for row in rows:
        yield lsr.Document(row["sku"], row["name"], f"{row['description']} {row['price']} euros.")


def show(searcher: lsr.Searcher, query: str) -> None:
    """The best hit, the part of it that says why, and what its terms gave."""
    print(f"\n{query}")
    for hit in searcher.search(query, k=1):
        shares = ", ".join(f"{share.term} {share.share:.2f}" for share in searcher.explain(query, hit))
        print(f"  {hit.score:.2f}  {hit.id}  {hit.title}")
        print(f"        {searcher.snippet(query, hit).text}")
        print(f"        {shares}")


def main() -> None:
    """Index the catalogue in a folder that is gone afterwards, and ask."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "shop"
        made = lsr.index_documents(documents(csv.DictReader(io.StringIO(CATALOGUE))), lsr.load_encoder(), folder)
        print(f"{made.documents} products indexed")
        searcher = lsr.Searcher.open(folder)
        for query in QUERIES:
            show(searcher, query)


if __name__ == "__main__":
    main()
