"""Folders that are no encoder, or a damaged one: one clear error each."""

import json
import shutil
import sys

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lsr.encoders import load, read_system
from lsr.encoders.declaration import parse_declaration
from lsr.errors import EncoderError, MissingExtraError

torch = pytest.importorskip("torch")

from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.encoders.storage.layout import truncated  # noqa: E402
from tests.encoders import models  # noqa: E402


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return models.bert(tmp_path_factory.mktemp("bert") / "model")


@pytest.fixture
def folder(bert, tmp_path):
    shutil.copytree(bert, tmp_path / "model")
    return tmp_path / "model"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder, match, **options):
    with pytest.raises(EncoderError, match=match) as caught:
        load(folder, device="cpu", **options)
    assert "\n" not in str(caught.value)


def test_code_of_its_own_is_never_run(folder):
    edit(folder / "config.json", auto_map={"AutoModelForMaskedLM": "evil.Model"})
    (folder / "evil.py").write_text("raise SystemExit('ran')")
    refused(folder, "asks for code of its own")


def test_weights_that_are_not_numbers_are_refused(folder):
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith("query.weight"))
    weights[name][0, 0] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "holds NaN or infinity; the weights are damaged")


def test_a_cut_weights_file_is_refused(folder):
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[: len(data) // 2])
    refused(folder, "not a masked language model that can be read")


def test_missing_weights_are_not_made_up(folder):
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "transform" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "no fitting weights for")


def test_a_causal_model_is_no_masked_one(tmp_path):
    refused(models.llama(tmp_path / "llama"), "not a masked language model that can be read")
    assert load(tmp_path / "llama", device="cpu", system="csplade").encode_documents(["bees"]).nnz


def test_logits_that_are_not_a_product_are_an_unsupported_architecture(tmp_path):
    from transformers import Gemma2Config, Gemma2ForCausalLM

    config = Gemma2Config(
        vocab_size=models.VOCABULARY,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=8,
        final_logit_softcapping=1.0,
    )
    torch.manual_seed(0)
    model = Gemma2ForCausalLM(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    model.save_pretrained(tmp_path)
    models.write_tokenizer(tmp_path, special=False)
    refused(tmp_path, "unsupported architecture Gemma2ForCausalLM", system="csplade")


def test_a_tokenizer_that_is_none_is_refused(folder):
    (folder / "tokenizer.json").write_text("{}")
    refused(folder, "tokenizer.json: not a tokenizer")


def test_an_unknown_system_is_refused(folder):
    refused(folder, "unknown system 'splade-v9': wanted a TOML file or one of", system="splade-v9")


def test_an_idf_file_beside_a_model_makes_queries_a_lookup(folder):
    (folder / "idf.json").write_text('{"bees": 4.0, "castle": 2.0, "[CLS]": 9.0}')
    encoder = load(folder, device="cpu")
    assert encoder.encode_queries(["bees castle bees dance"]).values.tolist() == [4.0, 2.0]
    assert encoder.encode_documents(["bees"]).nnz


def test_without_torch_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"pip install .*\[torch\]"):
        load(folder)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("title = ", "not a declaration"),
        ('title = "x"\npaper = "y"\n[document]\nhead = "dense"\nbackbone = "gpt"', "wanted one of masked-lm, encoder"),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "table"\nsparsifier = "relative"\nthreshold = nan',
            "threshold nan: wanted finite numbers of 0 or more",
        ),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "table"\nsparsifier = "relative"\nthreshold = 1.5',
            "'relative' has threshold 1.5: wanted below 1",
        ),
        (
            'title = "x"\npaper = "y"\nscorer = "l2"\n[document]\nhead = "table"',
            "unknown scorer 'l2': wanted one of dot",
        ),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "magic"',
            "unknown head 'magic': wanted one of vocabulary, token-weight, ",
        ),
        ('title = "x"\npaper = "y"\n[document]\nhead = "vocabulary"\nvelocity = 3', "unknown field `velocity`"),
        ('title = "x"\npaper = "y"\n[document]\nhead = "vocabulary"', "needs a backbone"),
        ('title = "x"\npaper = "y"\n[document]\nhead = "table"\nbackbone = "encoder"', "takes no backbone"),
        ('title = "x"\npaper = "y"\n[document]\nhead = "dense"\nbackbone = "encoder"', "pools states by mean"),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "vocabulary"\nbackbone = "masked-lm"\nsparsifier = "topk"',
            "needs k of 1 or more",
        ),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "vocabulary"\nbackbone = "masked-lm"\npool = "mean"',
            "max, sum, cls or last, found 'mean', which is for stems",
        ),
        (
            'title = "x"\npaper = "y"\n[document]\nhead = "token-weight"\nbackbone = "encoder"\ngates = ["quality"]',
            "gate 'quality' needs head 'vocabulary', found 'token-weight'",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_refused(text, match):
    with pytest.raises(EncoderError, match=match):
        parse_declaration(text, "mine.toml")


def test_tensors_of_the_wrong_shape_are_refused(bert, tmp_path):
    encoder = NeuralEncoder(untrained(read_system("unicoil"), bert), device="cpu")
    encoder.save(tmp_path)
    save_file({"token_weight": np.ones(3, np.float32)}, tmp_path / "document" / "parts.safetensors")
    (tmp_path / "lsr.json").write_text('{"format": 1}')
    refused(tmp_path, r"tensor 'token_weight' is \[3\]; wanted \[16\]")
    save_file({"token_weight": np.ones(16, np.float32)}, tmp_path / "document" / "parts.safetensors")
    refused(tmp_path, r"tensor 'token_bias' is missing; wanted \[1\]")


def test_dense_and_sparse_are_not_mistaken(bert):
    dense = NeuralEncoder(untrained(read_system("dense-mean"), bert), device="cpu")
    with pytest.raises(EncoderError, match="call encode_dense"):
        dense.encode_documents(["bees"])
    with pytest.raises(EncoderError, match="makes sparse vectors"):
        NeuralEncoder(untrained(read_system("splade-v2"), bert), device="cpu").encode_dense(["bees"])


def test_odd_texts_are_encoded_and_long_ones_counted(bert):
    source = untrained(read_system("splade-v2"), bert)
    texts = ["", " ", "\x00\x01\x02", "bees " * 200_000, "\U0001f41d", "bees"]
    for one, count in ((source, 0), (truncated(source), 1)):
        observed = NeuralEncoder(one, device="cpu").observe(texts)
        assert len(observed.matrix) == 6
        assert observed.truncated == count


def test_a_prompt_changes_vectors_and_fingerprint_but_not_places(bert):
    import msgspec

    declaration = read_system("splade-v2")
    plain = NeuralEncoder(untrained(declaration, bert), device="cpu")
    side = msgspec.structs.replace(declaration.document, prompt="the castle ")
    prompted = NeuralEncoder(untrained(declaration.replace(document=side), bert), device="cpu")
    assert prompted.fingerprint != plain.fingerprint
    wanted = plain.encode_documents(["the castle bees"]).to_dicts()
    assert prompted.encode_documents(["bees"]).to_dicts() == wanted
    assert {(o.start, o.end) for o in prompted.explain("bees")} <= {(0, 0), (0, 4)}
