"""Annealing k and supervised contrast keep latents alive; few latents from the first step on kill many."""

import msgspec
import numpy as np
import pytest
import torch

from lsr.training.data.sources import Raw, TrainingData
from lsr.training.loop.batches import Drawer
from lsr.training.loop.run_folder import RunFolder
from lsr.training.loop.trainer import Trainer
from lsr.training.loop.validation import DevMeter, DevSet
from lsr.training.recipe import read_recipe
from lsr.training.schedules import Schedule
from lsr.training.student.frozen_states import FrozenStates
from lsr.training.student.student import start
from tests.encoders.models import WIDTH, WORDS, bert

PAIRS, TOPICS, K, LATENTS, STEPS = 1000, 64, 2, 256, 120


class TopicalStates(FrozenStates):
    """Stands for a dense encoder: topics on a common direction, as real ones have; a query is its answer with noise."""

    def __init__(self):
        super().__init__()
        rng = np.random.default_rng(0)
        topics = rng.normal(size=(TOPICS, WIDTH))
        topics /= np.linalg.norm(topics, axis=1, keepdims=True)
        answers = topics[rng.integers(TOPICS, size=PAIRS)] + 3 * topics[0] + rng.normal(size=(PAIRS, WIDTH)) * 0.1
        queries = answers + rng.normal(size=answers.shape) * 0.075
        self._texts = torch.from_numpy(np.stack([answers, queries])).float()
        self._made = {}

    def of(self, store, network, source):
        if store not in self._made:
            ids = [store.ids(row) for row in range(len(store))]
            self._made[store] = torch.stack([self._texts[len(row) - 5, place_of(row[-4:-1])] for row in ids])
        return self._made[store]


def words_of(place):
    return [WORDS[place // 10**digit % 10] for digit in range(3)]


def place_of(ids):
    return sum(int(token - 5) * 10**digit for digit, token in enumerate(ids))


def trained(name, folder):
    """The trainer of a recipe for few latents, after its run."""
    recipe = read_recipe(name, "tiny")
    assert recipe.codes
    course = Schedule(K, "anneal", 0.7, 32) if recipe.codes.k.kind == "anneal" else Schedule(K)
    codes = msgspec.structs.replace(recipe.codes, k=course, size=LATENTS)
    changes = {"steps": STEPS, "batch": 32, "rate": Schedule(1e-2), "evaluate_every": STEPS, "checkpoint_every": STEPS}
    recipe = msgspec.structs.replace(recipe, codes=codes, **changes)
    answers = [" ".join(words_of(place)) for place in range(PAIRS)]
    data = TrainingData()
    data.add([Raw(f"bees {text}", [text]) for text in answers], "made up")
    student = start(recipe, folder / "bert")
    student.frozen = TopicalStates()
    dev = DevSet({"q": f"bees {answers[0]}"}, {"a": answers[0], "b": answers[1]}, {"q": {"a": 1}})
    run = RunFolder(folder / name, recipe, {})
    made = Trainer(recipe, student, Drawer(data, student, recipe), DevMeter(dev, student), run)
    made.run()
    return made


def dead(made):
    """Share of latents that no text has among its k."""
    used = np.zeros(LATENTS, bool)
    for query in (False, True):
        used[made.student.vectors(made.drawer.store(query), query, K).terms] = True
    return 1 - used.mean()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_annealing_and_supervised_contrast_leave_fewer_dead_latents_than_plain_csr(tmp_path):
    bert(tmp_path / "bert")
    plain, both = trained("csr", tmp_path), trained("csrv2", tmp_path)
    assert dead(plain) > 0.7
    assert dead(both) < 0.75 * dead(plain)
    assert both.objective.latents.share < plain.objective.latents.share
