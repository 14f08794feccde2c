"""Stems: words to terms, BM25 as the start, one network in torch and in numpy, weights that follow the corpus."""

import math

import msgspec
import numpy as np
import pytest

from lsr.encoders import load
from lsr.encoders.declaration import read_system
from lsr.encoders.lexical.stems import K1, B, Stems, read_stems
from lsr.encoders.runners.table_runner import CorpusTable
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

from lsr.encoders.convert.export import export_onnx  # noqa: E402
from lsr.encoders.network.assemble import read_network  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.encoders.parts.part import Sizes  # noqa: E402
from lsr.encoders.runners.array_side import ArraySide  # noqa: E402
from lsr.encoders.storage.reader import read_source  # noqa: E402
from lsr.encoders.tokens.batch import Batch  # noqa: E402
from lsr.encoders.tokens.stem_tokens import view_of  # noqa: E402
from lsr.encoders.tokens.word_pieces import collate  # noqa: E402
from lsr.training.data.token_store import TokenStore  # noqa: E402
from lsr.training.recipe import StemChoice  # noqa: E402
from lsr.training.student.stem_initialisation import count_stems, write_start  # noqa: E402
from tests.encoders import models  # noqa: E402

CORPUS = [
    "Bees dance to tell other bees where flowers are",
    "A castle had thick walls and a moat",
    "the moat of the castle: walls, walls",
    "A garden of flowers in spring",
    "bees and walls",
]
CHOICE = StemChoice(named=8, buckets=16, rows=6)


def started(folder, system):
    return write_start(read_system(system), models.bert(folder / "model"), CORPUS, CHOICE, folder / "start")


@pytest.fixture(scope="module", params=["stems", "pooled-stems"])
def start(request, tmp_path_factory):
    return started(tmp_path_factory.mktemp("stems"), request.param)


@pytest.fixture(scope="module")
def pooled(tmp_path_factory):
    """Stems of a pooled state in torch, and exported."""
    pytest.importorskip("onnxscript")
    folder = tmp_path_factory.mktemp("pooled")
    encoder = NeuralEncoder(varied(started(folder, "pooled-stems")), device="cpu")
    export_onnx(encoder, folder / "light")
    return encoder, load(folder / "light")


def parts_of(start):
    return read_source(start).document


def varied(start):
    """A source with rows that differ more than states of a random network do, and counts that depend on states."""
    source = read_source(start)
    parts = source.document.parts
    parts["vocabulary_weight"][:] = np.random.default_rng(0).normal(size=parts["vocabulary_weight"].shape)
    parts["vocabulary_bias"][:] = 0.2
    parts["counts_weight"][:] = np.linspace(-1, 1, models.WIDTH)
    return source


def dense(matrix):
    return matrix.to_scipy().toarray()


def test_inflections_share_a_term_and_function_words_have_none():
    stems = Stems(["comput", "wall"], 10)
    assert stems.terms_of("The computers are computing; WALLS of Wàll") == [0, 0, 1, 1]
    assert stems.terms_of("of the and") == []


def test_an_unknown_stem_always_has_the_same_bucket():
    stems = Stems(["wall"], 10)
    assert 1 <= stems.term("aerofoil") < 11
    assert stems.term("Aerofoils") == Stems(["wall"], 10).term("aerofoil")
    assert Stems(["wall"], 0).term("aerofoil") == -1
    assert stems.names()[stems.term("aerofoil")].startswith("#")


def test_a_list_of_stems_comes_back_and_other_files_are_refused(tmp_path):
    Stems(["wall", "bee"], 7).save(tmp_path / "stems.txt")
    again = read_stems(tmp_path / "stems.txt")
    assert (again.stems, again.buckets, len(again)) == (["wall", "bee"], 7, 9)
    (tmp_path / "stems.txt").write_text("wall\nbee")
    with pytest.raises(EncoderError, match="not a list of stems"):
        read_stems(tmp_path / "stems.txt")


def test_named_stems_are_the_commonest_and_numbers_come_last():
    counted = count_stems(["walls wall 1066", "wall 1066 moat", "1066 wall"], StemChoice(named=3, buckets=4, rows=1))
    assert counted.stems.stems == ["wall", "moat", "1066"]
    assert counted.words == ["wall", "moat", "1066"]
    assert counted.prior[0] == pytest.approx((3 + 0.5) / 4)


