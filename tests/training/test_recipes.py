"""Every recipe can be read; its tiny profile makes an encoder better than it was at the start."""

import pytest
import torch

from lsr.encoders.declaration import system_names
from lsr.encoders.parts.registry import SPARSIFIERS
from lsr.errors import InputError, TrainingError
from lsr.training.loop.session import Plan, prepare
from lsr.training.objective import losses
from lsr.training.objective.objective import Labels
from lsr.training.recipe import parse_recipe, read_recipe, recipe_names
from lsr.training.student.student import Encoded
from tests.conftest import ROOT, SAMPLE
from tests.training.runs import PENALTY, TOML, trainer


@pytest.mark.parametrize("profile", [None, "tiny"])
def test_every_recipe_can_be_read_and_has_a_tiny_profile(profile):
    for name in recipe_names():
        recipe = read_recipe(name, profile)
        assert recipe.paper
        assert recipe.losses or recipe.codes
        assert profile is None or recipe.steps <= 400


def test_every_published_system_has_a_recipe():
    trained = {read_recipe(name).system for name in recipe_names()}
    assert set(system_names()) - trained <= {"bm25", "stems"}  # counted; not published


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("splade-v2", "nothing"), "unknown system 'nothing': wanted one of"),
        (("info_nce = 1.0", "kl = 1.0"), "loss 'kl' needs a teacher"),
        (("steps = 8", "steps = 0"), "must be 1 or more"),
        (("value = 1e-2", "value = 0.0"), "rate 0: wanted more than 0"),
        (("batch = 4", "batches = 4"), "unknown field `batches`"),
        (("info_nce = 1.0", "sparse_mse = 1.0, kl = 1.0"), "loss 'kl' needs a teacher"),
        (
            ("info_nce = 1.0 }", "sparse_mse = 1.0 }\nteaching = { teachers = ['bm25', 'b'] }"),
            "learns the vectors of the first teacher: wanted an encoder, found 'bm25'",
        ),
        (("info_nce", "term_recall"), "loss 'term_recall' weighs a document's own tokens"),
        (("batch = 4", "batch = 4\nk = { query = { value = 3 } }"), "has sparsifier 'none' there"),
        (("weight = {", "scored = true\nweight = {"), "but system 'splade-v2' has none"),
        (("batch = 4", "batch = 4\nadapter = { rank = 4 }"), "add 'body' to freeze"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(change, message):
    text = TOML.format(system="splade-v2", more=PENALTY).replace(*change)
    with pytest.raises((InputError, TrainingError), match=message):
        parse_recipe(text, "mine.toml")


@pytest.mark.parametrize("system", ["stems", "pooled-stems"])
def test_stems_copy_nothing_but_what_targets_say(system):
    text = TOML.format(system=system, more='teaching = { teachers = ["bm25"] }').replace("info_nce", "sparse_mse")
    with pytest.raises(InputError, match=r"'sparse_mse' of stems learns what teaching\.targets say; add one or more"):
        parse_recipe(text, "mine.toml")
    targets = text.replace('["bm25"]', '["bm25"], targets = [{ above = 0.1 }]')
    assert parse_recipe(targets, "mine.toml").losses == {"sparse_mse": 1.0}


def test_an_unknown_recipe_or_profile_names_those_there_are():
    with pytest.raises(TrainingError, match=r"unknown recipe 'nothing': wanted a file or one of abs-topk, "):
        read_recipe("nothing")
    with pytest.raises(TrainingError, match="no profile 'large'; found tiny"):
        read_recipe("splade", "large")


def test_the_recipe_in_the_manual_works():
    text = (ROOT / "docs" / "TRAINING.md").read_text().split("```toml\n")[1].split("```")[0]
    assert parse_recipe(text, "TRAINING.md").chunk == 16


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["unicoil", "feature-choice"])
def test_the_tiny_profile_gains_on_the_judged_sample_from_titles_alone(name, splade_tiny, tmp_path):
    plan = Plan(splade_tiny, (str(SAMPLE),), SAMPLE, tmp_path / "run")
    result = prepare(read_recipe(name, "tiny"), plan).run()
    assert result.best > result.before + 0.02


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_hyper_parameters_follow_their_schedules(tmp_path):
    text = TOML.format(
        system="splade-topk",
        more="""
[losses]
kl = { value = 2.0, kind = "linear", share = 1.0 }
[k]
document = { value = 3, kind = "anneal", start = 7, share = 0.5 }
[teaching]
teachers = ["scores"]
scale = { value = 8.0, kind = "linear", share = 1.0 }
""",
    ).replace("losses = { info_nce = 1.0 }\n", "")
    made = trainer(tmp_path, parse_recipe(text, "test"))
    assert made.student.document.side.k == 3
    queries, documents, teacher = torch.rand(2, 9), torch.rand(2, 9), torch.tensor([[0.1, 0.3], [0.2, 0.0]])
    both, rows = torch.ones(2, 2, dtype=torch.bool), torch.arange(2)
    labels = Labels(both, both, teacher, rows, rows)
    for step, k in ((1, 6), (2, 5), (4, 3), (8, 3)):
        found = made.objective(Encoded(queries), Encoded(documents), labels, step)
        scores = queries @ SPARSIFIERS["topk"].choose(documents, k).T
        assert torch.allclose(found["kl"], 2.0 * step / 8 * losses.kl(scores, teacher * 8.0 * step / 8))
