"""What does a writer do to a collection, and what does a dictionary say of it?

Everything that a `Workload` does is a function of its seed, so whoever compares knows what a process did that is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

import lsr
from lsr.encoders import load
from lsr.encoders.lexical.precomputed import PrecomputedVectors
from lsr.errors import LsrError
from lsr.formats import Vocabulary
from lsr.index.live import folding, tiers
from lsr.index.live.snapshots import verify

SHOP = "shop"
KINDS = ("given", "bm25")
WORDS = [str(number) for number in range(10, 18)]
POOL = [f"d{number}" for number in range(14)]
VERBS = ("add", "add", "upsert", "upsert", "update", "delete", "sync", "flush", "compact", "snapshot", "reopen")

Docs = dict[str, tuple[str, int | None]]  # text and price by id
Heard = Callable[[Any], object]


class Step(NamedTuple):
    """One call: a verb, and its documents or ids."""

    number: int
    verb: str
    documents: Docs

    def states(self, docs: Docs) -> list[Docs]:
        """What a collection of ``docs`` may hold while this goes on, and at the end after it."""
        if self.verb in ("add", "upsert"):
            return [docs, docs | self.documents]
        if self.verb == "update":
            return [docs, docs | {n: (docs[n][0], own[1]) for n, own in self.documents.items() if n in docs}]
        if self.verb == "delete":
            return [docs, {name: own for name, own in docs.items() if name not in self.documents}]
        if self.verb == "sync":
            return [docs, docs | self.documents, dict(self.documents)]
        return [docs]

    def after(self, docs: Docs) -> Docs:
        """What a collection of ``docs`` holds once this is done."""
        return self.states(docs)[-1]

    def run(self, collection: lsr.Collection, folder: Path) -> None:
        """Do it; copies go beside the collection."""
        if self.verb in ("add", "upsert", "sync"):
            getattr(collection, self.verb)(records(self.documents))
        elif self.verb == "update":
            known = {name: {"price": own[1]} for name, own in self.documents.items() if name in collection}
            collection.update(known)
        elif self.verb == "delete":
            collection.delete([*self.documents])
        elif self.verb == "snapshot":
            collection.snapshot(copy_of(folder, self.number))
        else:
            getattr(collection, self.verb)()


class Workload(NamedTuple):
    """Steps by their seed: ``size`` random ones of ``verbs``, or with 0 these, in their order."""

    seed: int
    size: int = 10
    verbs: tuple[str, ...] = VERBS

    def steps(self) -> list[Step]:
        """All steps."""
        random = Random(self.seed)
        verbs = random.choices(self.verbs, k=self.size) if self.size else self.verbs
        return [_step(random, self.seed * 1000 + at, verb) for at, verb in enumerate(verbs)]


def _step(random: Random, number: int, verb: str) -> Step:
    names = [f"n{number}-{at}" for at in range(random.randint(1, 4))] if verb == "add" else _some(random)
    own = {name: (_text(random), random.choice((None, 0, 1, 2, 3))) for name in names}
    return Step(number, verb, own)


def _some(random: Random) -> list[str]:
    return random.sample(POOL, random.randint(1, 5))


def _text(random: Random) -> str:
    return " ".join(random.choices(WORDS, k=random.randint(1, 4)))


def records(docs: Docs) -> list[dict[str, Any]]:
    """Documents as a source gives them."""
    return [
        {"id": name, "text": text, **({} if price is None else {"price": price})}
        for name, (text, price) in docs.items()
    ]


START: Docs = {name: (f"{10 + at} 1{at % 3}", at % 4) for at, name in enumerate(POOL[:4])}


def make(folder: Path, kind: str = "given") -> Path:
    """A collection of ``START`` in ``folder``, below which all else is done too."""
    vocabulary = Vocabulary()
    vocabulary.widen(18)
    encoder = PrecomputedVectors(vocabulary) if kind == "given" else load("bm25:none")
    folder.mkdir(parents=True, exist_ok=True)
    lsr.Collection.create(folder / SHOP, records(START), encoder).close()
    return folder


def copy_of(folder: Path, number: int) -> Path:
    """Where a snapshot is made."""
    return folder / f"copy-{number}"


def small_segments() -> None:
    """Let segments be made of a few documents."""
    tiers.FLUSH_DOCUMENTS, folding.MANY_UPDATES = 6, 3


def perform(folder: Path, heard: Heard, workload: Workload, durability: str = "fsync") -> None:
    """Do all steps; each that is done is heard of by its number.

    Raises:
        LsrError: the collection refused something.
    """
    collection = opened(folder, durability)
    try:
        for step in workload.steps():
            if step.verb == "reopen":
                collection.close()
                collection = opened(folder, durability)
            else:
                step.run(collection, folder)
            heard(step.number)
    finally:
        collection.close()


def opened(folder: Path, durability: str = "fsync") -> lsr.Collection:
    """The collection, which does all its work in the calls that make it necessary."""
    return lsr.Collection.open(folder / SHOP, background=False, durability=durability)


class Expected:
    """What a folder must hold, by what was acknowledged.

    Attributes:
        docs: of the last acknowledged step.
        states: one of which the collection is in.
    """

    def __init__(self, docs: Docs) -> None:
        self.docs, self.states, self.copies = docs, [docs], dict[int, Docs]()

    def done(self, workload: Workload, acknowledged: Iterable[int]) -> Expected:
        """The same after a workload that stopped somewhere."""
        heard = {int(number) for number in acknowledged}
        for step in workload.steps():
            self.states = step.states(self.docs)
            if step.number not in heard:
                return self
            self.docs = step.after(self.docs)
            self.states = [self.docs]
            if step.verb == "snapshot":
                self.copies[step.number] = self.docs
        return self

    def check(self, folder: Path) -> Docs:
        """Compare the collection and its copies; what is there."""
        found = check_collection(folder / SHOP, self.states)
        for path in sorted(folder.glob("copy-*")):
            check_copy(path, self.copies.get(int(path.name.removeprefix("copy-"))), self.states)
        for number in self.copies:
            assert copy_of(folder, number).is_dir(), f"the snapshot {number} is lost"
        return found


def check_copy(path: Path, docs: Docs | None, states: list[Docs]) -> None:
    """A snapshot that was acknowledged is whole; another one is too, or none that anybody could open."""
    if docs is not None:
        check_collection(path, [docs])
        return
    try:
        lsr.Collection.open(path).close()
    except LsrError:
        return
    check_collection(path, states)


def check_collection(folder: Path, states: list[Docs]) -> Docs:
    """Every way to read the collection gives one of ``states``, which comes back."""
    verify(folder)
    with lsr.Collection.open(folder) as collection:
        return check_open(collection, states)


def check_open(collection: lsr.Collection, states: list[Docs]) -> Docs:
    """As `check_collection`, of one that is open."""
    documents = [*collection]
    found: Docs = {one.id: (one.text, one.fields.get("price")) for one in documents}
    assert found in states, _apart(found, states)
    assert len(documents) == len(found) == len(collection), "duplicates"
    assert all(collection.get(one.id) == one for one in documents), "get gives others"
    history = sorted(collection.history())
    assert history == [*range(history[0], collection.generation + 1)], "gaps in the history"
    _check_search(collection, found)
    return found


def _check_search(collection: lsr.Collection, docs: Docs) -> None:
    prices = Counter(price for _, price in docs.values() if price is not None)
    if "price" in collection.fields:
        assert {price: collection.count(f"price = {price}") for price in prices} == prices
    texts = [text.split() for text, _ in docs.values()]
    seen = collection.searcher.encoder.seen()
    if seen is not None:
        assert (seen.documents, seen.length) == (len(texts), sum(map(len, texts)))
        terms = collection.searcher.encoder.terms
        frequency = {terms[at]: count for at, count in enumerate(seen.frequency.tolist()) if count}
        assert frequency == Counter(word for text in texts for word in set(text))
    for word in WORDS:
        wanted = {name: float(text.split().count(word)) for name, (text, _) in docs.items() if word in text.split()}
        hits = collection.search(word, 50, exact=True)
        scores = {hit.id: hit.score for hit in hits if hit.score > 0}
        assert len(scores) == sum(hit.score > 0 for hit in hits), "a document is found twice"
        if seen is None:
            assert scores == pytest.approx(wanted)
        else:
            assert scores.keys() == wanted.keys()


def _apart(found: Mapping[str, Any], states: list[Docs]) -> str:
    """How the documents differ from each state."""
    lines = []
    for docs in states:
        lost, phantoms = sorted(docs.keys() - found.keys()), sorted(found.keys() - docs.keys())
        changed = sorted(name for name in docs.keys() & found.keys() if docs[name] != found[name])
        lines.append(f"lost {lost}, phantoms {phantoms}, other {changed}")
    return "; or ".join(lines)
