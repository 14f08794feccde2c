"""A run can be stopped anywhere, says what is wrong, and leaves an encoder that encodes as the student did."""

import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from lsr.encoders import load
from lsr.encoders.neural import NeuralEncoder
from lsr.errors import TrainingError
from lsr.training.data.token_store import TokenStore
from lsr.training.loop.checkpoint import read_checkpoint
from lsr.training.loop.out_of_memory import memory_watched
from lsr.training.objective.objective import Labels
from lsr.training.recipe import parse_recipe
from lsr.training.schedules import Schedule
from lsr.training.student.student import Encoded, set_idf
from lsr.training.teachers.scores import Ensemble, stored
from lsr.training.teachers.vector_cache import both_vectors
from tests.conftest import ROOT
from tests.encoders.models import bert
from tests.training.runs import ADAPTER, CODES, PENALTY, TOML, pairs, recipe, trainer

QUIET = pytest.mark.filterwarnings("ignore::DeprecationWarning")
pytestmark = QUIET


def weights(made):
    return {name: p.detach().clone() for name, p in made.student.named_parameters() if p.requires_grad}


@pytest.mark.parametrize(
    ("system", "more"),
    [("splade-v2", PENALTY), ("csr", CODES), ("li-lsr", PENALTY), ("feature-choice", CODES), ("csplade", ADAPTER)],
)
def test_a_resumed_run_ends_with_exactly_the_weights_of_one_that_never_stopped(tmp_path, system, more):
    chosen = recipe(system, more)
    whole = trainer(tmp_path, chosen, "whole")
    whole.run()
    trainer(tmp_path, chosen, "stopped").run(until=4)
    resumed = trainer(tmp_path, chosen, "stopped", resume=True)
    assert resumed.step == 4
    resumed.run()
    for (name, wanted), found in zip(weights(whole).items(), weights(resumed).values(), strict=True):
        assert torch.equal(wanted, found), name
    for name, wanted in whole.average.values.items():
        assert torch.equal(wanted, resumed.average.values[name])
    steps = [line["step"] for line in resumed.folder.lines() if "loss" in line]
    assert steps == list(range(1, 9))


@pytest.mark.parametrize("system", ["splade-v2", "opensearch-doc-v2", "unicoil", "prosper"])
def test_gradcache_gives_the_gradients_of_a_plain_step(tmp_path, system):
    plain = trainer(tmp_path, recipe(system, dropout=False), "plain")
    cached = trainer(tmp_path, recipe(system, dropout=False, chunk=3), "cached")
    for made in (plain, cached):
        made.student.eval()
        made.engine.gradients(made.drawer.draw(1), 4)
    for (name, a), b in zip(plain.student.named_parameters(), cached.student.parameters(), strict=True):
        if a.grad is not None and b.grad is not None:
            assert torch.allclose(a.grad, b.grad, atol=1e-5), name


