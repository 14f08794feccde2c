"""Which judged collections are known, which are on this disk, and where does one get the rest?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

BEIR = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/"


class Known(NamedTuple):
    """A collection that people publish numbers on.

    Attributes:
        name: of its folder or zip.
        split: whose judgements the published numbers use.
        source: where a user gets it, in words or as an address.
        note: what surprises.
    """

    name: str
    split: str
    source: str
    note: str = ""


def _beir(name: str, note: str = "", split: str = "test") -> Known:
    return Known(name, split, f"{BEIR}{name}.zip", note)


KNOWN = (
    _beir("arguana", "a query is one of the documents: use --convention beir"),
    _beir("climate-fever"),
    _beir("cqadupstack", "twelve collections, each in a folder of its own; the published number is their mean"),
    _beir("dbpedia-entity", "grades 0-2"),
    _beir("fever"),
    _beir("fiqa"),
    _beir("hotpotqa"),
    _beir("msmarco", "published numbers use dev; its test split is TREC DL 2019", "dev"),
    _beir("nfcorpus", "grades 0-2"),
    _beir("nq"),
    _beir("quora", "a query may be one of the documents: use --convention beir"),
    _beir("scidocs"),
    _beir("scifact"),
    _beir("trec-covid", "grades 0-2"),
    _beir("webis-touche2020", "two versions of the judgements: numbers before and after 2021 differ"),
    Known("msmarco-passage", "dev.small", "https://microsoft.github.io/msmarco/Datasets", "collection.tsv and queries"),
    Known("limit", "test", "https://github.com/google-deepmind/limit", "or make one like it: lsr data limit"),
    Known("limit-small", "test", "https://github.com/google-deepmind/limit", "46 documents"),
)


class Found(NamedTuple):
    """A collection on this disk: its path, and what is known of it."""

    path: Path
    known: Known | None


def find_collections(folders: Sequence[Path]) -> list[Found]:
    """Judged collections that lie directly in ``folders``, by name; nothing is downloaded."""
    by_name = {known.name: known for known in KNOWN}
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if _holds_one(path))
    return [Found(path, by_name.get(path.name.removesuffix(".zip"))) for path in paths]


def missing_collections(found: Sequence[Found]) -> list[Known]:
    """What is known and was not found."""
    there = {one.known.name for one in found if one.known}
    return [known for known in KNOWN if known.name not in there]


def _holds_one(path: Path) -> bool:
    return path.suffix == ".zip" or (path / "qrels").is_dir() or bool(list(path.glob("qrels.*.tsv")))