@pytest.mark.parametrize(("view", "words"), [("stems", 6), ("content-stems", 3)])
def test_the_first_token_of_a_content_word_carries_its_term(start, view, words):
    side = msgspec.structs.replace(parts_of(start).side, view=view)
    tokens = view_of(start / "tokenizer.json", side)(["the moat, of the castle walls"])[0]
    stems = read_stems(start / "stems.txt")
    assert len(tokens.ids) == words + 2
    assert tokens.own_terms == [stems.term(word) for word in ("moat", "castle", "walls")]
    places = [tokens.offsets[at] for at, literal in enumerate(tokens.literal) if literal]
    assert places == [(4, 8), (17, 23), (24, 29)]


def test_a_text_is_cut_between_words(start):
    side = msgspec.structs.replace(parts_of(start).side, max_length=4)
    tokens = view_of(start / "tokenizer.json", side)(["moat castle walls"])[0]
    assert tokens.truncated
    assert len(tokens.own_terms) == 2


def test_before_training_documents_are_bm25(start):
    source = read_source(start)
    source.document.parts["vocabulary_bias"][:] = -1e9  # no stem fires that is not there
    network = read_network(source.document)
    view, stems = view_of(start / "tokenizer.json", source.document.side), read_stems(start / "stems.txt")
    found = network(Batch.of(collate(view(CORPUS)))).detach().numpy()
    lengths = [len(stems.terms_of(text)) for text in CORPUS]
    for text, row, length in zip(CORPUS, found, lengths, strict=True):
        terms = stems.terms_of(text)
        wanted = np.zeros(len(stems))
        for term in terms:
            tf = terms.count(term)
            wanted[term] = (K1 + 1) * tf / (tf + K1 * (1 - B + B * length / np.mean(lengths)))
        assert row == pytest.approx(wanted, abs=1e-5)


def test_numpy_and_torch_give_one_vector_and_one_origin(start):
    source = varied(start)
    network = read_network(source.document)
    head = ArraySide(
        source.document.side,
        source.document.parts,
        Sizes(source.document.parts["vocabulary_weight"].shape[1], network.terms),
    )
    view = view_of(start / "tokenizer.json", source.document.side)
    for text in [*CORPUS, "", "the of"]:
        tokens = view([text])[0]
        batch = Batch.of(collate([tokens]))
        with torch.no_grad():
            states, wanted = network.states(batch)[0].numpy(), network(batch)[0].numpy()
        assert head(states, tokens) == pytest.approx(wanted, abs=1e-5)
    encoder = load(start, device="cpu")
    origins = {encoder.terms[o.term]: (o.start, o.end) for o in encoder.explain("bees near walls")}
    assert origins["wall"] == (10, 15)
    assert origins["bee"] == (0, 4)


def states_of(encoder, tokens):
    """States float32[L, H] of one text, by Hugging Face's own class."""
    import transformers

    model = transformers.AutoModel.from_pretrained(encoder.source.document.model).eval()
    with torch.no_grad():
        return model(torch.tensor([tokens.ids])).last_hidden_state[0].numpy()


def pooled_vector(encoder, tokens):
    """A text's vector written out: the mean state at length 1 times the rows, and BM25 of words that weigh unlike."""
    parts, states = encoder.source.document.parts, states_of(encoder, tokens)
    vector = np.zeros(encoder.dim)
    if not any(tokens.literal):
        return vector
    mean = states.mean(0) / np.linalg.norm(states.mean(0))
    for row, (weight, bias) in enumerate(zip(parts["vocabulary_weight"], parts["vocabulary_bias"], strict=True)):
        vector[row] = math.log1p(max(0, weight @ mean + bias))
    scale, floor, slope = np.exp(parts["counts_form"])
    counts = dict.fromkeys(tokens.own_terms, 0.0)
    for term, literal, state in zip(tokens.terms, tokens.literal, states, strict=True):
        if literal:
            counts[term] += math.log1p(math.exp(state @ parts["counts_weight"] + parts["counts_bias"][0]))
    for term, count in counts.items():
        vector[term] += scale * count / (count + floor + slope * len(tokens.own_terms))
    return np.where(vector > encoder.declaration.document.threshold * vector.max(), vector, 0)


def test_a_pooled_state_fires_stems_by_its_direction_in_torch_and_without(pooled):
    document = pooled[0].source.document
    view = view_of(document.tokenizer, document.side)
    texts = [*CORPUS, "zzz bees", "", "the of"]
    wanted = np.array([pooled_vector(pooled[0], tokens) for tokens in view(texts)])
    for encoder in pooled:
        assert dense(encoder.encode_documents(texts)) == pytest.approx(wanted, abs=1e-5)
        assert encoder.encode_documents(["", "the of"]).nnz == 0


