"""Encoding without torch: exported bodies, our kernels, tables of queries."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from lsr.encoders import load as load_any
from lsr.encoders import read_system
from lsr.errors import EncoderError

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from lsr.encoders.convert.export import export_onnx  # noqa: E402
from lsr.encoders.network.assemble import read_network, untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.encoders.storage.layout import truncated  # noqa: E402
from lsr.encoders.storage.reader import read_source  # noqa: E402
from tests.encoders import models  # noqa: E402

TEXTS = ["bees dance to tell other bees where flowers are", "", "the moat of the castle " * 30, "zzz bees", "a castle"]
SYSTEMS = ["splade-v2", "splade-sum", "unicoil", "splade-topk", "opensearch-doc-v3", "csr", "abs-topk"]


def load(folder, device=None):
    encoder = load_any(folder, device)
    assert isinstance(encoder, NeuralEncoder)
    return encoder


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Function from a system to (encoder in torch, folder of its export); each exported once."""
    home = tmp_path_factory.mktemp("light")
    bert = models.bert(home / "bert")
    made = {}

    def export(system):
        if system not in made:
            encoder = NeuralEncoder(untrained(read_system(system), bert, codes=48, seed=1), device="cpu")
            export_onnx(encoder, home / system)
            made[system] = encoder
        return made[system], home / system

    return export


@pytest.mark.parametrize("system", SYSTEMS)
def test_an_export_gives_the_vectors_of_torch(system, exported):
    encoder, folder = exported(system)
    light = load(folder)
    for name in ("encode_documents", "encode_queries"):
        expected = getattr(encoder, name)(TEXTS).to_scipy().toarray()
        assert np.abs(getattr(light, name)(TEXTS).to_scipy().toarray() - expected).max() < 1e-4
    assert light.fingerprint == encoder.fingerprint
    assert light.observe(TEXTS).truncated == encoder.observe(TEXTS).truncated == 0


def test_an_export_truncates_as_torch_does(exported):
    encoder, folder = exported("splade-v2")
    encoder, light = NeuralEncoder(truncated(encoder.source), "cpu"), load_any(folder, truncate=True)
    one, other = encoder.observe(TEXTS), light.observe(TEXTS)
    assert one.truncated == other.truncated == 1
    assert np.abs((one.matrix.to_scipy() - other.matrix.to_scipy()).toarray()).max() < 1e-4


@pytest.mark.parametrize("system", ["splade-v2", "unicoil", "opensearch-doc-v3"])
def test_an_export_explains_as_torch_does(system, exported):
    encoder, folder = exported(system)
    for query in (False, True):
        for text in (TEXTS[0], TEXTS[2] + TEXTS[0]):
            ours = {(o.term, o.start, o.end) for o in load(folder).explain(text, query)}
            assert ours == {(o.term, o.start, o.end) for o in encoder.explain(text, query)}


def test_a_dense_export_gives_the_vectors_of_torch(exported):
    encoder, folder = exported("dense-mean")
    assert np.abs(load(folder).encode_dense(TEXTS) - encoder.encode_dense(TEXTS)).max() < 1e-4


def test_int8_is_smaller_close_and_has_its_own_fingerprint(splade_tiny, tmp_path):
    encoder = load(splade_tiny, device="cpu")
    export_onnx(encoder, tmp_path / "whole")
    export_onnx(encoder, tmp_path / "int8", int8=True)
    light = load(tmp_path / "int8")
    assert light.fingerprint == encoder.fingerprint + "-int8"
    one, other = (e.encode_documents(["Bees dance to tell other bees where flowers are."]) for e in (encoder, light))
    a, b = one.to_scipy().toarray()[0], other.to_scipy().toarray()[0]
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.999
    small, whole = (sum(p.stat().st_size for p in (tmp_path / n).rglob("*.*")) for n in ("int8", "whole"))
    assert small < 0.35 * whole


@pytest.mark.parametrize("int8", [False, True])
def test_torch_reads_an_export_back(exported, tmp_path, int8):
    encoder, _ = exported("csr")
    export_onnx(encoder, tmp_path / "small", int8=int8)
    wanted = read_network(encoder.source.document).body
    found = read_network(read_source(tmp_path / "small").document).body
    assert wanted is not None
    assert found is not None
    for name, weight in wanted.state_dict().items():
        if "pooler" not in name:
            assert torch.allclose(found.state_dict()[name], weight, atol=0.02 * int8), name


