"""Folders of sentence-transformers, read and written, against the package itself."""

import json
import shutil

import numpy as np
import pytest

from lsr.encoders import load as load_any
from lsr.encoders import read_system
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")
package = pytest.importorskip("sentence_transformers")

from sentence_transformers.base.modules import Router, Transformer  # noqa: E402
from sentence_transformers.sentence_transformer.modules import Pooling  # noqa: E402
from sentence_transformers.sparse_encoder import modules  # noqa: E402

from lsr.encoders.convert.to_sentence_transformers import write  # noqa: E402
from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.encoders.storage.sentence_transformers import max_length  # noqa: E402
from tests.encoders import models  # noqa: E402
from tests.encoders.models import VOCABULARY, WIDTH  # noqa: E402

TEXTS = ["bees dance to tell other bees where flowers are", "a castle", "the moat of the castle " * 30, "zzz bees"]
ROLES = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}


def load(folder, device=None, truncate=False):
    encoder = load_any(folder, device, truncate=truncate)
    assert isinstance(encoder, NeuralEncoder)
    return encoder


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    folder = models.bert(tmp_path_factory.mktemp("bert") / "model", layers=2)
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 64, **ROLES}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def theirs(bert, tmp_path_factory):
    """One folder of each kind as the package writes it."""
    home = tmp_path_factory.mktemp("theirs")
    body = Transformer(str(bert), transformer_task="fill-mask")
    rng = torch.Generator().manual_seed(0)

    def splade(pooling, activation):
        return modules.SpladePooling(pooling, activation, embedding_dimension=VOCABULARY)

    def save(name, parts, **options):
        package.SparseEncoder(modules=parts, device="cpu", **options).save(str(home / name))

    save("max", [body, splade("max", "relu")])
    save("sum", [body, splade("sum", "relu")])
    save("twice", [body, splade("max", "log1p_relu")], prompts={"query": "the ", "document": "a "})
    static = modules.SparseStaticEmbedding(body.tokenizer, torch.rand(VOCABULARY, generator=rng))
    router = Router.for_query_document(query_modules=[static], document_modules=[body, splade("max", "relu")])
    save("router", [router])
    save("router-few", [router], max_active_dims=2)
    save("few", [body, splade("max", "relu")], max_active_dims=5)
    signed = modules.SparseStaticEmbedding(body.tokenizer, torch.rand(VOCABULARY, generator=rng) - 0.5)
    own = Router.for_query_document(query_modules=[signed], document_modules=[body, splade("max", "relu")])
    save("signed", [own])
    states = Transformer(str(bert))
    for name, centred in (("csr", False), ("csr-centred", True)):
        coder = modules.SparseAutoEncoder(WIDTH, hidden_dim=48, k=6, k_aux=8, normalize=centred)
        coder.pre_bias.data.normal_(0, 0.1, generator=rng)
        coder.latent_bias.data.normal_(0, 0.1, generator=rng)
        save(name, [states, Pooling(WIDTH, "mean"), coder])
    return home


KINDS = ["max", "sum", "twice", "router", "router-few", "few", "signed", "csr", "csr-centred"]


def same(folder, texts=TEXTS):
    """Largest difference between the package's vectors and ours."""
    model = package.SparseEncoder(str(folder), device="cpu", local_files_only=True)
    encoder = load(folder, device="cpu", truncate=True)
    gaps = []
    for name in ("document", "query"):
        expected = getattr(model, f"encode_{name}")(texts, convert_to_sparse_tensor=False).cpu().numpy()
        found = getattr(encoder, f"encode_{name}s".replace("query", "querie"))(texts).to_scipy().toarray()
        gaps.append(np.abs(found - expected).max())
    return max(gaps)


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("kind", KINDS)
def test_folders_of_the_package_give_equal_vectors(kind, theirs):
    assert same(theirs / kind) < 1e-4


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_can_be_written_again(kind, theirs, tmp_path):
    write(load(theirs / kind, device="cpu"), tmp_path / "out")
    assert same(tmp_path / "out") < 1e-4
    again = load(tmp_path / "out", device="cpu")
    assert again.encode_queries(TEXTS).to_dicts() == load(theirs / kind, device="cpu").encode_queries(TEXTS).to_dicts()
    written = set(names(tmp_path / "out"))
    assert written <= set(names(theirs / kind))


@pytest.mark.parametrize("system", ["splade-v2", "splade-sum", "opensearch-doc-v2", "opensearch-doc-v3", "splade-doc"])
def test_systems_of_ours_run_in_the_package(system, bert, tmp_path):
    write(NeuralEncoder(untrained(read_system(system), bert), device="cpu"), tmp_path / "out")
    assert same(tmp_path / "out") < 1e-4


