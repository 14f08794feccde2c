"""Low-rank factors learn beside a network; a language model that reads on gives likelier text, rectified or not."""

import pytest
import torch

from lsr.encoders.network.backbone import read_body
from lsr.errors import TrainingError
from lsr.training.loop.pretraining import pretrained
from lsr.training.objective.losses import next_token
from lsr.training.recipe import Adapter, Pretraining
from lsr.training.schedules import Schedule
from lsr.training.student.lora import add_adapter, merged
from tests.encoders.models import VOCABULARY, llama

SETTINGS = Adapter(rank=2, alpha=6.0, layers=("q_proj", "down_proj"))
IDS = torch.tensor([[5, 9, 7, 12], [6, 5, 20, 8]])


SENTENCE = torch.tensor([[5, 6, 7, 8, 9, 5, 11, 12]])  # bees dance to tell other bees where flowers


def states(body, ids=IDS):
    with torch.no_grad():
        return body(ids, torch.ones_like(ids, dtype=torch.bool))


def test_factors_start_without_effect_and_are_merged_into_the_weights_they_stand_beside(tmp_path):
    body, _ = read_body(llama(tmp_path / "llama"), "causal-lm")
    before = states(body)
    weights = {name: p.detach().clone() for name, p in body.named_parameters()}
    add_adapter(body, SETTINGS)
    assert torch.equal(states(body), before)
    factors = {name: p for name, p in body.named_parameters() if "lora_" in name}
    assert len(factors) == 2 * 2 * 2  # layers, matrices, factors
    torch.manual_seed(0)
    for p in factors.values():
        p.data.normal_()
    found = states(body)
    assert not torch.allclose(found, before)
    with merged(body):
        assert set(dict(body.named_parameters())) == set(weights)
        name = next(n for n in weights if n.endswith("q_proj.weight"))
        stem = name.removesuffix("weight")
        wanted = weights[name] + 6.0 / 2 * factors[f"{stem}lora_up"] @ factors[f"{stem}lora_down"]
        assert torch.allclose(dict(body.named_parameters())[name], wanted, atol=1e-5)
    assert torch.equal(states(body), found)


def test_a_network_without_the_named_matrices_is_refused(tmp_path):
    body, _ = read_body(llama(tmp_path / "llama"), "causal-lm")
    with pytest.raises(TrainingError, match="no matrix is called query; this network has down_proj, "):
        add_adapter(body, Adapter(layers=("query",)))


def loss_of(folder):
    body, vocabulary = read_body(folder, "causal-lm")
    assert vocabulary is not None
    with torch.no_grad():
        return float(next_token(vocabulary(states(body, SENTENCE)), SENTENCE))


def test_a_language_model_reads_on_once(tmp_path):
    start = llama(tmp_path / "llama")
    texts = ["bees dance to tell other bees where flowers are", "a castle had thick walls and a moat"] * 20
    settings = Pretraining(12, Schedule(1e-2, "warmup-cosine", 0.2), batch=8, length=6, chunk=3)
    folder = pretrained(start, texts, settings, tmp_path / "out" / "pretrained")
    assert loss_of(folder) < loss_of(start)
    assert read_body(folder, "causal-lm")[1].out_features == VOCABULARY  # type: ignore[union-attr]
    time = (folder / "model.safetensors").stat().st_mtime_ns
    assert pretrained(start, texts, settings, folder) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == time


def test_too_little_text_for_a_window_is_refused(tmp_path):
    with pytest.raises(TrainingError, match="tokens of text for windows of 2,048: lower 'length'"):
        pretrained(llama(tmp_path / "llama"), ["bees"], Pretraining(1, Schedule(1e-3)), tmp_path / "new")
