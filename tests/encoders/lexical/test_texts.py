"""What every encoder takes for texts, and what it forgets between two corpora."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.corpus import Document
from lsr.encoders import load
from lsr.encoders.lexical.precomputed import PrecomputedVectors
from lsr.errors import InputError, MismatchError
from lsr.formats import Vocabulary
from lsr.retrieval import Searcher, index_documents

BEES = [Document("1", "", "bees dance to tell where flowers are"), Document("2", "", "the moat of a castle")]
STARS = [Document("a", "", "stars and planets"), Document("b", "", "planets dance around stars and bees do not")]


def bm25():
    encoder = load("bm25")
    encoder.observe([document.text for document in BEES])
    return encoder


def given_vectors():
    vocabulary = Vocabulary()
    vocabulary.learn(["bees", "dance"])
    return PrecomputedVectors(vocabulary)


@pytest.fixture(scope="module", params=["default", "bm25", "given"])
def encoder(request):
    return {"default": load, "bm25": bm25, "given": given_vectors}[request.param]()


@pytest.mark.parametrize("side", ["encode_documents", "encode_queries"])
def test_a_single_text_is_one_text(encoder, side):
    encode = getattr(encoder, side)
    assert encode("bees dance").to_dicts() == encode(["bees dance"]).to_dicts() != [{}]


@pytest.mark.parametrize("texts", [[1], [None], [b"bees"], [["bees"]]])
def test_what_is_no_text_is_refused(encoder, texts):
    for encode in (encoder.encode_documents, encoder.encode_queries):
        with pytest.raises(InputError, match=r"text 0 is .*: wanted a str"):
            encode(texts)


def test_half_a_surrogate_pair_is_no_letter(encoder):
    found = encoder.encode_documents(["bees \ud800 dance"]).to_dicts()
    assert found == encoder.encode_documents(["bees \ufffd dance"]).to_dicts()
    assert encoder.encode_queries(["\ud83d\ude00 bees"]).nnz  # both halves are one character


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=40))
def test_any_text_has_spans_that_lie_in_it(text):
    encoder = load()
    for span in encoder.spans(text):
        assert 0 <= span.start < span.end <= len(text)
        assert 0 <= span.term < encoder.dim
    assert len(encoder.encode_queries([text])) == 1


@pytest.mark.parametrize(
    ("text", "query"),
    [("東京は日本の首都です", "日本"), ("दिल्ली भारत की राजधानी है", "राजधानी"), ("مُحَمَّد", "محمد"), ("ประเทศไทย", "ไทย")],
)
def test_the_default_model_finds_words_of_other_scripts_as_they_stand(text, query):
    encoder = load()
    found = encoder.encode_documents([text, "bees dance"]).to_scipy() @ encoder.encode_queries([query]).to_scipy().T
    first, other = found.toarray().ravel()
    assert first > 0 == other


@pytest.mark.parametrize("name", ["bm25", "default"])
def test_an_index_carries_the_statistics_of_its_own_documents(name, tmp_path):
    encoder = load(name)
    index_documents(BEES, encoder, tmp_path / "a")
    index_documents(STARS, encoder, tmp_path / "b")
    index_documents(STARS, load(name), tmp_path / "fresh")
    index_documents(BEES, Searcher.open(tmp_path / "b").encoder, tmp_path / "again")
    for made, alike in (("b", "fresh"), ("again", "a")):
        found, wanted = Searcher.open(tmp_path / made), Searcher.open(tmp_path / alike)
        assert found.encoder.fingerprint == wanted.encoder.fingerprint
        for query in ("bees dance", "stars"):
            hits = [(hit.id, hit.score) for hit in found.search(query, exact=True)]
            assert hits == [(hit.id, hit.score) for hit in wanted.search(query, exact=True)]
    for folder, query in (("a", "bees"), ("b", "stars")):  # statistics are the collection's, not the encoder's
        hits = [(hit.id, hit.score) for hit in Searcher.open(tmp_path / folder, encoder).search(query)]
        assert hits == [(hit.id, hit.score) for hit in Searcher.open(tmp_path / folder).search(query)]
        assert hits
    with pytest.raises(MismatchError):
        Searcher.open(tmp_path / "b", load("bm25:german"))


def test_a_word_of_the_query_that_only_shares_a_bucket_is_shown_with_the_other(tmp_path):
    index_documents([Document("1", "", "the waggle dance of bees")], load(), tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    hit = searcher.search("xlgkl")[0]
    assert [share.term for share in searcher.explain("xlgkl", hit)] == ["xlgkl ~ waggle"]


def test_hashed_terms_are_called_by_their_words(tmp_path):
    index_documents([Document("1", "", "the waggle dance of bees")], load(), tmp_path / "index")
    searcher = Searcher.open(tmp_path / "index")
    hit = searcher.search("Waggle dance")[0]
    for query in ("Waggle dance", searcher.encode("Waggle dance")):
        assert {"waggle", "danc"} == {share.term for share in searcher.explain(query, hit)}
