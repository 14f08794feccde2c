"""Can one vector stand for every set of documents? The LIMIT task, made to measure.

Weller et al., On the theoretical limitations of embedding-based retrieval, 2025 (arXiv 2508.21038): each query asks for
one attribute that exactly two of a few people like; all pairs of these people are wanted by some query.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.eval.collection import Qrels

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


def make_limit(attributes: Sequence[str], shape: LimitShape) -> tuple[Iterator[Document], dict[str, str], Qrels]:
    """Documents "NAME likes A, B and C.", queries "Who likes A?" and their judgements.

    Args:
        attributes: distinct; the first ``shape.queries`` of them, shuffled, are asked for, others fill up.
        shape: sizes.

    Raises:
        InputError: too few attributes, or one twice.
    """
    needed = shape.queries + shape.likes
    if len(set(attributes)) < max(needed, len(attributes)):
        raise InputError(f"{len(set(attributes))} distinct of {len(attributes)} attributes: wanted {needed} or more")
    rng = random.Random(shape.seed)
    shuffled = rng.sample(list(attributes), len(attributes))
    asked, others = shuffled[: shape.queries], shuffled[shape.queries :]
    names = _names(rng, shape.people)
    wanted = rng.sample(names, shape.wanted)
    pairs = rng.sample(list(combinations(wanted, 2)), shape.queries)
    queries = {f"query_{i}": f"Who likes {attribute}?" for i, attribute in enumerate(asked)}
    qrels = {f"query_{i}": dict.fromkeys(pair, 1) for i, pair in enumerate(pairs)}
    likes: dict[str, list[str]] = {name: [] for name in wanted}
    for attribute, pair in zip(asked, pairs, strict=True):
        for name in pair:
            likes[name].append(attribute)
    return _documents(rng, names, likes, others, shape.likes), queries, qrels


def _documents(
    rng: random.Random, names: Sequence[str], likes: dict[str, list[str]], others: Sequence[str], least: int
) -> Iterator[Document]:
    """Everybody likes ``least`` things or more; nobody likes, unasked, what a query asks for."""
    for name in names:
        own = likes.get(name, [])
        own = own + rng.sample(others, max(0, least - len(own)))
        rng.shuffle(own)
        listed = f"{', '.join(own[:-1])} and {own[-1]}" if len(own) > 1 else "".join(own)
        yield Document(name, "", f"{name} likes {listed}.")


def _names(rng: random.Random, n: int) -> list[str]:
    """Distinct invented names of two words."""
    names: dict[str, None] = {}
    while len(names) < n:
        names[f"{_word(rng).title()} {_word(rng).title()}"] = None
    return list(names)


def invented_attributes(n: int, seed: int = 42) -> list[str]:
    """Distinct words of no language: fair among word matchers, hard on networks, which have never met them."""
    rng, words = random.Random(seed), dict[str, None]()
    while len(words) < n:
        words[_word(rng, 3)] = None
    return list(words)


def _word(rng: random.Random, syllables: int = 2) -> str:
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) for _ in range(syllables)) + rng.choice(CODAS)
