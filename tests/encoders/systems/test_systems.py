"""Every published system against its formula, written out over all logits, on small random weights."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from lsr.encoders import load
from lsr.encoders.declaration import read_system, system_names
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")

from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from tests.encoders import models  # noqa: E402
from tests.encoders.models import VOCABULARY, WIDTH  # noqa: E402

TEXTS = [
    "bees dance to tell other bees where flowers are",
    "a castle",
    "",
    "the moat of the castle the the",
    "zzz bees",
]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return models.bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return models.llama(tmp_path_factory.mktemp("llama") / "model")


def build(name, folder, change=lambda parts: None, **options):
    """The system on that network, with untrained parts; ``change`` edits the tensors of both sides."""
    source = untrained(read_system(name), folder, **options)
    for side in (source.document, source.query_side):
        change(side.parts)
    return NeuralEncoder(source, device="cpu")


def dense(matrix):
    return matrix.to_scipy().toarray()


def ids_of(encoder, text, special=True):
    return encoder.tokenizer.encode(text, add_special_tokens=special).ids


def literal(encoder, text):
    return sorted({i for i in ids_of(encoder, text, special=False) if i != 1})  # [UNK] is special in this tokenizer


class Oracle:
    """A Hugging Face model, one text at a time, everything in memory."""

    def __init__(self, folder, kind="AutoModelForMaskedLM", **options):
        import transformers

        self.model = getattr(transformers, kind).from_pretrained(folder, **options).eval()

    def __call__(self, ids):
        with torch.no_grad():
            out = self.model(input_ids=torch.tensor([ids]), output_hidden_states=True)
        logits = out.logits[0].numpy() if "logits" in out else None
        return logits, out.hidden_states[-1][0].numpy()


def log1p_relu(x, times=1):
    x = np.maximum(x, 0)
    for _ in range(times):
        x = np.log1p(x)
    return x


def softplus(x):
    return np.log1p(np.exp(x))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def keep(vector, k):
    """Top k by a full sort."""
    kept = np.argsort(-vector, kind="stable")[:k]
    return np.where(np.isin(np.arange(vector.size), kept), vector, 0)


def splade(encoder, oracle, text, pool="max", times=1):
    weights = log1p_relu(oracle(ids_of(encoder, text))[0], times)
    return weights.max(0) if pool == "max" else weights.sum(0)


def agree(matrix, rows):
    assert np.abs(dense(matrix) - np.array(rows)).max() < 1e-4


@pytest.mark.parametrize("name", ["splade-v2", "splade-pp", "splade-v3", "opensearch-v1"])
def test_max_pooled_systems_are_the_largest_saturated_logit(name, bert):
    encoder, oracle = build(name, bert), Oracle(bert)
    rows = [splade(encoder, oracle, text) for text in TEXTS]
    agree(encoder.encode_documents(TEXTS), rows)
    agree(encoder.encode_queries(TEXTS), rows)


def test_two_towers_encode_queries_by_weights_of_their_own(bert, tmp_path):
    shared, encoder = build("splade-v2", bert), build("splade-efficient", bert)
    assert shared.source.query is None
    assert encoder.source.query is not None
    encoder.save(tmp_path)
    assert (tmp_path / "query" / "model.safetensors").is_file()
    rows = [splade(encoder, Oracle(bert), text) for text in TEXTS]
    agree(load(tmp_path, device="cpu").encode_queries(TEXTS), rows)
    shutil.rmtree(tmp_path / "query")
    (tmp_path / "lsr.json").write_text('{"format": 1}')
    with pytest.raises(EncoderError, match="the folder query is missing"):
        load(tmp_path, device="cpu")


def test_splade_sum_adds_saturated_logits(bert):
    encoder, oracle = build("splade-sum", bert), Oracle(bert)
    agree(encoder.encode_documents(TEXTS), [splade(encoder, oracle, text, "sum") for text in TEXTS])


def test_splade_lexical_keeps_only_words_of_the_query(bert):
    encoder, oracle = build("splade-v3-lexical", bert), Oracle(bert)
    rows = []
    for text in TEXTS:
        own = literal(encoder, text)
        rows.append([w if t in own else 0 for t, w in enumerate(splade(encoder, oracle, text))])
    agree(encoder.encode_queries(TEXTS), rows)
    agree(encoder.encode_documents(TEXTS), [splade(encoder, oracle, text) for text in TEXTS])


def test_splade_topk_keeps_the_heaviest_terms(bert):
    encoder, oracle = build("splade-topk", bert), Oracle(bert)
    declaration = encoder.declaration
    rows = [keep(splade(encoder, oracle, text), declaration.query_side.k) for text in TEXTS]
    agree(encoder.encode_queries(TEXTS), rows)


@pytest.mark.parametrize("name", ["splade-doc", "sparta", "deepimpact", "deepct", "tildev2"])
def test_binary_queries_are_the_set_of_words(name, bert):
    encoder = build(name, bert)
    queries = encoder.encode_queries(TEXTS)
    assert [row.keys() for row in queries.to_dicts()] == [dict.fromkeys(literal(encoder, t)).keys() for t in TEXTS]
    assert (queries.values == 1).all()


def test_the_product_with_a_binary_query_is_the_sum_of_document_weights(bert):
    encoder = build("splade-doc", bert)
    document, query = dense(encoder.encode_documents(TEXTS[:1])), dense(encoder.encode_queries(["bees castle"]))
    assert (document @ query.T).item() == pytest.approx(sum(document[0, t] for t in literal(encoder, "bees castle")))


def token_weights(encoder, folder, text, side, activation, shift=0.0):
    """w(t) = largest act(v.h + c) over the places of t."""
    _, hidden = Oracle(folder, "AutoModel")(ids_of(encoder, text))
    parts = side.parts
    row = np.zeros(VOCABULARY)
    for token, state in zip(ids_of(encoder, text), hidden, strict=True):
        if token >= len(models.SPECIAL):
            row[token] = max(row[token], activation(state @ parts["token_weight"] + parts["token_bias"][0]))
    return row


@pytest.mark.parametrize("name", ["unicoil", "deepimpact", "deepct", "tildev2"])
def test_token_heads_weigh_only_words_of_the_document(name, bert):
    encoder = build(name, bert)
    side = encoder.source.document
    rows = [token_weights(encoder, bert, text, side, lambda x: max(x, 0)) for text in TEXTS]
    agree(encoder.encode_documents(TEXTS), rows)


def test_qmlp_dmlm_weighs_words_in_queries_and_expands_documents(bert):
    encoder, oracle = build("qmlp-dmlm", bert), Oracle(bert)
    agree(encoder.encode_documents(TEXTS), [splade(encoder, oracle, text) for text in TEXTS])
    rows = [token_weights(encoder, bert, t, encoder.source.query_side, lambda x: math.log1p(max(x, 0))) for t in TEXTS]
    agree(encoder.encode_queries(TEXTS), rows)


def test_epic_scales_logits_by_importance_and_texts_by_quality(bert):
    encoder, oracle = build("epic", bert, seed=3), Oracle(bert)
    parts, k = encoder.source.document.parts, encoder.declaration.document.k
    rows = []
    for text in TEXTS:
        logits, _ = oracle(ids_of(encoder, text))
        hidden = transformed(oracle, ids_of(encoder, text))
        importance = np.log1p(softplus(hidden @ parts["importance_weight"] + parts["importance_bias"]))
        quality = sigmoid(hidden[0] @ parts["quality_weight"] + parts["quality_bias"][0])
        rows.append(keep(np.log1p(softplus(logits * importance[:, None])).max(0) * quality, k))
    agree(encoder.encode_documents(TEXTS), rows)
    rows = [
        token_weights(encoder, bert, t, encoder.source.query_side, lambda x: math.log1p(softplus(x))) for t in TEXTS
    ]
    agree(encoder.encode_queries(TEXTS), rows)


def transformed(oracle, ids):
    """States right before the vocabulary product of BERT."""
    with torch.no_grad():
        hidden = oracle.model.bert(input_ids=torch.tensor([ids])).last_hidden_state
        return oracle.model.cls.predictions.transform(hidden)[0].numpy()


def test_sparta_keeps_the_heaviest_of_saturated_logits(bert):
    encoder, oracle = build("sparta", bert), Oracle(bert)
    rows = [keep(splade(encoder, oracle, text), encoder.declaration.document.k) for text in TEXTS]
    agree(encoder.encode_documents(TEXTS), rows)


@pytest.mark.parametrize(("name", "times"), [("opensearch-doc-v2", 1), ("opensearch-doc-v3", 2)])
def test_inference_free_scores_are_idf_weighted_sums(name, times, bert):
    table = np.where(np.arange(VOCABULARY) < len(models.SPECIAL), 0, np.linspace(0.5, 3, VOCABULARY)).astype(np.float32)
    encoder, oracle = build(name, bert, lambda parts: "table" in parts and parts.update(table=table)), Oracle(bert)
    documents = [splade(encoder, oracle, text, times=times) for text in TEXTS]
    agree(encoder.encode_documents(TEXTS), documents)
    queries = dense(encoder.encode_queries(TEXTS))
    for i, text in enumerate(TEXTS):
        expected = [sum(table[t] * document[t] for t in literal(encoder, text)) for document in documents]
        assert queries[i] @ np.array(documents).T == pytest.approx(expected, abs=1e-4)


def test_li_lsr_queries_are_a_projection_of_word_embeddings(bert):
    from lsr.encoders.network.side_network import SideNetwork
    from lsr.encoders.tokens.batch import Batch
    from lsr.encoders.tokens.word_pieces import View, collate, read_tokenizer

    side = read_system("li-lsr").query_side
    rng = np.random.default_rng(0)
    embedding, weight, bias = rng.standard_normal((VOCABULARY, WIDTH)), rng.standard_normal(WIDTH), np.array([0.3])
    parts = {"embedding": embedding, "table_weight": weight, "table_bias": bias}
    network = SideNetwork(side, VOCABULARY, {k: torch.tensor(v, dtype=torch.float32) for k, v in parts.items()})
    view = View(read_tokenizer(bert / "tokenizer.json"), side)
    found = network(Batch.of(collate(view(["bees dance bees"])))).detach().numpy()[0]
    expected = np.zeros(VOCABULARY)
    for token in view(["bees dance"])[0].ids:
        expected[token] = math.log1p(max(0, embedding[token] @ weight + bias[0]))
    assert found == pytest.approx(expected, abs=1e-5)


def mean_states(encoder, folder):
    oracle = Oracle(folder, "AutoModel")
    return [oracle(ids_of(encoder, text))[1].mean(0) for text in TEXTS]


def unit(rows):
    rows = np.array(rows)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


@pytest.mark.parametrize("name", ["csr", "csrv2"])
def test_csr_codes_are_the_k_largest_latents(name, bert):
    def shift(parts):
        parts["centre"][:], parts["code_bias"][:] = 0.1, np.linspace(-0.2, 0.2, 48)

    encoder = build(name, bert, shift, codes=48, seed=1)
    p, k = encoder.source.document.parts, encoder.declaration.document.k
    states = mean_states(encoder, bert)
    pre = [p["code_weight"] @ (state - p["centre"]) + p["code_bias"] for state in states]
    agree(encoder.encode_documents(TEXTS), unit([np.maximum(keep(x, k), 0) for x in pre]))


def test_abs_topk_codes_keep_signs_in_two_halves(bert):
    encoder = build("abs-topk", bert, codes=48, seed=1)
    p, k = encoder.source.document.parts, 32
    rows = []
    for state in mean_states(encoder, bert):
        pre = p["code_weight"] @ state
        kept = np.where(np.isin(np.arange(48), np.argsort(-np.abs(pre))[:k]), pre, 0)
        rows.append(np.concatenate([np.maximum(kept, 0), np.maximum(-kept, 0)]))
    agree(encoder.encode_documents(TEXTS), unit(rows))
    assert encoder.dim == 96


@pytest.mark.parametrize("name", ["batch-topk", "feature-choice"])
def test_with_a_threshold_codes_depend_on_the_text_alone(name, bert):
    import msgspec

    declaration = read_system(name)
    side = msgspec.structs.replace(declaration.document, threshold=0.3)
    encoder = NeuralEncoder(untrained(declaration.replace(document=side), bert, codes=48, seed=1), device="cpu")
    p = encoder.source.document.parts
    rows = [np.where(p["code_weight"] @ s >= 0.3, p["code_weight"] @ s, 0) for s in mean_states(encoder, bert)]
    agree(encoder.encode_documents(TEXTS), unit(rows))
    alone = encoder.encode_documents(TEXTS[1:2])
    assert dense(alone)[0] == pytest.approx(dense(encoder.encode_documents(TEXTS))[1], abs=1e-5)


def test_echo_pools_only_the_second_copy(llama):
    encoder, oracle = build("echo-splade", llama), Oracle(llama, "AutoModelForCausalLM")
    rows = []
    for text in TEXTS:
        ids = ids_of(encoder, text, special=False)
        logits, _ = oracle([*ids, 3, *ids])
        second = logits[len(ids) + 1 :]
        rows.append(log1p_relu(second).max(0) if len(ids) else np.zeros(VOCABULARY))
    agree(encoder.encode_documents(TEXTS), rows)


def test_csplade_sees_what_comes_after_a_token(llama):
    encoder = build("csplade", llama)
    model = Oracle(llama, "AutoModelForCausalLM", attn_implementation="eager").model
    rows = []
    for text in TEXTS:
        ids = torch.tensor([ids_of(encoder, text) or [0]])
        everything = torch.zeros(1, 1, ids.shape[1], ids.shape[1])  # added to attention scores: nothing is hidden
        with torch.no_grad():
            logits = model(input_ids=ids, attention_mask=everything).logits[0].numpy()
        rows.append(log1p_relu(logits).max(0) if text else np.zeros(VOCABULARY))
    agree(encoder.encode_documents(TEXTS), rows)
    causal = log1p_relu(Oracle(llama, "AutoModelForCausalLM")(ids_of(encoder, TEXTS[0]))[0]).max(0)
    assert np.abs(causal - rows[0]).max() > 1e-2


def test_prosper_adds_a_residual_at_literal_terms_and_scales_queries(llama):
    encoder = build("prosper", llama, seed=2)
    parts, oracle = encoder.source.document.parts, Oracle(llama, "AutoModelForCausalLM")
    rows = []
    for text in TEXTS:
        ids = ids_of(encoder, text)
        if not ids:
            rows.append(np.zeros(VOCABULARY))
            continue
        logits, hidden = oracle(ids)
        base = log1p_relu(logits[-1])
        extra = parts["residual_weight"] @ log1p_relu(hidden[-1]) + parts["residual_bias"]
        own = np.isin(np.arange(VOCABULARY), literal(encoder, text))
        rows.append(np.maximum(keep(base + own * (extra.max() - extra), 512), 0))
    agree(encoder.encode_documents(TEXTS), rows)
    agree(encoder.encode_queries(TEXTS), unit(rows))


@pytest.mark.parametrize(("name", "pick"), [("dense-mean", "mean"), ("dense-cls", "cls")])
def test_dense_systems_pool_states_to_length_one(name, pick, bert):
    encoder, oracle = build(name, bert), Oracle(bert, "AutoModel")
    states = [oracle(ids_of(encoder, text))[1] for text in TEXTS]
    rows = unit([s.mean(0) if pick == "mean" else s[0] for s in states])
    assert np.abs(encoder.encode_dense(TEXTS) - rows).max() < 1e-4


def test_lexsembridge_modulates_queries_and_leaves_documents(bert):
    encoder, oracle = build("lexsembridge", bert, seed=4), Oracle(bert, "AutoModel")
    parts, rows, plain = encoder.source.query_side.parts, [], []
    for text in TEXTS:
        state = oracle(ids_of(encoder, text))[1][0]
        present = np.isin(np.arange(VOCABULARY), literal(encoder, text)).astype(float)
        gate = parts["modulation_weight"] @ present + parts["modulation_bias"]
        plain.append(state)
        rows.append(np.exp(gate) / np.exp(gate).sum() * state)
    assert np.abs(encoder.encode_dense(TEXTS, query=True) - unit(rows)).max() < 1e-4
    assert np.abs(encoder.encode_dense(TEXTS) - unit(plain)).max() < 1e-4


def test_every_declaration_is_tested_here():
    source = Path(__file__).read_text()
    assert [name for name in system_names() if f'"{name}"' not in source] == []


def test_bm25_is_declared_and_loads():
    assert read_system("bm25").document.head == "bm25"
    assert load("bm25").name == "bm25"


@pytest.mark.parametrize("name", ["splade-v2", "unicoil", "epic", "splade-v3-lexical", "echo-splade"])
def test_explanations_name_the_token_with_the_largest_logit(name, bert, llama):
    encoder = build(name, llama if name == "echo-splade" else bert)
    text = TEXTS[0]
    origins = encoder.explain(text)
    row = encoder.encode_documents([text]).to_dicts()[0]
    assert {o.term: o.weight for o in origins} == pytest.approx(row)
    assert [o.weight for o in origins] == sorted((o.weight for o in origins), reverse=True)
    if name == "unicoil":
        assert all(text[o.start : o.end] == encoder.terms[o.term] for o in origins)
    if name == "splade-v2":
        tokens, oracle = encoder.tokenizer.encode(text), Oracle(bert)
        best = oracle(tokens.ids)[0].argmax(0)
        assert all((o.start, o.end) == tokens.offsets[best[o.term]] for o in origins)


def test_queries_of_a_table_are_explained_by_their_words(bert):
    encoder = build("splade-doc", bert)
    assert {encoder.terms[o.term]: TEXTS[0][o.start : o.end] for o in encoder.explain(TEXTS[0], query=True)} == {
        word: word for word in TEXTS[0].split()
    }


@pytest.mark.parametrize("name", sorted(set(system_names()) - {"bm25", "stems", "pooled-stems"}))
def test_every_system_is_saved_and_comes_back(name, bert, llama, tmp_path):
    declaration = read_system(name)
    encoder = build(name, llama if declaration.document.backbone.endswith("al-lm") else bert, codes=48)
    encoder.save(tmp_path)
    again = load(tmp_path, device="cpu")
    assert isinstance(again, NeuralEncoder)
    assert again.fingerprint == encoder.fingerprint
    if declaration.dense:
        assert np.array_equal(again.encode_dense(TEXTS, query=True), encoder.encode_dense(TEXTS, query=True))
    else:
        assert again.encode_documents(TEXTS).to_dicts() == encoder.encode_documents(TEXTS).to_dicts()
        assert again.encode_queries(TEXTS).to_dicts() == encoder.encode_queries(TEXTS).to_dicts()
