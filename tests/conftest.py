"""What all tests share: the sample, an index of it, and data that may be missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # workers that each take all cores wait for each other

import numpy as np
import pytest

from lsr.corpus import DocumentReader
from lsr.encoders import load
from lsr.errors import InputError
from lsr.index import Generation, Store
from lsr.retrieval import Collection, Searcher, index_documents
from lsr.sparse import SparseMatrix, indptr_of, term_dtype

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "data" / "sample"
NOBODY = 65534  # another user
COLLECTIONS = ROOT.parent / "shared" / "data" / "eval"


@pytest.fixture(scope="session")
def sample_index(tmp_path_factory) -> Path:
    """Folder of a BM25 index of the sample."""
    folder = Path(tmp_path_factory.mktemp("index"), "sample")
    index_documents(DocumentReader([SAMPLE]), load("bm25"), folder)
    return folder


@pytest.fixture(scope="session")
def searcher(sample_index) -> Searcher:
    return Searcher.open(sample_index)


@pytest.fixture(scope="session")
def collection(sample_index) -> Iterator[Collection]:
    """Open for reading; tests do not change it."""
    with Collection.open(sample_index) as found:
        yield found


@pytest.fixture(scope="session")
def splade_tiny() -> Path:
    """Folder of real SPLADE weights; `make tests` fetches them."""
    folder = Path(os.environ.get("LSR_TEST_MODELS", ROOT / ".cache" / "models")) / "splade-tiny"
    if not (folder / "model.safetensors").is_file():
        pytest.skip(f"no splade-tiny weights in {folder}: run make tests")
    return folder


@pytest.fixture
def shared_collection():
    """Function from a name to the path of a judged collection; skips where it is not beside the clone."""

    def path(name: str) -> Path:
        found = COLLECTIONS / f"{name}.zip"
        if not found.is_file():
            pytest.skip(f"{found} is not here")
        return found

    return path


def generation_of(folder: Path) -> Generation:
    """The newest generation of a collection."""
    with Store(folder) as store:
        return store.current


def segments_of(folder: Path) -> list[str]:
    """Names of the folders of segments that lie in that of a collection."""
    return sorted(path.name for path in (folder / "segments").iterdir())


def outcome(call, *arguments):
    """What a call gives, or the message of its InputError; any other error is a fault."""
    try:
        return call(*arguments)
    except InputError as fault:
        return str(fault)


@pytest.fixture
def as_nobody() -> tuple[str, ...]:
    """The start of a command that another user runs; that one may read everything, as this interpreter needs."""
    can_read = "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"
    prefix = "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *can_read, "--"
    if os.geteuid() != 0:
        pytest.skip("only root may run as another user")
    if not shutil.which("setpriv") or subprocess.run([*prefix, sys.executable, "-c", ""]).returncode:
        pytest.skip("setpriv cannot run this interpreter as another user")
    return prefix


def random_matrix(
    seed: int, rows: int, dim: int, most: int, dtype=np.float32, whole: bool = False, signed: bool = False
) -> SparseMatrix:
    """Random rows of 0 to ``most`` terms; ``whole`` weights make every sum exact, ``signed`` ones may be negative."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(0, min(most, dim) + 1, rows)
    if rows > 1000 and dim <= 100:  # all rows at once: a row is the first terms of a shuffled vocabulary
        shuffled = rng.random((rows, dim), np.float32).argsort(1)
        shuffled[np.arange(dim) >= sizes[:, None]] = dim
        flat = np.sort(shuffled, 1)
        flat = flat[flat < dim].astype(term_dtype(dim))
    else:
        terms = [np.sort(rng.choice(dim, size, replace=False)) for size in sizes]
        flat = np.concatenate([np.zeros(0, np.int64), *terms]).astype(term_dtype(dim))
    if whole or dtype == np.uint8:
        weights = rng.integers(1, 6, flat.size).astype(dtype)
    else:
        weights = (rng.random(flat.size) * 3 + 0.01).astype(dtype)
    if signed:
        weights *= rng.choice(np.array([-1, 1], np.float32), flat.size)
    return SparseMatrix(indptr_of(sizes), flat, weights, dim)
