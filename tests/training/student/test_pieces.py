"""Word-pieces that are taken out of a network: what is left is as it was, and every word can still be read."""

import json

import numpy as np
import pytest
from tokenizers import Tokenizer
from typer.testing import CliRunner

torch = pytest.importorskip("torch")

from lsr.cli.app import app  # noqa: E402
from lsr.encoders import load  # noqa: E402
from lsr.encoders.declaration import read_system  # noqa: E402
from lsr.encoders.network.assemble import read_network  # noqa: E402
from lsr.encoders.network.backbone import read_body  # noqa: E402
from lsr.encoders.storage.reader import read_source  # noqa: E402
from lsr.encoders.tokens.batch import Batch  # noqa: E402
from lsr.encoders.tokens.stem_tokens import view_of  # noqa: E402
from lsr.encoders.tokens.word_pieces import collate, read_tokenizer  # noqa: E402
from lsr.errors import TrainingError  # noqa: E402
from lsr.training.recipe import StemChoice  # noqa: E402
from lsr.training.student.stem_initialisation import count_stems, write_start  # noqa: E402
from lsr.training.student.word_piece_pruning import prune as cut_encoder  # noqa: E402
from lsr.training.student.word_piece_pruning import prune_word_pieces, words_read  # noqa: E402
from tests.encoders import models  # noqa: E402

TEXTS = ["Bees dance near the wallflowers", "a castle, walls 1066", "dancing bees in gardens", "walls of walls"]
CHOICE = StemChoice(named=8, buckets=16, rows=6)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.bert(tmp_path_factory.mktemp("pieces") / "model", pieces=True)


def cut(model, words, least):
    """The body and its tokenizer after the cut."""
    body, _ = read_body(model, "encoder")
    return body, Tokenizer.from_str(prune_word_pieces(body, model / "tokenizer.json", words, least))


def rows(body):
    return body.model.get_input_embeddings().weight.detach().numpy()


def test_words_of_the_texts_keep_their_pieces_and_these_their_rows(model):
    words = count_stems(TEXTS, CHOICE).counts
    body, after = cut(model, words, 1)
    before, old = read_tokenizer(model / "tokenizer.json"), rows(read_body(model, "encoder")[0])
    for word in words:
        one, other = before.encode(word), after.encode(word)
        assert one.tokens == other.tokens
        assert np.array_equal(old[one.ids], rows(body)[other.ids])
    assert body.tokens == body.model.config.vocab_size == len(rows(body)) == after.get_vocab_size() < len(old)
    assert after.token_to_id("thick") is None


def test_special_tokens_have_new_numbers_and_stand_where_they_stood(model):
    body, after = cut(model, {"bees": 1}, 1)
    before, old = read_tokenizer(model / "tokenizer.json"), rows(read_body(model, "encoder")[0])
    one, other = before.encode("bees [MASK]"), after.encode("bees [MASK]")
    assert other.tokens == one.tokens == ["[CLS]", "bees", "[MASK]", "[SEP]"]
    assert other.ids == [after.token_to_id(name) for name in other.tokens]
    assert other.ids[0] == one.ids[0] - len(models.UNUSED)
    assert other.special_tokens_mask == one.special_tokens_mask == [1, 0, 0, 1]
    assert np.array_equal(old[one.ids], rows(body)[other.ids])
    assert {token.content: at for at, token in after.get_added_tokens_decoder().items()} == {
        name: after.token_to_id(name) for name in models.SPECIAL
    }


def test_a_piece_stays_if_its_words_are_common_enough_together(model):
    _, after = cut(model, {"telling": 1, "moating": 1, "bees": 2, "dance": 1}, 2)
    assert set(after.get_vocab()) == {*models.SPECIAL, *models.CHARACTERS, "##ing", "bees"}


@pytest.mark.parametrize(
    ("word", "pieces"),
    [
        ("walls", ["wall", "##s"]),
        ("wallflower", ["wall", "##f", "##l", "##o", "##w", "##e", "##r"]),
        ("moat", ["m", "##o", "##a", "##t"]),
        ("x1066", ["x", "##1", "##0", "##6", "##6"]),
    ],
)
def test_words_of_rare_pieces_are_read_in_smaller_ones(model, word, pieces):
    _, after = cut(model, {"wall": 3, "walls": 1, "wallflower": 1}, 2)
    assert after.encode(word, add_special_tokens=False).tokens == pieces


