"""The house keeps its own rules."""

import ast
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
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
        "Collection",
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


PACKAGES = sorted(path.parent for path in SOURCES if path.name == "__init__.py")


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_is_small_and_asks_one_question(package):
    assert len(list(package.glob("*.py"))) <= 14
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    question = re.match(r"[^?]*\?", text)
    assert package == ROOT / "lsr" or question
    if len(package.relative_to(ROOT).parts) == 3:
        row = f"| `{package.relative_to(ROOT)}/` | {' '.join(question[0].split()) if question else ''} |"
        assert row in (ROOT / "docs" / "ARCHITECTURE.md").read_text()


def imported(path, known):
    """Modules of ours that a file imports anywhere in it, for types too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from ({f"{node.module}.{one.name}", node.module} & known for one in node.names)
        elif isinstance(node, ast.Import):
            yield from ({one.name} & known for one in node.names)


def test_no_module_imports_itself_by_a_detour():
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in SOURCES}
    modules = set(names) - {".".join(package.relative_to(ROOT).parts) for package in PACKAGES}
    graph = {name: set().union(*imported(names[name], modules)) for name in modules}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def test_the_service_loads_neither_evaluation_nor_training():
    code = (
        "import sys, lsr.api; print([m for m in sys.modules if m.startswith(('lsr.eval', 'lsr.training', 'lsr.meas'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


OURS = re.compile(r"(Input|Encoder|MissingExtra|Storage|Training|Mismatch|Vector)Error")
BASES = {"MissingExtraError": "EncoderError", "VectorError": "InputError"}


def raised_in(function):
    """Names of our errors that a function raises itself."""
    left = [*function.body]
    while left:
        node = left.pop()
        if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
            continue
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name):
            yield from filter(OURS.fullmatch, [node.exc.func.id])
        left += ast.iter_child_nodes(node)


def public_functions(node, around=""):
    """(function, docstrings of it and of its class) of everything public in a module."""
    for one in node.body:
        special = one.name.startswith("__") if hasattr(one, "name") else False
        if isinstance(one, ast.ClassDef) and not one.name.startswith("_"):
            yield from public_functions(one, ast.get_docstring(one) or "")
        elif isinstance(one, ast.FunctionDef) and (special or not one.name.startswith("_")):
            yield one, around + (ast.get_docstring(one) or "")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_a_public_function_raises_stands_in_its_docstring(path):
    for function, text in public_functions(ast.parse(path.read_text())):
        for name in raised_in(function):
            assert name in text or BASES.get(name, name) in text, f"{path.name}, line {function.lineno}: {name}"


ARRAYS = re.compile(r"NDArray|Tensor")
SHAPES = re.compile(r"\w+\[[^\]]*\]|\[[^\]]*\]|scalar")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_functions_of_arrays_say_shapes(path):
    for function, text in public_functions(ast.parse(path.read_text())):
        annotated = [*function.args.args, *function.args.kwonlyargs, function]
        types = [getattr(one, "annotation", None) or getattr(one, "returns", None) for one in annotated]
        if not function.name.startswith("__") and any(ARRAYS.search(ast.unparse(one)) for one in types if one):
            assert SHAPES.search(text), f"{path.name}, line {function.lineno}: {function.name}"


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
    for path in SOURCES:
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


@pytest.mark.parametrize("path", sorted((ROOT / "lsr/cli").glob("*/*.py")), ids=lambda path: path.stem)
def test_a_command_is_declared_and_done_in_one_file(path):
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    assert "run" not in functions
    assert not path.stem.endswith("_app")


def prose(path):
    """Lines of a page outside fenced blocks, with their numbers."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced:
            yield number, line


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs").glob("*.md")))
def test_lines_of_pages_are_short(name):
    assert not [number for number, line in prose(ROOT / "docs" / name) if len(line) > 120]


def test_every_finding_of_the_log_has_a_date_a_question_and_a_result():
    text = (ROOT / "docs" / "LOG.md").read_text()
    index, _, findings = text.partition("\n### ")
    for finding in findings.split("\n### "):
        title, _, rest = finding.partition("\n")
        assert re.match(r"\n?\d{4}-\d\d-\d\d · [a-z ]+\n", rest), title
        assert "**Question.**" in rest, title
        assert "**Result.**" in rest, title
        assert f"- [{title}](#" in index, title
