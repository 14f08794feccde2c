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


FOUND = [  # language, document, query
    ("english", "Kärcher Hochdruckreiniger", "karcher"),
    ("english", "Karcher", "KÄRCHER"),
    ("english", "veste imperméable", "impermeable"),
    ("french", "vestes imperméables", "impermeable"),
    ("french", "un cheval", "chevaux"),
    ("german", "die Häuser der Straße", "strasse haus"),
    ("russian", "зелёная ёлка", "елка"),
    ("english", "re\u0301sume\u0301", "résumé"),
    ("english", "東京は日本の首都です", "日本"),
    ("english", "水を飲む", "水"),
    ("none", "東京は日本の首都です", "首都"),
    ("english", "我爱北京天安门", "北京"),
    ("english", "ประเทศไทย", "ไทย"),
    ("english", "한국어를 검색한다", "검색"),
    ("english", "iPhone15を買う", "iphone15"),
    ("english", "ＩＰＨＯＮＥ", "iphone"),
    ("english", "दिल्ली भारत की राजधानी है", "दिल्ली"),
    ("hindi", "राजधानी", "राजधानी"),
    ("english", "مُحَمَّد", "محمد"),
    ("arabic", "مُحَمَّد", "محمد"),
    ("none", "running", "running"),
    ("english", "foot\u00adball and data\u2060base", "football"),
    ("english", "foot\ufeffball", "football"),
    ("english", "football", "foot\u00adball"),
]


@pytest.mark.parametrize(("language", "document", "query"), FOUND)
def test_words_of_every_script_are_found(language, document, query):
    encoder = BM25Encoder(language=language)
    documents = encoder.weigh(encoder.observe([document, "something else"]).matrix)
    first, other = scores(encoder, documents, query)
    assert first > other == 0


def test_without_a_language_words_stay_as_they_are():
    encoder = BM25Encoder(language="none")
    encoder.observe(["the running dogs"])
    assert encoder.terms == ["the", "running", "dogs"]


def test_stop_words_are_those_of_the_language():
    encoder = BM25Encoder(language="german")
    encoder.observe(["der Hund und die Katze"])
    assert encoder.terms == ["hund", "katz"]


def test_an_unknown_language_is_refused():
    with pytest.raises(EncoderError, match="unknown language 'klingon': wanted one of arabic, "):
        load("bm25:klingon")


def test_a_language_is_saved(tmp_path):
    encoder = load("bm25:german")
    assert encoder.name == "bm25:german"
    encoder.observe(["Häuser und Gärten"])
    encoder.save(tmp_path)
    again = load(tmp_path)
    assert again.fingerprint == encoder.fingerprint
    assert again.encode_queries(["Haus"]).to_dicts() == encoder.encode_queries(["Haus"]).to_dicts() != [{}]


def test_a_folder_of_the_first_analysis_reads_words_as_it_did(tmp_path):
    (tmp_path / "bm25.json").write_text('{"k1":0.9,"b":0.4,"documents":2,"length":3}')
    (tmp_path / "vocabulary.txt").write_text("kärcher\nhous\n東京は")
    np.save(tmp_path / "document_frequency.npy", np.ones(3, np.int64))
    encoder = load(tmp_path)
    rows = encoder.encode_queries(["Kärcher houses", "karcher", "東京は", "東京", "the"]).to_dicts()
    assert [list(row) for row in rows] == [[0, 1], [], [2], [], []]
    assert encoder.fingerprint == "bm25-4dc5e803af3e702a5540da8779d91081"  # what that lsr wrote into manifests
    encoder.save(tmp_path)
    assert load(tmp_path).fingerprint == encoder.fingerprint


@given(st.text(max_size=60))
def test_a_text_is_found_by_its_own_words_and_spans_lie_in_it(text):
    encoder = BM25Encoder()
    documents = encoder.weigh(encoder.observe([text]).matrix)
    queries = encoder.encode_queries([text])
    assert (queries.nnz > 0) == (documents.nnz > 0)
    for span in encoder.spans(text):
        assert 0 <= span.start < span.end <= len(text)
        own = encoder.encode_documents([text[span.start : span.end]])
        assert span.term in own.terms


@given(st.lists(st.text("ab c", max_size=12), max_size=5), st.text("ab c", max_size=12))
def test_one_query_is_encoded_as_many_are(texts, query):
    encoder = BM25Encoder()
    encoder.observe(["aa bb cc", *texts])
    alone, among = encoder.encode_queries([query]), encoder.encode_queries([query, "aa"]).slice(0, 1)
    assert alone.to_dicts() == among.to_dicts()
    assert alone.terms.dtype == among.terms.dtype
