"""The page of settings and the code name the same variables."""

import re

import pytest

from lsr.api.settings import PREFIX, Settings
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "SETTINGS.md").read_text()
FOREIGN = ("NUMBA", "XDG", "IR_DATASETS", "CUDA", "HF", "TORCH")  # whose variables our sources may name
SOURCES = [
    ROOT / "Makefile",
    *(path for room in ("lsr", "tests", "benchmarks") for path in (ROOT / room).rglob("*.py")),
]


def named(*prefixes: str) -> set[str]:
    """Variables of the environment that sources name."""
    pattern = re.compile(rf"\b(?:{'|'.join(prefixes)})_[A-Z]\w*\b")
    return {name for path in SOURCES for name in pattern.findall(path.read_text()) if name.isupper()}


def test_variables_of_ours_are_on_the_page_and_there_are_no_others():
    fields = {PREFIX + name.upper() for name in Settings.model_fields}
    assert set(re.findall(r"\bLSR_\w+", PAGE)) == fields | named("LSR")


def test_variables_of_others_that_we_name_are_on_the_page():
    assert named(*FOREIGN) <= set(re.findall(r"`([A-Z_]+)`", PAGE))


@pytest.mark.parametrize("name", Settings.model_fields)
def test_limits_of_the_service_stand_with_default_and_meaning(name):
    field = Settings.model_fields[name]
    assert f"| `{PREFIX}{name.upper()}` | {field.default:,} | {field.description} |" in PAGE