@pytest.mark.parametrize("system", ["unicoil", "epic", "splade-topk", "splade-v3-lexical", "abs-topk"])
def test_parts_without_a_counterpart_are_refused(system, bert, tmp_path):
    encoder = NeuralEncoder(untrained(read_system(system), bert), device="cpu")
    with pytest.raises(EncoderError, match="no counterpart"):
        write(encoder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


OLD_TYPES = {
    "sentence_transformers.base.modules.transformer.Transformer": (
        "sentence_transformers.sparse_encoder.models.MLMTransformer",
        "sentence_transformers.sparse_encoder.models.MLMTransformer.MLMTransformer",
    ),
    "sentence_transformers.sparse_encoder.modules.splade_pooling.SpladePooling": (
        "sentence_transformers.sparse_encoder.models.SpladePooling",
        "sentence_transformers.sparse_encoder.models.splade_pooling",
    ),
    "sentence_transformers.sparse_encoder.modules.sparse_static_embedding.SparseStaticEmbedding": (
        "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding",
        "sentence_transformers.sparse_encoder.models.SparseStaticEmbedding.SparseStaticEmbedding",
    ),
    "sentence_transformers.base.modules.router.Router": (
        "sentence_transformers.models.Router",
        "sentence_transformers.models.Router",
    ),
}


@pytest.mark.parametrize("kind", ["max", "router"])
@pytest.mark.parametrize("age", [0, 1])
def test_class_paths_of_version_5_are_read(kind, age, theirs, tmp_path):
    folder = tmp_path / "old"
    shutil.copytree(theirs / kind, folder)
    for path in (folder / "modules.json", folder / "router_config.json"):
        if path.is_file():
            text = path.read_text()
            for new, old in OLD_TYPES.items():
                text = text.replace(f'"{new}"', f'"{old[age]}"')
            path.write_text(text)
    assert load(folder).fingerprint == load(theirs / kind).fingerprint


def test_static_weights_in_an_idf_file_are_read(theirs, tmp_path):
    folder = tmp_path / "idf"
    shutil.copytree(theirs / "router", folder)
    static = folder / "query_0_SparseStaticEmbedding"
    (static / "model.safetensors").unlink()
    (static / "config.json").write_text('{"path": "idf.json", "frozen": true}')
    (static / "idf.json").write_text('{"bees": 4.0, "castle": 3.0, "the": 0.1}')
    found = load(folder).encode_queries(["bees the castle bees moat"])
    assert sorted(found.values.tolist()) == pytest.approx([0.1, 3.0, 4.0])


def test_a_dense_folder_is_read(bert, tmp_path):
    model = package.SentenceTransformer(modules=[Transformer(str(bert)), Pooling(WIDTH, "mean")], device="cpu")
    model.save(str(tmp_path / "dense"))
    expected = model.encode(TEXTS, normalize_embeddings=True)
    assert np.abs(load(tmp_path / "dense", device="cpu").encode_dense(TEXTS) - expected).max() < 1e-4


LENGTHS = [  # config.json, sentence_bert_config.json, tokenizer_config.json, tokens read
    ({"max_position_embeddings": 8192}, {"max_seq_length": 1024}, {"model_max_length": 8192}, 1024),
    ({"max_position_embeddings": 8192}, {"max_seq_length": 2048}, {"model_max_length": 512}, 2048),
    ({"max_position_embeddings": 8192}, {}, {"model_max_length": 1024}, 1024),
    ({"max_position_embeddings": 8192}, {}, {"model_max_length": 10**30}, 8192),
    ({"max_position_embeddings": 8192}, {"max_seq_length": None}, {}, 8192),
    ({"max_position_embeddings": 256}, {"max_seq_length": 1024}, {}, 256),
    ({"max_position_embeddings": 514, "model_type": "roberta"}, {}, {"model_max_length": 10**30}, 512),
    ({"max_position_embeddings": -1}, {}, {}, 512),
    ({}, {}, {}, 512),
]


@pytest.mark.parametrize(("config", "package_config", "tokenizer_config", "wanted"), LENGTHS)
def test_a_text_is_read_as_far_as_the_files_say(config, package_config, tokenizer_config, wanted, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "sentence_bert_config.json").write_text(json.dumps(package_config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(tokenizer_config))
    assert max_length(tmp_path) == wanted


def test_weights_in_bfloat16_are_read(theirs, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copied(theirs, "router", tmp_path)
    place = folder / "query_0_SparseStaticEmbedding" / "model.safetensors"
    save_file({"weight": load_file(place)["weight"].bfloat16()}, place)
    assert same(folder) < 1e-2  # the package keeps bfloat16 when it adds up
    found = load(folder).source.query_side.parts["table"]
    assert found.tolist() == load_file(place)["weight"].float().tolist()


def test_numbers_of_a_type_that_is_not_read_are_refused(theirs, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copied(theirs, "router", tmp_path)
    place = folder / "query_0_SparseStaticEmbedding" / "model.safetensors"
    save_file({"weight": load_file(place)["weight"].to(torch.float8_e4m3fn)}, place)
    with pytest.raises(EncoderError, match="numbers of type F8_E4M3, wanted F64, F32"):
        load(folder)


def test_a_head_wider_than_the_query_table_gives_the_width(theirs, tmp_path):
    from safetensors.torch import load_file, save_file

    folder, wider = copied(theirs, "router", tmp_path), VOCABULARY + 20
    network = folder / "document_0_Transformer"
    tensors = load_file(network / "model.safetensors")
    rows = [name for name, tensor in tensors.items() if tensor.shape[0] == VOCABULARY]
    assert rows
    grown = {name: torch.cat([tensors[name], torch.ones_like(tensors[name][:20])]) for name in rows}
    save_file({**tensors, **grown}, network / "model.safetensors", {"format": "pt"})
    edit(network / "config.json", vocab_size=wider)
    edit(folder / "document_1_SpladePooling" / "config.json", embedding_dimension=wider)
    encoder = load(folder, device="cpu")
    assert encoder.dim == wider
    documents, queries = encoder.encode_documents(TEXTS), encoder.encode_queries(TEXTS)
    assert documents.dim == queries.dim == wider
    assert documents.terms.max() >= VOCABULARY


def test_a_number_of_terms_below_1_is_refused(theirs, tmp_path):
    folder = copied(theirs, "few", tmp_path)
    for most in (0, -1, True, "5", 1.5):
        edit(folder / "config_sentence_transformers.json", max_active_dims=most)
        with pytest.raises(EncoderError, match=r"max_active_dims .* wanted a whole number from 1"):
            load(folder)


def test_nan_in_a_network_is_named(theirs, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = copied(theirs, "max", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if "transform.dense.weight" in name)
    tensors[name][0, 0] = torch.nan
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(EncoderError, match=r"tensor '.*transform.dense.weight' holds NaN or infinity"):
        load(folder, device="cpu").encode_documents(TEXTS)


def copied(theirs, kind, tmp_path):
    shutil.copytree(theirs / kind, tmp_path / "copy")
    return tmp_path / "copy"


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_module_that_is_not_of_the_package_is_refused(theirs, tmp_path):
    folder = copied(theirs, "max", tmp_path)
    (folder / "modules.json").write_text('[{"path": "", "type": "evil.modules.Transformer"}]')
    with pytest.raises(EncoderError, match=r"module type 'evil.modules.Transformer' is not read"):
        load(folder)


def test_a_module_path_outside_the_folder_is_refused(theirs, tmp_path):
    folder = copied(theirs, "max", tmp_path)
    listed = json.loads((folder / "modules.json").read_text())
    listed[1]["path"] = "../../elsewhere"
    (folder / "modules.json").write_text(json.dumps(listed))
    with pytest.raises(EncoderError, match="leads out of the folder"):
        load(folder)


def test_modules_in_an_unknown_order_are_refused(theirs, tmp_path):
    folder = copied(theirs, "csr", tmp_path)
    listed = json.loads((folder / "modules.json").read_text())
    (folder / "modules.json").write_text(json.dumps([listed[0], listed[2]]))
    with pytest.raises(EncoderError, match=r"modules Transformer \+ SparseAutoEncoder; wanted"):
        load(folder)


def test_a_router_without_a_query_route_is_refused(theirs, tmp_path):
    folder = copied(theirs, "router", tmp_path)
    edit(folder / "router_config.json", structure={"document": []})
    with pytest.raises(EncoderError, match="routes document; wanted query and document"):
        load(folder)


def test_an_unknown_pooling_is_refused(theirs, tmp_path):
    folder = copied(theirs, "csr", tmp_path)
    edit(folder / "1_Pooling" / "config.json", pooling_mode="weightedmean")
    with pytest.raises(EncoderError, match="pooling weightedmean; wanted mean, cls or lasttoken"):
        load(folder)


def test_a_damaged_file_is_named(theirs, tmp_path):
    folder = copied(theirs, "router", tmp_path)
    (folder / "query_0_SparseStaticEmbedding" / "model.safetensors").write_bytes(b"rubbish")
    with pytest.raises(EncoderError, match="not a readable safetensors file"):
        load(folder)
    (folder / "router_config.json").write_text("{")
    with pytest.raises(EncoderError, match="not JSON"):
        load(folder)


def test_a_table_that_does_not_fit_the_tokenizer_is_refused(theirs, tmp_path):
    from safetensors.numpy import save_file

    folder = copied(theirs, "router", tmp_path)
    save_file({"weight": np.ones(7, np.float32)}, folder / "query_0_SparseStaticEmbedding" / "model.safetensors")
    with pytest.raises(EncoderError, match="the query table has 7 numbers but the vocabulary"):
        load(folder)


def test_an_idf_of_unknown_tokens_is_refused(theirs, tmp_path):
    folder = copied(theirs, "router", tmp_path)
    static = folder / "query_0_SparseStaticEmbedding"
    (static / "config.json").write_text('{"path": "idf.json"}')
    (static / "idf.json").write_text('{"zebra": 4.0}')
    with pytest.raises(EncoderError, match="'zebra' is not in the tokenizer"):
        load(folder)
    (static / "idf.json").write_text('{"bees": "four"}')
    with pytest.raises(EncoderError, match="wanted a finite number"):
        load(folder)