@pytest.mark.parametrize("system", ["stems", "pooled-stems"])
def test_a_start_without_the_pieces_that_no_text_has_encodes_as_the_whole_one(system, model, tmp_path):
    whole, small = (
        write_start(
            read_system(system),
            model,
            TEXTS,
            StemChoice(named=8, buckets=16, rows=6, min_word_piece_count=least),
            tmp_path / name,
        )
        for name, least in (("whole", 0), ("small", 1))
    )
    states = []
    for folder in (whole, small):
        source = read_source(folder).document
        batch = Batch.of(collate(view_of(source.tokenizer, source.side)(TEXTS)))
        with torch.inference_mode():
            states.append(read_network(source).states(batch))
    assert torch.allclose(*states, atol=1e-5)
    one, other = (load(folder, device="cpu") for folder in (whole, small))
    for encode in ("encode_documents", "encode_queries"):
        wanted = getattr(one, encode)(TEXTS).to_scipy().toarray()
        assert getattr(other, encode)(TEXTS).to_scipy().toarray() == pytest.approx(wanted, abs=1e-5)
    assert read_tokenizer(small / "tokenizer.json").get_vocab_size() < len(models.PIECES)
    assert (11, 15) in {(o.start, o.end) for o in other.explain("zebras and bees")}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda fields: fields["post_processor"].update(type="BertProcessing"),
            "wanted WordPiece with Template",
        ),
        (lambda fields: fields["added_tokens"].append({"id": 999, "content": "[NEW]"}), "is no word-piece"),
    ],
)
def test_other_tokenizers_are_refused(model, tmp_path, change, message):
    fields = json.loads((model / "tokenizer.json").read_text())
    change(fields)
    place = tmp_path / "tokenizer.json"
    place.write_text(json.dumps(fields))
    with pytest.raises(TrainingError, match=message):
        prune_word_pieces(read_body(model, "encoder")[0], place, {"bees": 1}, 1)


def pairs(folder):
    """Training data of `TEXTS`."""
    place = folder / "pairs.jsonl"
    place.write_text("".join(json.dumps({"query": "bees", "positive": text}) + "\n" for text in TEXTS))
    return place


def test_a_trained_encoder_of_stems_without_unused_pieces_is_what_it_was(model, tmp_path):
    start = write_start(read_system("pooled-stems"), model, TEXTS, CHOICE, tmp_path / "start")
    kept = cut_encoder(start, TEXTS, 1, tmp_path / "small")
    one, other = load(start, device="cpu"), load(tmp_path / "small", device="cpu")
    assert kept == read_tokenizer(tmp_path / "small" / "tokenizer.json").get_vocab_size() < len(models.PIECES)
    assert one.fingerprint != other.fingerprint
    for encode in ("encode_documents", "encode_queries"):
        wanted = getattr(one, encode)(TEXTS).to_scipy().toarray()
        assert getattr(other, encode)(TEXTS).to_scipy().toarray() == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_a_splade_keeps_the_weights_of_the_pieces_that_stay(tied, tmp_path):
    from transformers import BertForMaskedLM

    models.bert(tmp_path / "model", pieces=True)
    if not tied:
        network = BertForMaskedLM.from_pretrained(tmp_path / "model", tie_word_embeddings=False)
        with torch.no_grad():
            network.cls.predictions.decoder.weight.normal_(0, 0.4)
        network.save_pretrained(tmp_path / "model")
    options = ("--data", pairs(tmp_path), "--least", 1, "--out", tmp_path / "small")
    result = CliRunner().invoke(app, ["encoders", "prune", *map(str, (tmp_path / "model", *options))])
    assert result.exit_code == 0, result.output
    whole, small = load(tmp_path / "model", device="cpu"), load(tmp_path / "small", device="cpu")
    assert f"{small.dim:,}" in result.output
    places = [whole.terms.index(name) for name in small.terms]
    wanted = whole.encode_documents(TEXTS).to_scipy().toarray()[:, places]
    assert len(places) < whole.dim
    assert small.encode_documents(TEXTS).to_scipy().toarray() == pytest.approx(wanted, abs=1e-5)


def test_function_words_count_where_the_network_reads_them():
    counts = {"the": 5, "bees": 2}
    plain, content = (read_system(name).document for name in ("splade-v2", "pooled-stems"))
    assert (words_read(counts, plain), words_read(counts, content)) == (counts, {"bees": 2})


def test_what_cannot_be_cut_is_refused(model, tmp_path):
    models.bert(tmp_path / "model", pieces=True)
    with pytest.raises(TrainingError, match="there already"):
        cut_encoder(tmp_path / "model", TEXTS, 1, tmp_path)
    with pytest.raises(TrainingError, match="no texts to count words in"):
        cut_encoder(tmp_path / "model", [], 1, tmp_path / "small")
    (tmp_path / "model" / "idf.json").write_text("{}")
    with pytest.raises(TrainingError, match="wanted an encoder of stems"):
        cut_encoder(tmp_path / "model", TEXTS, 1, tmp_path / "small")
