"""Kernels are compiled when first called, and kept where that is possible."""

import json
import os
import resource
import shutil
import stat
import subprocess
import sys
import warnings
from importlib import import_module, invalidate_caches
from pathlib import Path

import numpy as np
import pytest
from numba.core import config

from lsr import kernel as kernels
from lsr.kernel import COMPILING, kernel
from lsr.kernel_cache import _user_cache
from lsr.retrieval import Searcher
from tests.conftest import NOBODY, ROOT

ONE_KERNEL = """
import numpy as np
from lsr.index.kernels import sort_heap
scores, rows = np.array([1, 3, 2], np.float32), np.arange(3)
sort_heap(scores, rows, 3)
print("sorted", len(rows))
"""


@pytest.fixture
def heard(monkeypatch):
    """What is told to who listens."""
    messages: list[str] = []
    monkeypatch.setattr(kernels, "_listener", messages.append)
    monkeypatch.setattr(kernels, "_told", set())
    return messages


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The only folder for entries."""
    monkeypatch.setattr("lsr.kernel_cache._folders", lambda source: iter([(tmp_path / "cache", None)]))
    return tmp_path / "cache"


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No folder takes an entry: a file is in the way of each."""
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("lsr.kernel_cache._folders", lambda source: iter([(tmp_path / "file" / "cache", None)]))


def doubled(numbers):
    total = 0
    for number in numbers:
        total += 2 * number
    return total


def test_a_kernel_is_kept_and_found_again(cache, heard):
    numbers = np.arange(4)
    assert kernel(doubled)(numbers) == 12
    assert heard == [COMPILING]
    heard.clear()
    kernels._told.clear()
    assert kernel(doubled)(numbers) == 12
    assert heard == []
    assert kernel(doubled)(numbers.astype(np.float32)) == 12  # other types are another entry
    assert heard == [COMPILING]
    assert {path.suffix for path in cache.rglob("*.*") if path.is_file()} == {".nbi", ".nbc"}


def test_a_folder_that_the_user_names_comes_first(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path / "named"))
    assert kernel(doubled)(np.arange(4)) == 12
    assert list((tmp_path / "named").rglob("*.nbc"))


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "foreign", "folder"])
def test_a_damaged_entry_is_compiled_again(cache, heard, suffix, damage):
    kernel(doubled)(np.arange(4))
    for path in list(cache.rglob(f"*{suffix}")):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 16
        new = {"empty": b"", "cut": content[:-40], "flipped": content, "foreign": os.urandom(5000), "folder": b""}
        path.unlink()
        if damage == "folder":
            path.mkdir()
        else:
            path.write_bytes(new[damage])
    heard.clear()
    kernels._told.clear()
    assert kernel(doubled)(np.arange(4)) == 12
    assert heard[0] == COMPILING


def test_a_kernel_whose_callee_changed_is_compiled_again(cache, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    imports = "from lsr.kernel import kernel\nfrom callee_of_test import add, MORE\n"
    (tmp_path / "caller_of_test.py").write_text(imports + "@kernel\ndef twice(x):\n    return add(add(x)) + MORE\n")
    for amount, more in ((1, 0), (10, 0), (10, 500)):
        callee = f"from lsr.kernel import kernel\nMORE = {more}\n\n@kernel\ndef add(x):\n    return x + {amount}\n"
        (tmp_path / "callee_of_test.py").write_text(callee)
        invalidate_caches()
        shutil.rmtree(tmp_path / "__pycache__", ignore_errors=True)
        kernels._digest.cache_clear()
        for name in ("caller_of_test", "callee_of_test"):
            sys.modules.pop(name, None)
        assert import_module("caller_of_test").twice(1) == 1 + 2 * amount + more


def test_that_nothing_can_be_kept_is_said_once(nowhere, heard):
    assert kernel(doubled)(np.arange(4)) == 12
    assert kernel(doubled)(np.arange(4)) == 12
    assert [message.split(" (")[0] for message in heard] == [
        COMPILING.split(" (")[0],
        "compiled kernels cannot be kept",
    ]
    assert "Not a directory" in heard[1]
    assert "set NUMBA_CACHE_DIR" in heard[1]


def test_without_a_listener_it_is_a_warning(nowhere, monkeypatch):
    monkeypatch.setattr(kernels, "_told", set())
    monkeypatch.setattr(kernels, "_listener", None)
    with pytest.warns(RuntimeWarning, match="compiled kernels cannot be kept"):
        assert kernel(doubled)(np.arange(4)) == 12
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert kernel(doubled)(np.arange(4)) == 12


def run(command: str, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "LD_LIBRARY_PATH")}
    process = [*prefix, sys.executable, "-B", "-c", command]
    return subprocess.run(process, env={**kept, **environment}, cwd="/", capture_output=True, text=True)


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A copy of the package as another user's installation, with nothing compiled."""
    folder = Path(tmp_path_factory.mktemp("site-packages"))
    ignored = shutil.ignore_patterns("__pycache__", "default", "systems", "recipes")
    shutil.copytree(ROOT / "lsr", folder / "lsr", ignore=ignored)
    for path in [folder, *folder.parents]:
        if path == Path(path.anchor) or path.stat().st_uid != os.geteuid():
            break
        path.chmod(path.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    return folder


def test_another_user_without_a_home_keeps_kernels_in_a_temporary_folder(as_nobody, installed, tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    found = run(ONE_KERNEL, as_nobody, PYTHONPATH=str(installed), TMPDIR=str(temporary))
    assert (found.stdout, found.stderr, found.returncode) == ("sorted 3\n", "", 0)
    own = temporary / f"lsr-{NOBODY}"
    assert (own.stat().st_uid, stat.S_IMODE(own.stat().st_mode)) == (NOBODY, 0o700)
    assert list(own.rglob("*.nbc"))
    assert not list(installed.rglob("*.nb?"))
    hooked = "from lsr import kernel\nkernel.listen(print)\n" + ONE_KERNEL
    again = run(hooked, as_nobody, PYTHONPATH=str(installed), TMPDIR=str(temporary))
    assert again.stdout == "sorted 3\n"  # nothing was compiled
    own.chmod(0o777)  # others may have written there: it is not trusted
    doubted = run(hooked, as_nobody, PYTHONPATH=str(installed), TMPDIR=str(temporary))
    assert doubted.stdout.splitlines()[0] == COMPILING
    assert "compiled kernels cannot be kept" in doubted.stdout
    assert doubted.stdout.endswith("sorted 3\n")


def test_a_users_own_cache_is_used_before_a_temporary_one(as_nobody, installed, tmp_path):
    os.chown(tmp_path, NOBODY, NOBODY)
    found = run(ONE_KERNEL, as_nobody, PYTHONPATH=str(installed), TMPDIR=str(tmp_path), HOME=str(tmp_path))
    assert (found.stdout, found.stderr) == ("sorted 3\n", "")
    assert list((tmp_path / ".cache" / "lsr").rglob("*.nbc"))


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"HOME": "own"}, "own/.cache/lsr"),
        ({"HOME": "own", "XDG_CACHE_HOME": "x"}, "x/lsr"),
        ({"HOME": "own", "XDG_CACHE_HOME": ""}, "own/.cache/lsr"),
        ({"HOME": "missing"}, None),
        ({"HOME": "other"}, None),
    ],
)
def test_where_the_cache_of_a_user_is(tmp_path, monkeypatch, environment, found):
    for name in ("own", "other"):
        (tmp_path / name).mkdir()
    if environment["HOME"] == "other":
        if os.geteuid() != 0:
            pytest.skip("only root may give a folder away")
        os.chown(tmp_path / "other", NOBODY, NOBODY)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, str(tmp_path / value) if value else "")
    assert _user_cache() == (None if found is None else tmp_path / found)
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert _user_cache() is None


