"""Can one vector stand for every set of documents? The LIMIT task, made to measure.

Weller et al., On the theoretical limitations of embedding-based retrieval, 2025 (arXiv 2508.21038): each query asks for
one attribute that exactly two of a few people like; nearly all pairs of these people are wanted by some query.
"""

from __future__ import annotations

import math
import random
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from lsr.corpus import Document, DocumentReader
from lsr.errors import InputError
from lsr.eval.collections.collection import Qrels, load_collection

ASK, LIKES = "Who likes ", " likes "
ONSETS = ["b", "br", "d", "dr", "f", "g", "gr", "h", "j", "k", "l", "m", "n", "p", "r", "s", "st", "t", "v", "w"]
VOWELS = ["a", "e", "i", "o", "u", "ai", "ea"]
CODAS = ["ck", "l", "ll", "m", "n", "nd", "r", "rt", "s", "t"]


@dataclass(frozen=True)
class LimitShape:
    """Sizes of a LIMIT collection; the defaults are those of the paper's large one.

    Attributes:
        people: documents in all.
        wanted: people that queries ask for.
        queries: at most ``wanted * (wanted - 1) / 2``.
        likes: attributes of each person, at least.
        seed: the same seed gives the same collection.

    Raises:
        InputError: numbers that fit no collection.
    """

    people: int = 50_000
    wanted: int = 46
    queries: int = 1000
    likes: int = 45
    seed: int = 42

    def __post_init__(self) -> None:
        pairs = self.wanted * (self.wanted - 1) // 2
        if not 0 < self.queries <= pairs:
            raise InputError(f"{self.queries} queries about {self.wanted} people: wanted 1 to {pairs}, one for a pair")
        if self.people < self.wanted:
            raise InputError(f"{self.people} people, {self.wanted} of them wanted: give more people")


class Limit(NamedTuple):
    """People that queries ask for, what is asked, and what else anybody may like.

    Attributes:
        wanted: documents "NAME likes A, B and C."
        queries: "Who likes A?" by id.
        qrels: two of the wanted for each.
        others: attributes that nobody asks for.
    """

    wanted: list[Document]
    queries: dict[str, str]
    qrels: Qrels
    others: list[str]


def make_limit(
    attributes: Sequence[str], shape: LimitShape, called: Sequence[str] = ()
) -> tuple[Iterator[Document], dict[str, str], Qrels]:
    """Documents "NAME likes A, B and C.", queries "Who likes A?" and their judgements.

    As the paper does it: attributes are shuffled, the first ones are asked for, each by the next pair of people.

    Args:
        attributes: distinct; the first ``shape.queries`` of them, shuffled, are asked for, others fill up.
        shape: sizes.
        called: words of which two make a name; none means that names are invented.

    Raises:
        InputError: too few attributes or names, or an attribute twice.
    """
    needed = shape.queries + shape.likes
    if len(set(attributes)) < max(needed, len(attributes)):
        raise InputError(f"{len(set(attributes))} distinct of {len(attributes)} attributes: wanted {needed} or more")
    rng = random.Random(shape.seed)
    shuffled = rng.sample(list(attributes), len(attributes))
    asked, others = shuffled[: shape.queries], shuffled[shape.queries :]
    names = _names(rng, shape.wanted, called)
    pairs = list(combinations(names, 2))[: shape.queries]
    queries = {f"query_{i}": f"{ASK}{attribute}?" for i, attribute in enumerate(asked)}
    qrels = {f"query_{i}": dict.fromkeys(pair, 1) for i, pair in enumerate(pairs)}
    likes: dict[str, list[str]] = {name: [] for name in names}
    for attribute, pair in zip(asked, pairs, strict=True):
        for name in pair:
            likes[name].append(attribute)
    wanted = [_document(rng, name, own, others, shape.likes) for name, own in likes.items()]
    return _among_others(rng, wanted, others, shape, called), queries, qrels


