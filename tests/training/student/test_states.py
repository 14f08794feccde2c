"""States of a frozen body are computed once, survive a kill, and are those that the body gives."""

import msgspec
import numpy as np
import pytest
import torch

from lsr.training.student import frozen_states as states
from lsr.training.student.frozen_states import FrozenStates
from lsr.training.student.student import start
from tests.encoders.models import bert
from tests.training.runs import CODES, recipe, trainer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def asked(student, store):
    """States of a store, and how many texts the body had to read for them."""
    seen = []
    hook = student.document.body.register_forward_hook(lambda body, given, out: seen.append(len(given[0])))
    found = student.frozen.of(store, student.document, student.source.document)
    hook.remove()
    return found, sum(seen)


def test_a_frozen_body_reads_every_text_once_even_over_several_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(states, "PART", 5)
    made = trainer(tmp_path, recipe("csr", CODES))
    store, student = made.drawer.store(False), made.student
    student.frozen = FrozenStates(tmp_path / "cache")
    whole, read = asked(student, store)
    assert read == len(store) == 12
    with torch.no_grad():
        wanted = student.encode(store.batch(range(len(store))), False).states
    assert wanted is not None
    assert torch.allclose(whole, wanted, atol=1e-5)
    assert asked(student, store)[1] == 0
    files = sorted((tmp_path / "cache").glob("*/*.npy"))
    assert [np.load(path).shape for path in files] == [(5, 16), (5, 16), (2, 16)]
    files[1].unlink()
    student.frozen = FrozenStates(tmp_path / "cache")
    again, read = asked(student, store)
    assert read == 5
    assert torch.allclose(again, whole, atol=1e-6)


def test_states_of_another_body_or_pool_are_not_mistaken_for_these(tmp_path):
    made = trainer(tmp_path, recipe("csr", CODES))
    store, source, network = made.drawer.store(False), made.student.source.document, made.student.document
    other = start(recipe("csr", CODES), bert(tmp_path / "other", seed=1))
    keys = {states._key(store, network, source), states._key(store, other.document, other.source.document)}
    keys |= {states._key(made.drawer.store(True), network, source)}
    network.side = msgspec.structs.replace(network.side, pool="cls")
    assert len(keys | {states._key(store, network, source)}) == 4


def test_training_from_a_cache_ends_with_the_weights_of_training_without(tmp_path):
    chosen = recipe("csr", CODES)
    runs = [trainer(tmp_path, chosen, name) for name in ("plain", "cached")]
    runs[1].student.frozen = FrozenStates(tmp_path / "cache")
    for made in runs:
        made.run()
    for (name, a), b in zip(*(made.student.document.parts.items() for made in runs), strict=True):
        assert torch.equal(a, b[1]), name


def test_a_body_that_learns_has_no_frozen_states(tmp_path):
    assert trainer(tmp_path, recipe("csr", CODES), "frozen").student.frozen
    assert trainer(tmp_path, recipe("csr", CODES, freeze=()), "learning").student.frozen is None