def test_what_an_administrator_compiled_serves_others(as_nobody, installed, tmp_path):
    copy = tmp_path / "site-packages"
    shutil.copytree(installed, copy)
    assert run(ONE_KERNEL, PYTHONPATH=str(copy)).stdout == "sorted 3\n"
    assert list(copy.rglob("__pycache__/*.nbc"))
    hooked = "from lsr import kernel\nkernel.listen(print)\n" + ONE_KERNEL
    assert run(hooked, as_nobody, PYTHONPATH=str(copy), TMPDIR="/nonexistent").stdout == "sorted 3\n"


def test_a_full_disk_fails_nothing(installed):
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1000, {resource.RLIM_INFINITY}))\n"
    found = run(full + ONE_KERNEL, PYTHONPATH=str(installed), XDG_CACHE_HOME="/nonexistent/cache")
    assert (found.stdout, found.returncode) == ("sorted 3\n", 0)
    assert "RuntimeWarning: compiled kernels cannot be kept ([Errno 27] File too large" in found.stderr
    assert not list(installed.rglob("*.nb?*"))


COMPILER = "numba", "llvmlite", "scipy", "torch", "transformers"
UNUSED = *COMPILER, "onnxruntime", "importlib.metadata", "lsr.eval", "lsr.formats", "lsr.training"


@pytest.mark.parametrize(
    ("needed", "without"),
    [
        ("lsr.cli.searching.search", UNUSED),
        ("lsr; lsr.Searcher, lsr.Document, lsr.load_encoder, lsr.WindowedIndex", UNUSED),
        ("lsr.cli.searching.index, lsr.cli.encoding.convert, lsr.api", COMPILER),
        ("lsr.index, lsr.encoders, lsr.corpus, lsr.formats", COMPILER),
    ],
)
def test_a_process_imports_what_it_needs(needed, without):
    found = run(
        f"import sys, {needed}\nprint([name for name in {without} if name in sys.modules])", PYTHONPATH=str(ROOT)
    )
    assert (found.stdout, found.stderr) == ("[]\n", "")


MAIN = "import sys\nfrom lsr.cli import main\nsys.argv[1:] = {}\nmain()\n"


def test_a_command_that_compiles_says_so_once(installed, tmp_path):
    """And the next one has nothing to say."""
    corpus = tmp_path / "c.jsonl"
    corpus.write_text('{"_id": "a", "text": "bees dance"}\n{"_id": "b", "text": "a castle"}\n')
    index = MAIN.format(["index", str(corpus), "--encoder", "bm25", "--out", str(tmp_path / "index")])
    for times in (1, 0):
        found = run(index, PYTHONPATH=str(installed), NUMBA_CACHE_DIR=str(tmp_path / "cache"))
        assert found.returncode == 0
        assert found.stderr.count(COMPILING) == times


SEARCH = """
import sys
from lsr.cli import main
sys.argv[1:] = ["search", {folder!r}, "how do bees dance", "--json"]
try:
    main()
finally:
    assert "numba" not in sys.modules
"""


def test_a_first_search_waits_for_no_compiler(sample_index):
    found = run(SEARCH.format(folder=str(sample_index)), PYTHONPATH=str(ROOT))
    assert (found.returncode, found.stderr) == (0, "")
    hits = [(hit["id"], hit["score"]) for hit in json.loads(found.stdout)["hits"]]
    served = Searcher.open(sample_index).search("how do bees dance", exact=True)
    assert hits == [(hit.id, hit.score) for hit in served]
