import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders import BM25Encoder, load
from lsr.errors import EncoderError
from tests import reference

TEXTS = [
    "Bees dance to tell other bees where flowers are.",
    "A castle had thick walls and a moat.",
    "Flowers flower in spring; flowering plants need bees, bees, bees.",
    "",
    "The of and",
]


def learned(texts=TEXTS):
    encoder = BM25Encoder()
    return encoder, encoder.weigh(encoder.observe(texts).matrix)


def scores(encoder, documents, query):
    return (documents.to_scipy() @ encoder.encode_queries([query]).to_scipy().T).toarray().ravel()


@pytest.mark.parametrize("query", ["flowering bees", "castle castle moat", "bees unknownword", "the", "spring"])
def test_products_are_bm25_scores(query):
    encoder, documents = learned()
    assert scores(encoder, documents, query) == pytest.approx(reference.bm25_scores(TEXTS, query), rel=1e-5)


@given(st.lists(st.text("ab c", max_size=20), min_size=1, max_size=8), st.text("ab c", max_size=10))
def test_products_are_bm25_scores_for_any_text(texts, query):
    if not any(reference.words(text) for text in texts):
        return
    encoder, documents = learned(texts)
    assert scores(encoder, documents, query) == pytest.approx(reference.bm25_scores(texts, query), rel=1e-4)


def test_batches_learn_what_the_whole_learns():
    whole, parts = BM25Encoder(), BM25Encoder()
    whole.observe(TEXTS)
    for text in TEXTS:
        parts.observe([text])
    assert parts.fingerprint == whole.fingerprint


def test_encoding_after_learning_equals_weighing():
    encoder, documents = learned()
    assert encoder.encode_documents(TEXTS).to_dicts() == documents.to_dicts()


def test_a_saved_encoder_comes_back(tmp_path):
    encoder, documents = learned()
    encoder.save(tmp_path)
    again = load(tmp_path)
    assert again.fingerprint == encoder.fingerprint
    assert again.encode_documents(TEXTS).to_dicts() == documents.to_dicts()


def test_another_corpus_gives_another_fingerprint():
    assert learned()[0].fingerprint != learned(TEXTS[:2])[0].fingerprint


def test_unknown_words_give_an_empty_query():
    assert learned()[0].encode_queries(["xylophone the"]).nnz == 0


def test_spans_stand_on_the_words_of_a_term():
    encoder, _ = learned()
    text = "The flowers, FLOWERING!"
    found = encoder.spans(text)
    assert [text[s.start : s.end] for s in found] == ["flowers", "FLOWERING"]
    assert {encoder.terms[s.term] for s in found} == {"flower"}


def test_vocabularies_beyond_65536_terms_take_wider_ids():
    texts = [" ".join(f"w{i}x{j}" for j in range(300)) for i in range(250)]
    _, documents = learned(texts)
    assert documents.terms.dtype == np.uint32
    assert documents.dim == 75_000


def test_an_encoder_that_saw_nothing_says_so():
    with pytest.raises(EncoderError, match="has seen no documents"):
        BM25Encoder().encode_queries(["x"])


def test_a_damaged_folder_is_refused(tmp_path):
    learned()[0].save(tmp_path)
    (tmp_path / "vocabulary.txt").write_text("one\ntwo")
    with pytest.raises(EncoderError, match="2 stems but"):
        load(tmp_path)
    (tmp_path / "document_frequency.npy").unlink()
    with pytest.raises(EncoderError, match="no readable BM25 encoder"):
        load(tmp_path)