def test_training_lowers_the_loss_and_leaves_curves_checkpoints_and_an_encoder(tmp_path, curves):
    made = trainer(tmp_path, recipe("unicoil", steps=24, dropout=False, rate=Schedule(3e-3)))
    seen = []
    result = made.run(lambda step, values: seen.append(values))
    losses = [values["loss"] for values in seen if "loss" in values]
    assert np.mean(losses[-4:]) < 0.9 * np.mean(losses[:4])
    assert result.steps == 24
    assert {"terms", "flops", "penalty factor", "document penalty"} <= set(seen[1])
    assert (tmp_path / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1
    assert [path.name for path in sorted(made.folder.checkpoints.iterdir())] == ["step-00000020", "step-00000024"]


SAVED = {
    "splade-v2": PENALTY,
    "splade-efficient": PENALTY,
    "li-lsr": PENALTY,
    "unicoil": PENALTY,
    "prosper": PENALTY,
    "csplade": ADAPTER,
    "csr": CODES,
    "abs-topk": CODES,
    "batch-topk": CODES,
    "feature-choice": CODES,
    "lexsembridge": "",
}


@pytest.mark.parametrize("system", SAVED)
def test_a_saved_encoder_gives_the_vectors_of_the_student(tmp_path, system):
    made = trainer(tmp_path, recipe(system, SAVED[system]))
    made.run()
    made.student.eval()
    folder = tmp_path / "saved"
    folder.mkdir()
    made.student.save(folder)
    texts, encoder = ["bees dance", "a castle had walls"], load(folder, device="cpu")
    assert isinstance(encoder, NeuralEncoder)
    sides = {False: encoder.encode_documents, True: encoder.encode_queries}
    for query, run in sides.items():
        side = made.student.side(query).side
        store = TokenStore(texts, made.student.source.document.tokenizer, side)
        wanted = made.student.vectors(store, query).to_scipy().toarray()
        assert wanted.any()
        dense = encoder.declaration.dense
        found = encoder.encode_dense(texts, query) if dense else run(texts).to_scipy().toarray()
        assert np.allclose(found, wanted, atol=1e-4)


def test_a_student_learns_the_vectors_of_its_teacher(tmp_path):
    bert(tmp_path / "teacher", seed=1)
    copying = 'losses = { sparse_mse = 1.0 }\n[teaching]\nteachers = ["an encoder"]\n'
    text = TOML.format(system="splade-v2", more=copying).replace("losses = { info_nce = 1.0 }\n", "", 1)
    chosen = msgspec.structs.replace(parse_recipe(text, "test"), steps=30, dropout=False)
    data, losses = pairs(tmp_path), []
    encoder = load(tmp_path / "teacher", device="cpu")
    teacher = Ensemble([stored(*both_vectors(encoder, data.documents, data.queries))])
    made = trainer(tmp_path, chosen, teacher=teacher)
    made.run(lambda step, values: losses.append(values["sparse_mse"]) if "sparse_mse" in values else None)
    rows = np.arange(3)
    wanted = encoder.encode_documents([data.documents[row] for row in rows]).to_scipy().toarray()
    found = teacher.vectors(rows)
    assert isinstance(found, torch.Tensor)
    assert np.allclose(found, wanted, atol=1e-5)
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    with pytest.raises(TrainingError, match="wanted the folder of an encoder as first teacher"):
        Ensemble([Known()]).vectors(rows)


class Known:
    """A teacher without vectors."""

    def scores(self, queries, documents):
        return torch.zeros(len(queries), len(documents))


def test_the_idf_table_is_the_formula(tmp_path):
    made = trainer(tmp_path, recipe("opensearch-doc-v2"))
    set_idf(made.student, made.drawer.store(False))
    store, table = made.drawer.store(False), made.student.query.parts["table"]
    token = store.ids(0)[1]
    df = sum(token in store.ids(row) for row in range(len(store)))
    assert float(table[token].detach()) == pytest.approx(np.log(1 + (len(store) - df + 0.5) / (df + 0.5)))
    assert not table[:5].any()  # special tokens


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_checkpoint(tmp_path):
    made = trainer(tmp_path)
    made.run(until=4)
    with torch.no_grad():
        next(iter(made.student.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingError, match=r"not finite at step 5.*the checkpoint step-00000004 is kept"):
        made.run()
    assert trainer(tmp_path, resume=True).step == 4


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("harm", [cut, flip, lambda path: path.unlink()])
@pytest.mark.parametrize("name", ["state.safetensors", "state.json"])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before_it(whole_run, tmp_path, harm, name):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    checkpoints = tmp_path / "run" / "checkpoints"
    harm(checkpoints / "step-00000008" / name)
    resumed = trainer(tmp_path, resume=True)
    assert resumed.step == 4
    assert len(resumed.passed_over) == 1
    assert "step-00000008: the checkpoint is damaged" in resumed.passed_over[0]
    harm(checkpoints / "step-00000004" / name)
    with pytest.raises(TrainingError, match=r"step-00000004: .* no other is there: start again without --resume"):
        trainer(tmp_path, resume=True)
    assert len(list(checkpoints.iterdir())) == 2


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A folder with a run of 8 steps and two checkpoints."""
    folder = tmp_path_factory.mktemp("whole")
    with warnings.catch_warnings(action="ignore"):
        trainer(folder).run()
    return folder


def test_a_run_goes_on_from_the_good_checkpoint_to_the_same_weights(whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    kept = read_checkpoint(tmp_path / "run" / "checkpoints").tensors
    wanted = {name: tensor.clone() for name, tensor in kept.items()}  # they are views of the file that is flipped now
    flip(tmp_path / "run" / "checkpoints" / "step-00000008" / "state.safetensors")
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # killed while writing
    trainer(tmp_path, resume=True).run()
    found = read_checkpoint(tmp_path / "run" / "checkpoints")
    assert not found.passed_over
    assert [name for name, value in found.tensors.items() if not torch.equal(wanted[name], value)] == []


def test_a_damaged_recipe_of_a_run_is_named(whole_run, tmp_path):
    shutil.copytree(whole_run, tmp_path, dirs_exist_ok=True)
    cut(tmp_path / "run" / "recipe.json")
    with pytest.raises(TrainingError, match=r"recipe.json is damaged"):
        trainer(tmp_path, resume=True)


OUT_OF_MEMORY = """
import resource, sys, warnings
from pathlib import Path
import torch
from lsr.errors import TrainingError
from lsr.training.loop.out_of_memory import memory_watched
from tests.training.runs import recipe, trainer

warnings.simplefilter("ignore")
made = trainer(Path(sys.argv[1]), recipe(batch=3000, steps=2, checkpoint_every=1))  # scores of 72 MB
made.run(until=1)
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used, used))
def torch_alone():
    with memory_watched(TrainingError, lambda: 7):
        torch.empty(2**30)

