"""Which questions can any corpus ask of itself? A few of its own words, or a part of a passage, must find the document.

After the keyword and part-of-passage tasks of LexSemBridge (2025).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from lsr.corpus import Document
from lsr.errors import InputError
from lsr.eval.collections.collection import Qrels

WORDS = 5  # of a keyword query
PART = (8, 20)  # words of a part of a passage
Ask = Callable[[random.Random, list[str]], str]


def self_task(documents: Iterable[Document], kind: str, n: int = 1000, seed: int = 0) -> tuple[dict[str, str], Qrels]:
    """Queries made from ``n`` random documents, each judged relevant to its own query only.

    Args:
        documents: read twice where they are a sequence, held in memory otherwise.
        kind: "keyword" takes the 5 words of a document that the fewest documents have; "part" takes 8 to 20 words
            that follow each other.
        n: queries wanted; fewer where fewer documents have 8 words.
        seed: the same seed gives the same queries.

    Raises:
        InputError: an unknown kind, or no document of 8 words.
    """
    if kind not in ("keyword", "part"):
        raise InputError(f"unknown task {kind!r}: wanted keyword or part")
    texts = {document.id: document.full_text.split() for document in documents}
    able = [name for name, words in texts.items() if len(words) >= PART[0]]
    if not able:
        raise InputError(f"no document has {PART[0]} words: nothing to ask")
    rng = random.Random(seed)
    ask = _part if kind == "part" else _keywords(texts.values())
    chosen = rng.sample(able, min(n, len(able)))
    queries = {f"{kind}_{i}": ask(rng, texts[name]) for i, name in enumerate(chosen)}
    return queries, {query: {name: 1} for query, name in zip(queries, chosen, strict=True)}


def _part(rng: random.Random, words: list[str]) -> str:
    length = rng.randint(PART[0], min(PART[1], len(words)))
    start = rng.randint(0, len(words) - length)
    return " ".join(words[start : start + length])


def _keywords(texts: Iterable[Sequence[str]]) -> Ask:
    frequency = Counter(word for words in texts for word in set(map(_bare, words)))

    def ask(rng: random.Random, words: list[str]) -> str:
        own = list(dict.fromkeys(filter(None, map(_bare, words))))
        rarest = sorted(own, key=lambda word: (frequency[word], word))[:WORDS]
        rng.shuffle(rarest)
        return " ".join(rarest)

    return ask


def _bare(word: str) -> str:
    return re.sub(r"^\W+|\W+$", "", word.lower())
