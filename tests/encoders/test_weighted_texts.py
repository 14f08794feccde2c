"""Parts of texts have weights: BM25F by its formula, the largest of weighted vectors for networks."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.corpus.document import Document
from lsr.corpus.text_parts import PARTS
from lsr.encoders import load
from lsr.encoders.expanded import ExpandedEncoder

WEIGHTS = [0.5, 1.0, 2.0, 307 / 1024]
pieces = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["red", "blue", "green", "hat"]), min_size=1, max_size=5).map(" ".join),
        st.sampled_from(WEIGHTS),
    ),
    max_size=3,
)


def weighted(pieces, title=""):
    """A text for encoders; one without weights where all are 1."""
    ends = np.cumsum([1 + len(text) for text, _ in pieces]) - 1
    parts = [(int(end), weight) for end, (_, weight) in zip(ends, pieces, strict=True)]
    fields = {PARTS: parts} if any(weight != 1 for _, weight in parts) else {}
    return Document("1", title, " ".join(text for text, _ in pieces), fields).weighted_text


def bm25f(corpus, k1=0.9, b=0.4):
    """Weights by the formula: counts of each field times its weight are added up before they saturate."""
    counts = list[Counter[str]]()
    for own in corpus:
        counts.append(Counter())
        for text, weight in own:
            for word in text.split():
                counts[-1][word] += weight
    mean = sum(own.total() for own in counts) / len(counts)
    return [
        {word: tf / (tf + k1 * (1 - b + b * own.total() / mean)) for word, tf in own.items()} for own in counts
    ], counts


def length_of(encoder):
    seen = encoder.seen()
    return seen and seen.length


@given(st.lists(pieces, min_size=1, max_size=6).filter(any))
def test_bm25_is_bm25f(corpus):
    encoder = load("bm25:none").fresh()
    texts = [weighted(own) for own in corpus]
    rows = encoder.weigh(encoder.observe(texts).matrix)
    wanted, counts = bm25f(corpus)
    for found, own in zip(rows.to_dicts(), wanted, strict=True):
        assert {encoder.terms[term]: weight for term, weight in found.items()} == pytest.approx(own, rel=1e-5)
    frequency = Counter(word for own in counts for word in own)
    (query,) = encoder.encode_queries(["red hat"]).to_dicts()
    assert {encoder.terms[term]: weight for term, weight in query.items()} == pytest.approx(
        {
            word: math.log1p((len(corpus) - frequency[word] + 0.5) / (frequency[word] + 0.5))
            for word in ("red", "hat")
            if frequency[word]
        },
        rel=1e-5,
    )
    assert length_of(encoder) == sum(own.total() for own in counts)  # exactly
    again = encoder.encode_documents(texts)
    assert [again.terms.tolist(), again.values.tolist()] == [rows.terms.tolist(), rows.values.tolist()]


def test_a_title_counts_once():
    encoder = load("bm25:none").fresh()
    row = encoder.observe([weighted([("red hat", 0.5)], title="red")]).matrix.to_dicts()[0]
    assert {encoder.terms[term]: count for term, count in row.items()} == {"red": 1.5, "hat": 0.5}


def test_bm25_with_weights_is_saved_and_read(tmp_path):
    encoder = load("bm25:none").fresh()
    encoder.observe([weighted([("red hat", 0.25)]), "red"])
    assert length_of(encoder) == 1.5
    encoder.save(tmp_path)
    again = load(tmp_path)
    assert (again.fingerprint, length_of(again)) == (encoder.fingerprint, 1.5)
    assert again.encode_documents(["red"]).values == encoder.encode_documents(["red"]).values


CORPUS = [
    [("bees dance to tell", 1.0), ("where flowers are", 0.5)],
    [("a castle", 2.0), ("thick walls and bees", 307 / 1024), ("the moat", 1.0)],
    [("the moat of the castle", 1.0)],
    [("flowers", 0.5)],
]


def largest(encoder, own):
    """Element by element the largest weight times vector of the parts."""
    return np.max(
        [np.float32(weight) * encoder.encode_documents([text]).to_scipy().toarray()[0] for text, weight in own], axis=0
    )


@pytest.mark.parametrize("name", ["network", "default"])
def test_networks_take_the_largest_of_weighted_vectors(name, request):
    encoder = request.getfixturevalue("splade_network") if name == "network" else load("default")
    found = encoder.encoded([weighted(own) for own in CORPUS])
    assert found.truncated == 0
    # Of the default model, what is added to stems depends on the stems of all parts: literal ones get nothing.
    subject = encoder.base if isinstance(encoder, ExpandedEncoder) else encoder
    rows = subject.encode_documents([weighted(own) for own in CORPUS]).to_scipy().toarray()
    for row, own in zip(rows, CORPUS, strict=True):
        assert row == pytest.approx(largest(subject, own), rel=1e-3, abs=1e-5)
    assert len(found.matrix) == len(CORPUS)


def test_stems_of_a_corpus_are_counted_once_for_a_document():
    encoder = load("default").fresh()
    texts = [weighted(own) for own in CORPUS]
    own, plain = encoder.counts(texts), encoder.counts([str(text) for text in texts])
    assert own
    assert plain
    assert own.matrix.to_dicts() == plain.matrix.to_dicts()
    encoder.observe(texts)
    assert (seen := encoder.seen())
    assert seen.documents == len(CORPUS)


@pytest.fixture(scope="module")
def splade_network(tmp_path_factory):
    pytest.importorskip("torch")
    from lsr.encoders.declaration import read_system
    from lsr.encoders.network.assemble import untrained
    from lsr.encoders.neural import NeuralEncoder
    from tests.encoders import models

    folder = models.bert(tmp_path_factory.mktemp("weighted") / "splade", seed=1)
    return NeuralEncoder(untrained(read_system("splade-v2"), folder), device="cpu")