for run in (made.run, torch_alone):
    try:
        run()
    except TrainingError as error:
        print(error)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's limit of address space")
def test_running_out_of_memory_says_what_to_change_and_keeps_the_checkpoint(tmp_path):
    found = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, str(tmp_path)], capture_output=True, text=True, cwd=ROOT, check=False
    )
    lines = found.stdout.splitlines()
    assert len(lines) == 2, found.stderr
    assert lines[0].startswith("out of memory at step 2: set 'chunk' to encode fewer texts at a time")
    assert lines[0].endswith("the checkpoint step-00000001 is kept, --resume goes on from it")
    assert lines[1].startswith("out of memory at step 7")
    assert read_checkpoint(tmp_path / "run" / "checkpoints").state["step"] == 1


def test_other_faults_stay_what_they_are():
    with pytest.raises(RuntimeError, match="something else"), memory_watched(TrainingError, int):
        raise RuntimeError("something else")


def test_a_new_run_does_not_overwrite_and_a_resumed_one_needs_its_own_recipe(tmp_path):
    trainer(tmp_path).run(until=4)
    with pytest.raises(TrainingError, match="holds a run: go on with --resume"):
        trainer(tmp_path)
    with pytest.raises(TrainingError, match="another recipe"):
        trainer(tmp_path, recipe(batch=3), resume=True)
    with pytest.raises(TrainingError, match="holds no run"):
        trainer(tmp_path, name="other", resume=True)


def test_training_stops_when_the_dev_set_shows_no_gain(tmp_path):
    made = trainer(tmp_path, recipe(steps=40, evaluate_every=1, patience=3))
    assert made.run().steps < 40


def test_k_is_annealed_and_dead_latents_are_counted(tmp_path):
    made = trainer(tmp_path, recipe("csr", CODES))
    seen = []
    made.run(lambda step, values: seen.append(values))
    assert [values["k"] for values in seen if "k" in values] == [5, 4, 4, 3, 2, 2, 2, 2]
    assert all(0 <= values["dead"] <= 1 for values in seen if "dead" in values)


def test_latents_that_only_queries_fire_are_not_idle(tmp_path):
    made = trainer(tmp_path, recipe("csr", CODES))
    base = torch.zeros(2, 2, made.student.document.terms)
    base[0, :, 0], base[1, :, 1] = 1, 1
    queries, documents = (Encoded(one, torch.randn(2, 16)) for one in base)
    own = torch.eye(2, dtype=torch.bool)
    made.objective(queries, documents, Labels(own, own, None, torch.arange(2), torch.arange(2)), 1)
    assert made.objective.latents.idle[:4].tolist() == [0, 0, 1, 1]
