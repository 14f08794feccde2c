"""Which queries can be made from a corpus alone? Titles, headings, sentences, spans and key terms of its documents.

What a query takes is cut out of its document, so that it must be found by the rest: the inverse cloze task (Lee et al.,
arXiv 1906.00300, section 3), spans as in Contriever's cropping (arXiv 2112.09118, section 3.1).
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from lsr.corpus import Document

KINDS = ("title", "heading", "sentence", "span", "terms")
SHARE = 0.1, 0.3  # of a passage's words in a span
LONGEST = 32  # words of a query
LEFT = 8  # words, at least, that a document keeps
TERMS = 3, 6  # words of a query of key terms
RARE = 8  # key terms are drawn from so many of the rarest
HEADING = re.compile(r"^(?:#{1,6}\s+)?(\S[^\n]{2,78}[^\s.,;:!?])[ \t]*$", re.MULTILINE)
SENTENCE = re.compile(r".{20,}?[.!?](?=\s+\S)", re.DOTALL)
WORD = re.compile(r"\w[\w-]+")


class Question(NamedTuple):
    """A query of one kind, the document that it is about, and the text that is left of that."""

    kind: str
    text: str
    document: int
    left: str


class Questioner:
    """Asks documents.

    Args:
        documents: the corpus; words that occur in one document only are no key terms, they are often misspelt.
        seed: of all choices.
    """

    def __init__(self, documents: Sequence[Document], seed: int = 0) -> None:
        self._documents, self._seed = documents, seed
        self._frequency = Counter(
            word for document in documents for word in set(WORD.findall(document.full_text.lower()))
        )

    def ask(self, row: int) -> list[Question]:
        """One question of each kind that document ``row`` can be asked."""
        document, rng = self._documents[row], random.Random(f"{self._seed} {row}")
        found = (ask(document, rng) for ask in self._ways())
        return [
            Question(kind, " ".join(asked[0].split()[:LONGEST]), row, asked[1].strip())
            for kind, asked in zip(KINDS, found, strict=True)
            if asked and asked[0].strip() and len(asked[1].split()) >= LEFT
        ]

    def _ways(self) -> Iterator[Callable[[Document, random.Random], tuple[str, str] | None]]:
        yield from (_title, _heading, _sentence, _span, self._terms)

    def _terms(self, document: Document, rng: random.Random) -> tuple[str, str]:
        """Some of the rarest words, in the order of the text."""
        text = document.full_text
        words = list(dict.fromkeys(WORD.findall(text.lower())))
        known = [word for word in words if self._frequency[word] > 1 and len(word) > 2]
        rarest = sorted(known, key=lambda word: (self._frequency[word], word))[:RARE]
        chosen = set(rng.sample(rarest, min(len(rarest), rng.randint(*TERMS))))
        return " ".join(word for word in words if word in chosen), text


def _title(document: Document, rng: random.Random) -> tuple[str, str]:
    return document.title, document.text


def _heading(document: Document, rng: random.Random) -> tuple[str, str] | None:
    """One of the headings, and the text under it."""
    found = list(HEADING.finditer(document.text)) if "\n" in document.text else []
    if not found:
        return None
    at = rng.randrange(len(found))
    end = found[at + 1].start() if at + 1 < len(found) else len(document.text)
    return found[at][1], document.text[found[at].end() : end]


def _sentence(document: Document, rng: random.Random) -> tuple[str, str] | None:
    """The first sentence, and what follows."""
    match = SENTENCE.match(document.text)
    return (match[0], document.text[match.end() :]) if match else None


def _span(document: Document, rng: random.Random) -> tuple[str, str]:
    """Words that follow each other, and those around them."""
    words = document.text.split()
    size = min(LONGEST, max(2, round(rng.uniform(*SHARE) * len(words))))
    start = rng.randint(0, max(0, len(words) - size))
    left = [document.title, *words[:start], *words[start + size :]]
    return " ".join(words[start : start + size]), " ".join(left)
