"""Whatever is done to a collection, in any order, it is what a dictionary would be; scores are those of sums in Python.

Two machines do the same: one with vectors that are given (and vectors of texts, counted), one with BM25, whose weights
and statistics follow the documents.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

import lsr
from lsr.encoders import load
from lsr.encoders.lexical.precomputed import PrecomputedVectors
from lsr.errors import InputError
from lsr.formats import Vocabulary
from lsr.index.live import folding, tiers
from lsr.sparse import SparseMatrix

IDS = [f"d{number}" for number in range(9)]
WORDS = [str(number) for number in range(10, 16)]
TYPES = {"dense": "vector"}
LARGEST, KEPT = 18, 10
EXAMPLES, STEPS = 100, 40
SCALE = int(os.environ.get("LSR_CRASH", "1"))


class Doc(NamedTuple):
    """A document as the model has it; its vector by names of terms."""

    text: str
    fields: dict[str, Any]
    vector: dict[str, float]


texts = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
values = {
    "price": st.integers(0, 5),
    "colour": st.sampled_from(["red", "blue", "green"]),
    "tags": st.lists(st.sampled_from(["x", "y", "z"]), max_size=3),
    "rating": st.sampled_from([0.5, 1.5, 2.5]),
    "dense": st.lists(st.sampled_from([-1.0, 0.0, 0.5]), min_size=2, max_size=2),
}
fields = st.fixed_dictionaries({}, optional=values)
changes = st.fixed_dictionaries({}, optional={name: st.none() | own for name, own in values.items()})
vectors = st.dictionaries(st.integers(0, LARGEST - 1), st.integers(1, 4), max_size=4)
ids = st.lists(st.sampled_from(IDS), min_size=1, max_size=4, unique=True)
documents = st.dictionaries(st.sampled_from(IDS), st.tuples(texts, fields), min_size=1, max_size=4)


class Given:
    """Vectors that are given, or counted tokens."""

    @staticmethod
    def encoder():
        vocabulary = Vocabulary()
        vocabulary.widen(16)
        return PrecomputedVectors(vocabulary)

    @staticmethod
    def weighed(text, docs):
        return dict(Counter(text.split()))

    @staticmethod
    def query(words, docs):
        return dict(Counter(words))


class Bm25:
    """Weights by the documents that are there when a text is written, queries by those that are there now."""

    @staticmethod
    def encoder():
        return load("bm25:none")

    @staticmethod
    def weighed(text, docs):
        counts, lengths = Counter(text.split()), [len(other.split()) for other in docs]
        norm = 0.9 * (1 - 0.4 + 0.4 * len(text.split()) / (sum(lengths) / len(lengths)))
        return {word: count / (count + norm) for word, count in counts.items()}

    @staticmethod
    def query(words, docs):
        df = Counter(word for text in docs for word in set(text.split()))
        return {
            word: count * math.log1p((len(docs) - df[word] + 0.5) / (df[word] + 0.5))
            for word, count in Counter(words).items()
        }


def scores_of(way, words, docs):
    """Scores above 0, by id."""
    query = way.query(words, [doc.text for doc in docs.values()])
    found = {name: sum(query.get(term, 0) * w for term, w in doc.vector.items()) for name, doc in docs.items()}
    return {name: score for name, score in found.items() if score > 0}


def plain(docs):
    return {name: (doc.text, doc.fields) for name, doc in docs.items()}


def read(collection):
    return {found.id: (found.text, dict(found.fields)) for found in collection}


class Machine(RuleBasedStateMachine):
    """See the module; ``way`` is how texts become vectors."""

    way: Any = Given
    template: Path

    def __init__(self):
        super().__init__()
        self.place = Path(tempfile.mkdtemp())
        shutil.copytree(self.template, self.place / "folder")
        self.collection = lsr.Collection.open(self.place / "folder", background=False, durability="os")
        self.reader = lsr.Collection.open(self.place / "folder", refresh=0.0)
        start = [text for text, _ in START.values()]
        self.docs = {name: Doc(text, own, self.way.weighed(text, start)) for name, (text, own) in START.items()}
        self.past = {1: self.docs}

    def teardown(self):
        try:
            self.check_fresh()
        finally:
            self.collection.close()
            self.reader.close()
            shutil.rmtree(self.place)

    def changed(self, after, *between):
        """The documents are others now, by one generation for each state."""
        states = [*between, after]
        first = self.collection.generation - len(states) + 1
        assert first == max(self.past) + 1
        self.past |= dict(enumerate(states, first))
        self.past = {number: docs for number, docs in self.past.items() if number > self.collection.generation - KEPT}
        self.docs = after

    def with_texts(self, given, keep=True):
        """The documents after these were upserted; those whose text is as it was keep their vectors."""
        same = {name for name, (text, _) in given.items() if name in self.docs and self.docs[name].text == text}
        after = {name: doc.text for name, doc in self.docs.items()} | {name: text for name, (text, _) in given.items()}
        return self.docs | {
            name: Doc(text, own, self.docs[name].vector if name in same else self.way.weighed(text, [*after.values()]))
            for name, (text, own) in given.items()
        }

    def sources(self, given):
        return [{"id": name, "text": text, **own} for name, (text, own) in given.items()]

    @rule(given=documents)
    def add(self, given):
        known = self.docs.keys() & given.keys()
        if known:
            with pytest.raises(InputError, match="is there already"):
                self.collection.add(self.sources(given))
            return
        after = self.with_texts(given)
        assert self.collection.add(self.sources(given)).added == len(given)
        self.changed(after)

    @rule(given=documents)
    def upsert(self, given):
        after = self.with_texts(given)
        done = self.collection.upsert(self.sources(given))
        assert done.added == len(given.keys() - self.docs.keys())
        assert done.unchanged == sum(plain(self.docs).get(name) == own for name, own in given.items())
        if plain(after) != plain(self.docs):
            self.changed(after)

    @rule(given=st.dictionaries(st.sampled_from(IDS), st.tuples(texts, fields, vectors), min_size=1, max_size=4))
    def upsert_vectors(self, given):
        if self.way is not Given:
            return
        dim = max((term + 1 for _, _, vector in given.values() for term in vector), default=1)
        rows = SparseMatrix.from_dicts([vector for _, _, vector in given.values()], dim)
        self.collection.upsert(self.sources({name: own[:2] for name, own in given.items()}), rows)
        new = {name: Doc(text, own, {str(t): w for t, w in v.items()}) for name, (text, own, v) in given.items()}
        self.changed(self.docs | new)

    @rule(names=ids, change=changes)
    def update(self, names, change):
        unknown = [name for name in names if name not in self.docs]
        if unknown:
            with pytest.raises(InputError, match="no document with the id"):
                self.collection.update(dict.fromkeys(names, change))
            return
        done = self.collection.update(dict.fromkeys(names, change))
        after = {
            name: self.docs[name]._replace(
                fields={key: v for key, v in {**self.docs[name].fields, **change}.items() if v is not None}
            )
            for name in names
        }
        differ = [name for name in names if after[name] != self.docs[name]]
        assert (done.fields, done.unchanged) == (len(differ), len(names) - len(differ))
        if differ:
            self.changed(self.docs | after)

    @rule(names=ids)
    def delete(self, names):
        gone = self.docs.keys() & set(names)
        assert self.collection.delete(names).deleted == len(gone)
        if gone:
            self.changed({name: doc for name, doc in self.docs.items() if name not in gone})

    @rule(price=st.integers(0, 3))
    def delete_by_filter(self, price):
        left = {name: doc for name, doc in self.docs.items() if doc.fields.get("price", 9) >= price}
        if "price" in self.collection.fields:
            assert self.collection.delete(filter=f"price < {price}").deleted == len(self.docs) - len(left)
            if len(left) < len(self.docs):
                self.changed(left)

    @rule(given=documents, keep=ids, dry_run=st.booleans())
    def sync(self, given, keep, dry_run):
        """Some documents as they are, and others new or changed."""
        source = {name: own for name, own in plain(self.docs).items() if name in keep} | given
        upserted = self.with_texts(source)
        done = self.collection.sync(self.sources(source), dry_run=dry_run)
        gone = self.docs.keys() - source.keys()
        assert done.deleted == len(gone)
        assert done.added == len(source.keys() - self.docs.keys())
        if dry_run:
            return
        between = [] if plain(upserted) == plain(self.docs) else [upserted]
        if gone:
            self.changed({name: doc for name, doc in upserted.items() if name in source}, *between)
        elif between:
            self.changed(upserted)

    @rule()
    def flush(self):
        self.collection.flush()
        assert not self.collection.store.contents.state.batches

    @rule()
    def compact(self):
        self.collection.compact()
        self.past = {max(self.past): self.docs}
        assert len(self.collection.store.contents.state.segments) <= 1
        if self.way is Bm25 and self.docs:
            texts = [doc.text for doc in self.docs.values()]
            self.docs = {n: d._replace(vector=self.way.weighed(d.text, texts)) for n, d in self.docs.items()}
            self.past = {max(self.past): self.docs}

    @rule()
    def reopen(self):
        self.collection.close()
        self.collection = lsr.Collection.open(self.place / "folder", background=False, durability="os")

    @rule()
    def another_reader(self):
        self.reader.close()
        self.reader = lsr.Collection.open(self.place / "folder", refresh=0.0)

    @rule(data=st.data())
    def rollback(self, data):
        number = data.draw(st.sampled_from(sorted(self.past)))
        before = self.past[number]
        if self.collection.rollback(number).counts:
            self.changed(before)
        assert self.docs == before

    @rule(data=st.data(), words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2))
    def travel(self, data, words):
        number = data.draw(st.sampled_from(sorted(self.past)))
        self.check_search(self.collection.at(number), words, self.past[number])
        pinned = lsr.Collection.open(self.place / "folder", generation=number)
        assert read(pinned) == plain(self.past[number])
        pinned.close()

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2))
    def snapshot(self, words):
        self.collection.snapshot(self.place / "copy")
        with lsr.Collection.open(self.place / "copy") as copy:
            assert read(copy) == plain(self.docs)
            self.check_search(copy.searcher, words, self.docs)
            assert sorted(copy.history()) == sorted(self.past)
        shutil.rmtree(self.place / "copy")

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3))
    def search(self, words):
        self.check_search(self.reader.searcher, words, self.docs)
        self.check_search(self.collection.searcher, words, self.docs)

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2), price=st.integers(0, 5))
    def filter(self, words, price):
        if "price" not in self.collection.fields:
            return
        wanted = {name: s for name, s in self.scores(words).items() if self.docs[name].fields.get("price", -1) >= price}
        for one in (self.collection, self.reader):
            hits = one.search(" ".join(words), 20, exact=True, filter=f"price >= {price}")
            assert {hit.id: hit.score for hit in hits if hit.score > 0} == pytest.approx(wanted, rel=1e-5)
            assert one.count(f"price >= {price}") == sum(d.fields.get("price", -1) >= price for d in self.docs.values())

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=2), descending=st.booleans())
    def sort(self, words, descending):
        if "price" not in self.collection.fields:
            return
        hits = self.collection.search(" ".join(words), 20, sort="-price" if descending else "price")
        assert {hit.id: hit.score for hit in hits} == pytest.approx(self.scores(words), rel=1e-5)
        sign = -1 if descending else 1
        order = [(sign * hit.fields["price"], -hit.score) if "price" in hit.fields else (99, 0) for hit in hits]
        assert [key[0] for key in order] == sorted(key[0] for key in order)

    def scores(self, words):
        return scores_of(self.way, words, self.docs)

    def check_search(self, searcher, words, docs):
        wanted = scores_of(self.way, words, docs)
        assert len(searcher.generation) == len(docs)
        for k in (2, 20):
            hits = searcher.search(" ".join(words), k, exact=True)
            found = {hit.id: hit.score for hit in hits if hit.score > 0}
            assert found == pytest.approx({name: wanted[name] for name in found}, rel=1e-5)
            assert sorted(found.values()) == pytest.approx(sorted(wanted.values())[-k:], rel=1e-5)
            assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
        fast = searcher.search(" ".join(words), 20)
        assert {hit.id: hit.score for hit in fast} == pytest.approx({hit.id: wanted[hit.id] for hit in fast}, rel=1e-5)

    @invariant()
    def is_as_the_dictionary(self):
        for one in (self.collection, self.reader):
            assert one.generation == max(self.past)
            assert sorted(one.history()) == sorted(self.past)
            assert len(one) == len(self.docs)
            assert read(one) == plain(self.docs)
            assert [found.id for found in one] == [found.id for found in map(one.get, [f.id for f in one]) if found]
            assert [name in one for name in IDS] == [name in self.docs for name in IDS]
            self.check_facets(one, self.docs)
        if self.way is Bm25:
            self.check_statistics(self.collection)
            self.check_statistics(self.reader)

    def check_facets(self, one, docs):
        for found in one.facets(sorted(one.fields.keys() - {"dense"})):
            own = [doc.fields.get(found.field) for doc in docs.values()]
            assert found.missing == own.count(None)
            there = [value for value in own if value is not None]
            if found.kind in ("keyword", "keywords"):
                each = Counter(word for value in there for word in ({*value} if isinstance(value, list) else {value}))
                assert dict(found.counts) == each
                assert found.distinct == len(each)
            else:
                assert sum(part.documents for part in found.ranges) == len(there)

    def check_statistics(self, one):
        """N, lengths and document frequencies by name of a term are those of the documents."""
        texts = [doc.text.split() for doc in self.docs.values()]
        seen, terms = one.searcher.encoder.seen(), one.searcher.encoder.terms
        assert (seen.documents, seen.length) == (len(texts), sum(map(len, texts)))
        frequency = {terms[at]: count for at, count in enumerate(seen.frequency.tolist()) if count}
        assert frequency == Counter(word for text in texts for word in set(text))
        assert len(set(terms)) == len(terms)

    def check_fresh(self):
        """All of it is what a fresh build of the same documents is; for BM25, once it is compacted."""
        if not self.docs:
            return
        order = [found.id for found in self.collection]
        if self.way is Bm25:
            self.collection.compact()
            assert [found.id for found in self.collection] == order
        source = self.sources({name: plain(self.docs)[name] for name in order})
        with lsr.Collection.create(self.place / "fresh", source, self.way.encoder(), types=TYPES) as fresh:
            assert [found.id for found in fresh] == order
            assert len(fresh) == len(self.collection)
            names = sorted(fresh.fields.keys() - {"dense"})
            assert fresh.facets(names) == self.collection.facets(names)
            if self.way is Bm25:
                self.check_statistics(fresh)
                for query in (*WORDS, " ".join(WORDS)):
                    one, other = (c.search(query, 20, exact=True) for c in (fresh, self.collection))
                    assert {h.id: h.score for h in one} == pytest.approx({h.id: h.score for h in other}, rel=1e-6)


START: dict[str, tuple[str, dict[str, Any]]] = {
    "d0": ("10 11", {"price": 3, "colour": "red"}),
    "d1": ("11 12 12", {"price": 1, "tags": ["x", "y"]}),
    "d2": ("13", {}),
    "d3": ("10 10 14", {"colour": "blue"}),
}


@pytest.fixture
def low(monkeypatch):
    """Segments are made of a few documents; nothing waits for the disk."""
    monkeypatch.setattr(tiers, "FLUSH_DOCUMENTS", 5)
    monkeypatch.setattr(folding, "MANY_UPDATES", 3)
    monkeypatch.setattr(os, "fsync", lambda _: None)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", [Given, Bm25])
def test_a_collection_is_what_a_dictionary_would_be(kind, low, tmp_path):
    start = [{"id": name, "text": text, **own} for name, (text, own) in START.items()]
    lsr.Collection.create(tmp_path / "template", start, kind.encoder(), types=TYPES).close()

    class Own(Machine):
        way, template = kind, tmp_path / "template"

    run_state_machine_as_test(
        Own,
        settings=settings(
            max_examples=EXAMPLES // 2 * SCALE,
            stateful_step_count=STEPS,
            deadline=None,
            derandomize=SCALE == 1,
            suppress_health_check=[*HealthCheck],
        ),
    )