def test_an_export_of_a_language_model_stays_with_onnxruntime(exported):
    _, folder = exported("splade-v2")
    with pytest.raises(EncoderError, match="torch needs the model it was made of"):
        read_network(read_source(folder).document)


def test_a_copy_of_an_export_is_an_export(exported, tmp_path):
    _, folder = exported("opensearch-doc-v3")
    load(folder).save(tmp_path)
    assert load(tmp_path).fingerprint == load(folder).fingerprint
    assert load(tmp_path).encode_documents(TEXTS).to_dicts() == load(folder).encode_documents(TEXTS).to_dicts()


def run_python(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=True
    )


HEAVY = "sorted({'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"


def test_an_export_encodes_without_importing_torch(exported):
    _, folder = exported("splade-v2")
    code = (
        "import sys; from lsr.encoders import load; e = load(sys.argv[1]); n = e.encode_documents(['bees']).nnz; "
        f"print(n > 0, {HEAVY})"
    )
    assert run_python(code, folder).stdout.strip() == "True []"


def test_queries_of_a_table_import_neither_torch_nor_onnxruntime(exported, tmp_path):
    encoder, folder = exported("opensearch-doc-v3")
    encoder.save(tmp_path)
    code = (
        "import sys; from lsr.encoders import load; e = load(sys.argv[1]); n = e.encode_queries(['bees']).nnz; "
        f"print(n, {HEAVY}, 'onnxruntime' in sys.modules)"
    )
    for place in (folder, tmp_path):
        assert run_python(code, place).stdout.strip() == "1 [] False"


@pytest.mark.parametrize("system", ["opensearch-doc-v3", "splade-v2"])
def test_queries_go_on_when_the_folder_is_replaced(system, exported, tmp_path):
    shutil.copytree(exported(system)[1], tmp_path / "encoder")
    encoder = load(tmp_path / "encoder")
    expected = exported(system)[0].encode_queries(TEXTS)
    shutil.rmtree(tmp_path / "encoder")
    assert np.allclose(encoder.encode_queries(TEXTS).to_scipy().toarray(), expected.to_scipy().toarray(), atol=1e-4)
    assert [span.term for span in encoder.spans(TEXTS[0])]


