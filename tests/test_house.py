"""The house keeps its own rules."""

import re
import tomllib
from pathlib import Path

import pytest

import lsr
from tests.conftest import ROOT

SOURCES = sorted((ROOT / "lsr").rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_face_is_what_it_says():
    assert all(getattr(lsr, name) is not None for name in lsr.__all__)
    assert sorted(lsr.__all__) == [
        "Allowed",
        "Document",
        "DocumentReader",
        "Encoder",
        "ExactIndex",
        "Fields",
        "Hit",
        "LsrError",
        "Searcher",
        "SeismicIndex",
        "SparseMatrix",
        "WindowedIndex",
        "__version__",
        "index_documents",
        "load_encoder",
    ]
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = lsr.nothing


@pytest.mark.parametrize("name", ["index", "encoders", "api", "eval"])
def test_root_links_lead_to_their_room(name):
    assert (ROOT / name).is_symlink()
    assert (ROOT / name).resolve() == ROOT / "lsr" / name


def test_every_module_starts_with_its_question():
    for path in SOURCES:
        assert path.read_text().startswith('"""'), path


def test_nothing_is_ever_unpickled():
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(r"\bpickle\b|torch\.load|allow_pickle=True|trust_remote_code=True", text), path


def test_every_path_in_the_architecture_exists():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for path in re.findall(r"`((?:lsr|tests|data|docs|benchmarks)/[\w./]*)`", text):
        assert (ROOT / path).exists(), path


def direct_dependencies():
    lines = [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]
    return {re.split(r"[^\w-]", line)[0] for line in lines} - {"lsr-engine"}


def test_every_dependency_has_its_reason():
    text = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
    for name in direct_dependencies():
        assert re.search(rf"^\| {re.escape(name)} \|.*\| \S", text, re.MULTILINE), f"{name} has no reason"


def test_constraints_name_every_direct_dependency():
    lines = (ROOT / "constraints.txt").read_text().lower().replace("_", "-").splitlines()
    assert {name.lower() for name in direct_dependencies()} <= {line.split("==")[0] for line in lines}


def test_functions_stay_short():
    import ast

    for path in SOURCES:
        if path.name in ("build_kernels.py", "fused_kernel.py"):
            continue  # one kernel is one loop nest
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{path.name}:{node.name}"


def test_the_readme_names_only_commands_that_exist():
    from lsr.cli.app import command_names

    text = (ROOT / "README.md").read_text()
    used = set(re.findall(r"^(?:\$ )?lsr (\w+)", text, re.MULTILINE))
    assert used
    assert used <= set(command_names())


def test_data_says_where_it_comes_from():
    assert "sample" in Path(ROOT / "data" / "README.md").read_text()
