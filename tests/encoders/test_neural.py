import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lsr.encoders import load
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

TEXTS = [
    "Bees dance to tell other bees where flowers are.",
    "",
    "A castle had thick walls, a moat and a gate. " * 100,
    "naïve café 東京 \x00 control",
    "short",
]


@pytest.fixture(scope="module")
def encoder(splade_tiny):
    return load(splade_tiny)


@pytest.fixture(scope="module")
def truncating(splade_tiny):
    return load(splade_tiny, truncate=True)


def plain_splade(folder, texts, log1p=1, pooling="max"):
    """SPLADE with all logits in memory, by the formula."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
    with torch.no_grad():
        values = model(**batch).logits.relu() * batch["attention_mask"][..., None]
    for _ in range(log1p):
        values = values.log1p()
    return (values.amax(1) if pooling == "max" else values.sum(1)).numpy()


def test_vectors_are_the_formula(truncating, splade_tiny):
    ours = truncating.encode_documents(TEXTS).to_scipy().toarray()
    assert np.abs(ours - plain_splade(splade_tiny, TEXTS)).max() < 1e-4


def test_vectors_equal_sentence_transformers(truncating, splade_tiny):
    sentence_transformers = pytest.importorskip("sentence_transformers")
    theirs = sentence_transformers.SparseEncoder(str(splade_tiny), device="cpu", local_files_only=True)
    expected = theirs.encode_document(TEXTS, convert_to_sparse_tensor=False).cpu().numpy()
    assert np.abs(truncating.encode_documents(TEXTS).to_scipy().toarray() - expected).max() < 1e-4
    queries = theirs.encode_query(TEXTS, convert_to_sparse_tensor=False).cpu().numpy()
    assert np.abs(truncating.encode_queries(TEXTS).to_scipy().toarray() - queries).max() < 1e-4


@pytest.fixture(scope="module")
def sentence_transformers_folder(splade_tiny, tmp_path_factory):
    """The same weights as sentence-transformers 6 writes them, with another activation and length."""
    st = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sparse_encoder.modules import SpladePooling

    model = st.SparseEncoder(str(splade_tiny), device="cpu", local_files_only=True)
    model[1] = SpladePooling(pooling_strategy="max", activation_function="log1p_relu", embedding_dimension=30522)
    model.max_seq_length = 64
    folder = tmp_path_factory.mktemp("st") / "model"
    model.save(str(folder))
    return folder


def test_a_sentence_transformers_folder_is_read(sentence_transformers_folder):
    import sentence_transformers

    theirs = sentence_transformers.SparseEncoder(str(sentence_transformers_folder), device="cpu")
    expected = theirs.encode_document(TEXTS, convert_to_sparse_tensor=False).cpu().numpy()
    observed = load(sentence_transformers_folder, truncate=True).observe(TEXTS)
    assert np.abs(observed.matrix.to_scipy().toarray() - expected).max() < 1e-4
    assert observed.truncated == 1


def test_sum_pooling_is_the_formula(sentence_transformers_folder, splade_tiny, tmp_path):
    folder = tmp_path / "sum"
    shutil.copytree(sentence_transformers_folder, folder)
    config = {"pooling_strategy": "sum", "activation_function": "relu", "embedding_dimension": 30522}
    (folder / "1_SpladePooling" / "config.json").write_text(json.dumps(config))
    ours = load(folder).encode_documents([TEXTS[0]]).to_scipy().toarray()
    assert np.abs(ours - plain_splade(splade_tiny, [TEXTS[0]], pooling="sum")).max() < 1e-4


def test_old_module_names_are_read(sentence_transformers_folder, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(sentence_transformers_folder, folder)
    modules = json.loads((folder / "modules.json").read_text())
    modules[0]["type"] = "sentence_transformers.sparse_encoder.models.MLMTransformer"
    modules[1]["type"] = "sentence_transformers.sparse_encoder.models.SpladePooling"
    (folder / "modules.json").write_text(json.dumps(modules))
    assert load(folder).fingerprint == load(sentence_transformers_folder).fingerprint


def test_rows_come_back_in_the_order_given(encoder):
    together = encoder.encode_documents(TEXTS)
    for i, text in enumerate(TEXTS):
        alone = encoder.encode_documents([text])
        assert np.abs((together.slice(i, i + 1).to_scipy() - alone.to_scipy()).toarray()).max() < 1e-5


def test_truncated_texts_are_counted(encoder, truncating):
    assert truncating.observe(TEXTS).truncated == 1
    assert encoder.observe(TEXTS).truncated == 0


def test_short_texts_have_the_same_vectors_in_windows_and_truncated(encoder, truncating):
    short = [text for text in TEXTS if len(text) < 1000]
    one, other = (each.encode_documents(short) for each in (encoder, truncating))
    assert one.terms.tobytes() == other.terms.tobytes()
    assert one.weights.tobytes() == other.weights.tobytes()
    assert encoder.fingerprint != truncating.fingerprint


def test_a_word_at_the_end_of_a_long_text_is_found(encoder, truncating):
    text = TEXTS[2] + "Their flowers bloom."
    term = encoder.terms.index("flowers")
    assert term in encoder.encode_documents([text]).terms
    assert term not in truncating.encode_documents([text]).terms
    origin = next(origin for origin in encoder.explain(text) if origin.term == term)
    assert text[origin.start : origin.end] == "flowers"


def test_no_texts_give_no_rows(encoder):
    assert encoder.encode_documents([]).shape == (0, 30522)


def test_a_saved_copy_has_the_same_fingerprint(encoder, tmp_path):
    encoder.save(tmp_path)
    assert load(tmp_path).fingerprint == encoder.fingerprint
    assert not list(tmp_path.rglob("*.pt"))


def test_another_architecture_has_another_fingerprint(encoder, splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 4}))
    assert load(folder).fingerprint != encoder.fingerprint


def test_spans_are_word_pieces(encoder):
    text = "Bees dancing"
    assert next(text[s.start : s.end] for s in encoder.spans(text)) == "Bees"
    assert encoder.terms[encoder.spans(text)[-1].term] in ("dancing", "##ing")


def copy(splade_tiny, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(splade_tiny, folder)
    return folder


def test_a_missing_tokenizer_is_named(splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"tokenizer.json is missing"):
        load(folder)


def test_pickled_weights_are_refused(splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(EncoderError, match="pickled weights are not read"):
        load(folder)


def test_a_vocabulary_that_does_not_fit_is_refused(splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    weights = load_file(folder / "model.safetensors")
    for name in ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"):
        weights[name] = weights[name][:20000].copy()
    save_file(weights, folder / "model.safetensors")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "vocab_size": 20000}))
    with pytest.raises(EncoderError, match="20,000 outputs but the tokenizer 30,522 word-pieces"):
        load(folder)


def test_a_model_that_is_no_language_model_is_refused(splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(EncoderError, match="not a masked language model"):
        load(folder)


def test_unknown_modules_are_refused(splade_tiny, tmp_path):
    folder = copy(splade_tiny, tmp_path)
    (folder / "modules.json").write_text(
        '[{"path": "", "type": "evil.Code"}, {"path": "x", "type": "y.SpladePooling"}]'
    )
    with pytest.raises(EncoderError, match=r"module type 'evil.Code' is not read; wanted classes of"):
        load(folder)


def test_unknown_poolings_are_refused(sentence_transformers_folder, tmp_path):
    folder = tmp_path / "st"
    shutil.copytree(sentence_transformers_folder, folder)
    (folder / "1_SpladePooling" / "config.json").write_text('{"pooling_strategy": "median"}')
    with pytest.raises(EncoderError, match="pooling 'median'"):
        load(folder)
