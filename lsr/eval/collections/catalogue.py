"""Which judged collections are known, which are on this disk, and where does one get the rest?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lsr.corpus import has_member
from lsr.corpus.layouts.products import esci_locale
from lsr.errors import InputError
from lsr.eval.collections import products

BEIR = "https://public.ukp.informatik.tu-darmstadt.de/thakur/BEIR/datasets/"


class Known(NamedTuple):
    """A collection that people publish numbers on.

    Attributes:
        name: of its folder or zip.
        split: whose judgements the published numbers use.
        licence: under which its makers give it out, by their word; "not stated" where they give none.
        source: where a user gets it, in words or as an address.
        note: what surprises.
    """

    name: str
    split: str
    licence: str
    source: str
    note: str = ""


def _beir(name: str, licence: str, note: str = "", split: str = "test") -> Known:
    return Known(name, split, licence, f"{BEIR}{name}.zip", note)


NOT_STATED = "not stated"
LIMIT = "https://github.com/google-deepmind/limit"
KNOWN = (  # licences of BEIR's parts as listed in the appendix of its paper (arXiv 2104.08663)
    _beir("arguana", "CC BY 4.0", "a query is one of the documents: use --convention beir"),
    _beir("climate-fever", NOT_STATED),
    _beir("cqadupstack", "Apache-2.0", "twelve collections in folders: lsr eval measures all and takes their mean"),
    _beir("dbpedia-entity", "CC BY-SA 3.0", "grades 0-2"),
    _beir("fever", "CC BY-SA 3.0"),
    _beir("fiqa", NOT_STATED),
    _beir("hotpotqa", "CC BY-SA 4.0"),
    _beir("msmarco", "non-commercial research", "published numbers use dev; its test split is TREC DL 2019", "dev"),
    _beir("nfcorpus", NOT_STATED, "grades 0-2"),
    _beir("nq", "CC BY-SA 3.0"),
    _beir("quora", NOT_STATED, "a query may be one of the documents: use --convention beir"),
    _beir("scidocs", "GPL-3.0"),
    _beir("scifact", "CC BY-NC 2.0"),
    _beir("trec-covid", "CORD-19 agreement", "grades 0-2"),
    _beir(
        "webis-touche2020",
        "CC BY 4.0",
        "v2; numbers before 2021 are of v1, those of v3 (SIGIR 2024) are of another corpus",
    ),
    Known(
        "msmarco-passage",
        "dev.small",
        "non-commercial research",
        "https://microsoft.github.io/msmarco/Datasets",
        "collection.tsv, queries.dev.small.tsv and qrels.dev.small.tsv in one folder",
    ),
    Known("limit", "test", "CC BY 4.0", LIMIT, "or make one like it: lsr data limit"),
    Known("limit-small", "test", "CC BY 4.0", LIMIT, "46 documents"),
    Known(
        "wands",
        "all",
        "MIT",
        "https://github.com/wayfair/WANDS, folder dataset",
        "product search; grades 0-2; ids are numbers",
    ),
    Known(
        "esci",
        "test",
        "Apache-2.0",
        "https://github.com/amazon-science/esci-data, folder shopping_queries_dataset",
        "product search; gains 1, .1, .01, 0 as grades 100, 10, 1, 0; locale us, others as FOLDER/es, FOLDER/jp",
    ),
    Known(
        "robust04",
        "all",
        "agreement with NIST",
        "https://trec.nist.gov/data/robust.html",
        "topics.* and qrels.* beside the documents as JSONL",
    ),
)


class Found(NamedTuple):
    """A collection on this disk: its path, and what is known of it."""

    path: Path
    known: Known | None


def find_collections(folders: Sequence[Path]) -> list[Found]:
    """Judged collections that lie directly in ``folders``, by name; nothing is downloaded."""
    by_name = {known.name: known for known in KNOWN}
    paths = sorted(path for folder in folders if folder.is_dir() for path in folder.iterdir() if _holds_one(path))
    return [Found(path, by_name.get(_known_as(path))) for path in paths]


def missing_collections(found: Sequence[Found]) -> list[Known]:
    """What is known and was not found."""
    there = {one.known.name for one in found if one.known}
    return [known for known in KNOWN if known.name not in there]


def _known_as(path: Path) -> str:
    """Its name, or that of the only collection with such files."""
    if products.is_wands(path):
        return "wands"
    return "esci" if esci_locale(path) else path.name.removesuffix(".zip")


def _holds_one(path: Path) -> bool:
    if path.suffix == ".zip":
        try:
            return has_member(path, "queries.jsonl")
        except InputError:
            return False  # some other zip, or a broken one
    files = ("qrels", "qrels.*", "*/queries.jsonl", "label.csv", products.ESCI_EXAMPLES)
    return path.is_dir() and any(next(path.glob(name), None) for name in files)
