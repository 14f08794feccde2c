"""How does an encoder follow a collection? It learns new terms, and what is counted, generation by generation."""

from __future__ import annotations

from pathlib import Path

from lsr.encoders import Encoder
from lsr.encoders.base import CorpusCounts
from lsr.index import About, Generation
from lsr.retrieval.changing.counting import NOTHING, Counts
from lsr.retrieval.opening import encoder_of


class Following:
    """The encoder of one collection, at any of its generations. Not to be used by several threads at once.

    Args:
        folder: of the collection.
        about: of the collection.
        encoder: that made it, where it is loaded already; what it learned from a corpus does not count.

    Raises:
        EncoderError: the saved encoder cannot be loaded.
        StorageError: a file of it is missing or damaged, or it came with another version of lsr.
        MismatchError: another encoder made the collection.
    """

    def __init__(self, folder: Path, about: About, encoder: Encoder | None = None) -> None:
        self._folder, self._made_by = folder, about.encoder
        self.encoder = encoder_of(folder, about, encoder)
        self._counts, self._terms = Counts(self.encoder.seen()), list[str]()

    def at(self, generation: Generation) -> Encoder:
        """The encoder as it is at a generation: with its terms, and what is counted then."""
        self.learn(generation)
        counts = self._counts.at(generation)
        return self.encoder if counts is None else self.encoder.following(counts)

    def counts(self, generation: Generation) -> CorpusCounts:
        """What is counted at a generation."""
        return self._counts.at(generation) or NOTHING

    def learn(self, generation: Generation) -> None:
        """Let the encoder know all terms of a generation; where another collection has come instead, load its own."""
        about, terms = generation.summary.about, generation.summary.new_terms
        both = min(len(terms), len(self._terms))
        if about.encoder != self._made_by or terms[:both] != self._terms[:both]:
            self.encoder, self._made_by, self._terms = encoder_of(self._folder, about), about.encoder, []
            self._counts, both = Counts(self.encoder.seen()), 0
        if terms[both:]:
            self.encoder.following(NOTHING, terms[both:])
            self._terms = terms