def test_parts_that_only_torch_runs_are_refused(exported, tmp_path):
    _, folder = exported("splade-v2")
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    text = (
        (copy / "encoder.toml")
        .read_text()
        .replace('activation = "log1p"', 'activation = "log1p"\ngates = ["importance"]')
    )
    (copy / "encoder.toml").write_text(text)
    (copy / "lsr.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(EncoderError, match="gate 'importance' runs in torch only"):
        load(copy)


@pytest.mark.parametrize("name", ["document/body.onnx", "tokenizer.json", "encoder.toml", "document/parts.safetensors"])
def test_any_changed_file_of_a_saved_encoder_is_found(name, exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported("splade-v2")[1], copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(bytes(data))
    with pytest.raises(EncoderError, match="its checksum is wrong"):
        load(copy)
    (copy / name).unlink()
    with pytest.raises(EncoderError, match=r"is missing|holds no encoder"):
        load(copy)


def test_a_body_that_is_no_network_is_refused(exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported("splade-v2")[1], copy)
    (copy / "document" / "body.onnx").write_bytes(b"rubbish")
    (copy / "lsr.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(EncoderError, match="not a network that onnxruntime can run"):
        load(copy)


def test_another_format_is_refused(exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported("splade-v2")[1], copy)
    (copy / "lsr.json").write_text(json.dumps({"format": 9}))
    with pytest.raises(EncoderError, match="format 9, wanted 1"):
        load(copy)


def test_a_folder_that_is_there_is_not_overwritten(exported, tmp_path):
    with pytest.raises(EncoderError, match="is there already"):
        export_onnx(exported("splade-v2")[0], tmp_path)


@pytest.mark.parametrize("system", ["splade-v2", "splade-sum"])
def test_a_pruned_export_gives_the_same_weights_at_the_terms_it_kept(system, exported, tmp_path):
    from lsr.encoders.convert.prune import Pruning, choose_rows

    encoder, _ = exported(system)
    rows = np.array([5, 7, 8, 20])
    export_onnx(encoder, tmp_path / "pruned", pruning=Pruning(rows, 0.5))
    light = load(tmp_path / "pruned")
    expected = encoder.encode_documents(TEXTS).to_scipy().toarray()
    expected[:, np.setdiff1d(np.arange(encoder.dim), rows)] = 0
    assert np.abs(light.encode_documents(TEXTS).to_scipy().toarray() - expected).max() < 1e-4
    assert light.dim == encoder.dim
    assert light.fingerprint.startswith(encoder.fingerprint + "-pruned-")
    kept = [o for o in encoder.explain(TEXTS[0]) if o.term in rows]
    assert [o[0::2] for o in light.explain(TEXTS[0])] == [o[0::2] for o in kept]
    whole = choose_rows(encoder, TEXTS * 10)
    assert whole.loss == 0
    assert set(whole.rows) == set(encoder.encode_documents(TEXTS).terms.tolist())


def test_a_sample_of_few_documents_chooses_nothing(exported):
    from lsr.encoders.convert.prune import choose_rows
    from lsr.errors import InputError

    with pytest.raises(InputError, match="5 documents are too few"):
        choose_rows(exported("splade-v2")[0], TEXTS)


def test_bytes_leave_the_numbers_of_rows_what_they_are(tmp_path):
    from safetensors.numpy import save_file

    from lsr.encoders.storage.files import LARGE, read_parts, small_parts

    random = np.random.default_rng(0)
    parts = {
        "vocabulary_rows": np.arange(LARGE, dtype=np.float32) * 7 + 1,
        "table": random.normal(size=LARGE).astype(np.float32),
        "vocabulary_weight": random.normal(size=(LARGE, 2)).astype(np.float32),
    }
    save_file(small_parts(parts), tmp_path / "parts.safetensors")
    found = read_parts(tmp_path / "parts.safetensors")
    assert np.array_equal(found["vocabulary_rows"], parts["vocabulary_rows"])
    assert found["table"] == pytest.approx(parts["table"], rel=1e-3)
    assert found["vocabulary_weight"] == pytest.approx(parts["vocabulary_weight"], abs=0.02)


def edited(folder, target, change):
    """A copy whose tensors were changed, its checksums left out."""
    from safetensors.numpy import load_file, save_file

    shutil.copytree(folder, target)
    parts = load_file(target / "document" / "parts.safetensors")
    change(parts)
    save_file(parts, target / "document" / "parts.safetensors")
    manifest = json.loads((target / "lsr.json").read_text())
    (target / "lsr.json").write_text(json.dumps({**manifest, "files": {}}))
    return target


@pytest.mark.parametrize(
    ("system", "name", "change", "match"),
    [
        ("splade-v2", "vocabulary_weight", lambda x: x * np.nan, "holds NaN or infinity"),
        ("splade-v2", "vocabulary_weight", lambda x: x[:, :-1].copy(), r"tensor 'vocabulary_weight' is \[\d+, 15\]"),
        ("splade-v2", "vocabulary_weight", lambda x: x.astype(np.int32), "holds int32; wanted floating point"),
        ("splade-v2", "vocabulary_bias", lambda x: x[None].copy(), r"tensor 'vocabulary_bias' is \[1, \d+\]"),
        ("splade-v2", "vocabulary_bias", None, "tensor 'vocabulary_(weight|bias)' is"),
        ("unicoil", "token_weight", None, "tensor 'token_weight' is missing"),
        ("unicoil", "token_weight", lambda x: x * np.inf, "tensor 'token_weight' holds NaN or infinity"),
        ("csr", "centre", lambda x: x[:3].copy(), r"tensor 'centre' is \[3\]; wanted \[16\]"),
    ],
)
def test_tensors_of_an_export_that_do_not_fit_are_refused(system, name, change, match, exported, tmp_path):
    def apply(parts):
        if change is None:
            del parts[name]
        else:
            parts[name] = change(parts[name])

    folder = edited(exported(system)[1], tmp_path / "copy", apply)
    with pytest.raises(EncoderError, match=match):
        load(folder)


@pytest.mark.parametrize("change", [lambda x: x[None].copy(), lambda x: x * np.nan, lambda x: x[:-2].copy()])
def test_a_query_table_that_does_not_fit_is_refused(change, exported, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = edited(exported("opensearch-doc-v3")[1], tmp_path / "copy", lambda parts: None)
    parts = load_file(folder / "query" / "parts.safetensors")
    save_file({**parts, "table": change(parts["table"])}, folder / "query" / "parts.safetensors")
    with pytest.raises(EncoderError, match="table"):
        load(folder)
    shutil.rmtree(folder / "query")
    with pytest.raises(EncoderError, match=r"(query table|folder query) is missing"):
        load(folder)
