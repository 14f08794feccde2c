"""Curves are drawn only for the test that asks for them: that takes ten times as long as the steps of a small run."""

import pytest

from lsr.training.loop import run_folder


@pytest.fixture
def curves():
    """Let the run draw its curves."""


@pytest.fixture(autouse=True)
def no_curves(request, monkeypatch):
    if "curves" not in request.fixturenames:
        monkeypatch.setattr(run_folder, "draw", lambda lines, path: None)
