"""Every recipe can be read; its tiny profile makes an encoder better than it was at the start."""

import pytest

from lsr.errors import InputError, TrainingError
from lsr.training.recipe import parse_recipe, read_recipe, recipe_names
from lsr.training.session import Plan, prepare
from tests.conftest import ROOT, SAMPLE
from tests.training.runs import PENALTY, TOML


@pytest.mark.parametrize("profile", [None, "tiny"])
def test_every_recipe_can_be_read_and_has_a_tiny_profile(profile):
    assert len(recipe_names()) >= 11
    for name in recipe_names():
        recipe = read_recipe(name, profile)
        assert recipe.paper
        assert recipe.losses or recipe.codes
        assert profile is None or recipe.steps <= 400


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("splade-v2", "nothing"), "unknown system 'nothing': wanted one of"),
        (("info_nce = 1.0", "kl = 1.0"), "loss 'kl' needs a teacher"),
        (("steps = 8", "steps = 0"), "must be 1 or more"),
        (("value = 1e-2", "value = 0.0"), "rate 0: wanted more than 0"),
        (("batch = 4", "batches = 4"), "unknown field `batches`"),
    ],
)
def test_a_recipe_that_cannot_work_is_refused(change, message):
    text = TOML.format(system="splade-v2", more=PENALTY).replace(*change)
    with pytest.raises((InputError, TrainingError), match=message):
        parse_recipe(text, "mine.toml")


def test_an_unknown_recipe_or_profile_names_those_there_are():
    with pytest.raises(TrainingError, match=r"unknown recipe 'nothing': wanted a file or one of csr, "):
        read_recipe("nothing")
    with pytest.raises(TrainingError, match="no profile 'large'; found tiny"):
        read_recipe("splade", "large")


def test_the_recipe_in_the_manual_works():
    text = (ROOT / "docs" / "TRAINING.md").read_text().split("```toml\n")[1].split("```")[0]
    assert parse_recipe(text, "TRAINING.md").chunk == 16


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["unicoil"])
def test_the_tiny_profile_gains_on_the_judged_sample_from_titles_alone(name, splade_tiny, tmp_path):
    plan = Plan(splade_tiny, (str(SAMPLE),), SAMPLE, tmp_path / "run")
    result = prepare(read_recipe(name, "tiny"), plan).run()
    assert result.best > result.before + 0.02
