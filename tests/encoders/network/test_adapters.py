"""Low-rank adapters beside a network: added to its weights, or refused with a word."""

import json
import shutil

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file, save_file  # noqa: E402

from lsr.encoders import load, read_system  # noqa: E402
from lsr.encoders.network.assemble import untrained  # noqa: E402
from lsr.encoders.neural import NeuralEncoder  # noqa: E402
from lsr.errors import EncoderError  # noqa: E402
from tests.encoders import models  # noqa: E402

TEXTS = ["bees dance to tell other bee where flowers are", "a castle had thick walls"]
CONFIG = {"peft_type": "LORA", "r": 3, "lora_alpha": 6, "bias": "none", "target_modules": ["q_proj", "up_proj"]}


def encoder_of(folder):
    return NeuralEncoder(untrained(read_system("echo-splade"), folder), device="cpu")


@pytest.fixture
def adapted(tmp_path):
    """A causal model with an adapter, and the same with the products added by hand."""
    plain = models.llama(tmp_path / "plain")
    shutil.copytree(plain, tmp_path / "merged")
    adapter = plain / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps(CONFIG))
    weights, factors = load_file(plain / "model.safetensors"), {}
    generator = torch.Generator().manual_seed(1)
    for name in [name for name in weights if "q_proj" in name or "up_proj" in name]:
        down, up = (
            torch.randn(3, weights[name].shape[1], generator=generator),
            torch.randn(weights[name].shape[0], 3, generator=generator),
        )
        stem = "base_model.model." + name.removesuffix(".weight")
        factors[f"{stem}.lora_A.weight"], factors[f"{stem}.lora_B.weight"] = down, up
        weights[name] = weights[name] + 2.0 * (up @ down)
    save_file(factors, adapter / "adapter_model.safetensors")
    save_file(weights, tmp_path / "merged" / "model.safetensors", metadata={"format": "pt"})
    return plain, tmp_path / "merged"


def test_the_products_of_an_adapter_are_added_to_the_weights(adapted):
    plain, merged = (encoder_of(folder).encode_documents(TEXTS).to_scipy().toarray() for folder in adapted)
    assert np.allclose(plain, merged, atol=1e-4)
    shutil.rmtree(adapted[0] / "adapter")
    bare = encoder_of(adapted[0]).encode_documents(TEXTS).to_scipy().toarray()
    assert not np.allclose(bare, merged, atol=1e-2)


def test_an_adapter_is_saved_and_counts_in_the_fingerprint(adapted, tmp_path):
    encoder = encoder_of(adapted[0])
    (tmp_path / "saved").mkdir()
    encoder.save(tmp_path / "saved")
    again = load(tmp_path / "saved", device="cpu")
    assert again.fingerprint == encoder.fingerprint
    assert again.encode_documents(TEXTS).to_dicts() == encoder.encode_documents(TEXTS).to_dicts()
    shutil.rmtree(adapted[0] / "adapter")
    assert encoder_of(adapted[0]).fingerprint != encoder.fingerprint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"peft_type": "IA3"}, "adapter of type 'IA3', wanted LORA"),
        ({"use_dora": True}, "use_dora is not read; merge this adapter first"),
        ({"bias": "all"}, "bias is not read; merge this adapter first"),
        ({"r": 0}, "r is 0 and lora_alpha 6, wanted numbers"),
    ],
)
def test_other_adapters_are_refused(adapted, changes, said):
    (adapted[0] / "adapter" / "adapter_config.json").write_text(json.dumps({**CONFIG, **changes}))
    with pytest.raises(EncoderError, match=said):
        encoder_of(adapted[0])


def test_adapters_of_another_network_are_refused(adapted):
    path = adapted[0] / "adapter" / "adapter_model.safetensors"
    factors = load_file(path)
    save_file({name.replace("layers.0", "layers.7"): tensor for name, tensor in factors.items()}, path)
    with pytest.raises(EncoderError, match=r"layers.7.* does not fit the network; it was trained on another one"):
        encoder_of(adapted[0])
    save_file({**factors, "base_model.model.lm_head.weight": torch.ones(2)}, path)
    with pytest.raises(EncoderError, match=r"lm_head\.weight' is no factor of LoRA"):
        encoder_of(adapted[0])
    path.write_bytes(b"nothing")
    with pytest.raises(EncoderError, match="not a readable safetensors file"):
        encoder_of(adapted[0])