def read_limit(path: Path) -> Limit:
    """The people, questions and attributes of a LIMIT collection, such as the authors' small one of 46 people.

    Raises:
        InputError: a collection of another kind.
    """
    collection, documents = load_collection(path), list(DocumentReader([path]))
    asked = {text.removeprefix(ASK).removesuffix("?") for text in collection.queries.values()}
    for text in (*collection.queries.values(), *(document.text for document in documents)):
        if not text.startswith(ASK) and LIKES not in text:
            raise InputError(f"{path}: found {text!r:.60}, wanted a LIMIT collection: 'Who likes A?', 'B likes A, ...'")
    listed = [document.text.partition(LIKES)[2].removesuffix(".").split(", ") for document in documents]
    liked = set(asked).union(*(own[:-1] for own in listed))
    for *_, last in listed:
        liked.update(_pair(last, liked))
    return Limit(documents, collection.queries, collection.qrels, sorted(liked - asked))


def extend_limit(
    limit: Limit, attributes: Sequence[str], shape: LimitShape, called: Sequence[str] = ()
) -> Iterator[Document]:
    """The wanted people among ``shape.people`` in all; the others like what nobody asks for.

    Args:
        limit: what is asked.
        attributes: more that people may like; those that are asked for are left out.
        shape: sizes and seed.
        called: words of which two make a name; none means that names are invented.

    Raises:
        InputError: fewer attributes than one person likes, or too few names.
    """
    asked = {text.removeprefix(ASK).removesuffix("?") for text in limit.queries.values()}
    others = sorted({*limit.others, *attributes} - asked)
    if len(others) < shape.likes:
        raise InputError(f"{len(others)} attributes that nobody asks for, wanted {shape.likes} or more")
    return _among_others(random.Random(shape.seed), limit.wanted, others, shape, called)


def _among_others(
    rng: random.Random,
    wanted: Sequence[Document],
    others: Sequence[str],
    shape: LimitShape,
    called: Sequence[str],
) -> Iterator[Document]:
    """The wanted people at random places among people who like ``shape.likes`` other things each."""
    taken = {document.id: document for document in wanted}
    names = [name for name in _names(rng, shape.people, called) if name not in taken][: shape.people - len(wanted)]
    places = rng.sample([*taken, *names], len(taken) + len(names))
    return (taken.get(name) or _document(rng, name, [], others, shape.likes) for name in places)


def _document(rng: random.Random, name: str, own: list[str], others: Sequence[str], least: int) -> Document:
    """Somebody likes ``own`` and so many ``others`` that they are ``least`` or more."""
    likes = own + rng.sample(others, max(0, least - len(own)))
    rng.shuffle(likes)
    listed = f"{', '.join(likes[:-1])} and {likes[-1]}" if len(likes) > 1 else "".join(likes)
    return Document(name, "", f"{name}{LIKES}{listed}.")


def _pair(text: str, known: Container[str]) -> tuple[str, ...]:
    """The two attributes of "A and B", where A or B may hold an "and" too: the first cut that leaves a known one."""
    words = text.split(" and ")
    cuts = [(" and ".join(words[:i]), " and ".join(words[i:])) for i in range(1, len(words))]
    both = [cut for cut in cuts if cut[0] in known and cut[1] in known]
    return next(iter(both or [cut for cut in cuts if cut[0] in known or cut[1] in known] or cuts), (text,))


def _names(rng: random.Random, n: int, called: Sequence[str]) -> list[str]:
    """Distinct names of two words, of ``called`` or invented."""
    if called and len(set(called)) ** 2 < 2 * n:
        raise InputError(f"{len(set(called))} words for names of {n:,} people: wanted {math.isqrt(2 * n) + 1} or more")
    names: dict[str, None] = {}
    while len(names) < n:
        pair = [rng.choice(called) if called else _word(rng) for _ in range(2)]
        names[" ".join(pair).title()] = None
    return list(names)


def invented_attributes(n: int, seed: int = 42) -> list[str]:
    """Distinct words of no language: fair among word matchers, hard on networks, which have never met them."""
    rng, words = random.Random(seed), dict[str, None]()
    while len(words) < n:
        words[_word(rng, 3)] = None
    return list(words)


def _word(rng: random.Random, syllables: int = 2) -> str:
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(syllables)) + rng.choice(CODAS)