def test_a_stem_that_a_pooled_state_fires_comes_from_the_token_nearest_to_its_row(pooled):
    document, fired = pooled[0].source.document, set[int]()
    for text in CORPUS:
        tokens = view_of(document.tokenizer, document.side)([text])[0]
        products = states_of(pooled[0], tokens) @ document.parts["vocabulary_weight"].T
        products[~np.array(tokens.literal)] = -np.inf
        for encoder in pooled:
            origins = {o.term: (o.start, o.end) for o in encoder.explain(text) if o.term not in tokens.own_terms}
            assert origins == {term: tokens.offsets[products[:, term].argmax()] for term in origins}
            fired |= origins.keys()
    assert len(fired) > 2


def test_half_precision_changes_weights_little(start):
    source = varied(start)
    network, view = read_network(source.document), view_of(start / "tokenizer.json", source.document.side)
    batch = Batch.of(collate(view(CORPUS)))
    with torch.inference_mode():
        wanted, found = network(batch), network.bfloat16()(batch)
    assert torch.allclose(found, wanted, atol=0.05)


def test_a_query_weighs_the_terms_that_stand_in_it_each_time(start):
    encoder = load(start, device="cpu")
    network = read_network(read_source(start).query_side)
    view = view_of(start / "tokenizer.json", network.side)
    wanted = network(Batch.of(collate(view(["the walls of walls", "bees"])))).detach().numpy()
    assert dense(encoder.encode_queries(["the walls of walls", "bees"])) == pytest.approx(wanted, rel=1e-6)
    one, several = (
        encoder.encode_queries(["the walls of walls"]),
        encoder.encode_queries(["the walls of walls", "bees"]),
    )
    term = encoder.terms.index("wall")
    assert one.to_dicts() == several.to_dicts()[:1]
    assert one.to_dicts()[0] == {term: pytest.approx(2 * encoder.encode_queries(["wall"]).to_dicts()[0][term])}
    assert [(s.start, s.end, s.term) for s in encoder.spans("the walls")] == [(4, 9, term)]


def test_query_weights_follow_the_corpus_and_are_kept(start, tmp_path):
    encoder = load(start, device="cpu")
    assert encoder.learns
    before, term = encoder.fingerprint, encoder.terms.index("wall")
    first = encoder.encode_queries(["walls"]).to_dicts()[0][term]
    encoder.observe(["walls"] * 3000)
    second = encoder.encode_queries(["walls"]).to_dicts()[0][term]
    prior = read_source(start).query_side.parts["prior"][term]
    share = (3000 + CorpusTable.STRENGTH * prior) / (3000 + CorpusTable.STRENGTH)
    assert first == pytest.approx(-math.log(prior), rel=1e-5)
    assert second == pytest.approx(-math.log(share), rel=1e-4)
    assert encoder.fingerprint != before
    encoder.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert again.fingerprint == encoder.fingerprint
    assert again.encode_queries(["walls bees"]).to_dicts() == encoder.encode_queries(["walls bees"]).to_dicts()


def test_a_word_of_the_corpus_s_topic_still_weighs_something():
    prior = np.array([1e-5, 0.3], np.float32)
    table = CorpusTable({"table": -np.log(prior), "prior": prior})
    table.observe([[0, 1]] * 30_000)
    assert table.weights() == pytest.approx([-math.log(1e-5 * CorpusTable.COMMONER), 0.0], abs=0.02)


def test_an_index_of_stems_is_built_searched_and_opened_again(start, tmp_path):
    from lsr.corpus import Document
    from lsr.retrieval import Searcher, index_documents

    documents = [Document(str(i), "", text) for i, text in enumerate(CORPUS)]
    index_documents(documents, load(start, device="cpu"), tmp_path / "index")
    hits = Searcher.open(tmp_path / "index").search("flower in springs", k=1)
    assert [hit.id for hit in hits] == ["3"]


def test_stored_tokens_make_the_batches_of_a_view(start):
    side = parts_of(start).side
    store = TokenStore(CORPUS, start / "tokenizer.json", side)
    wanted = Batch.of(collate(view_of(start / "tokenizer.json", side)(CORPUS)))
    found = store.batch(range(len(CORPUS)))
    for name in ("ids", "attention", "pooled", "literal"):
        assert torch.equal(getattr(found, name), getattr(wanted, name)), name
    assert torch.equal(found.terms * found.literal, wanted.terms * wanted.literal)
    frequency = store.document_frequency(len(read_stems(start / "stems.txt")))
    assert frequency[read_stems(start / "stems.txt").term("walls")] == 3


def test_stems_need_a_vocabulary_before_they_are_trained(start, tmp_path):
    from lsr.encoders.network.assemble import untrained

    with pytest.raises(EncoderError, match="lsr train"):
        untrained(read_system("stems"), models.bert(tmp_path / "model"))
