"""Vectors of word-pieces as stems: against a dictionary, and a student of stems that learns a teacher's expansions."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsr.encoders.stems import Stems
from lsr.encoders.view import read_tokenizer
from lsr.sparse import SparseMatrix, indptr_of

torch = pytest.importorskip("torch")

from lsr.errors import TrainingError  # noqa: E402
from lsr.training.data import read_data  # noqa: E402
from lsr.training.session import teacher_of  # noqa: E402
from lsr.training.translation import stems_of_pieces, translated  # noqa: E402
from tests.encoders import models  # noqa: E402
from tests.training.runs import copying  # noqa: E402

TEACHING = """
teachers = ["%s", "bm25"]
copied = 0.5
"""


@given(st.data())
def test_translation_keeps_the_largest_weight_of_a_new_term(data):
    old, new = 12, 5
    terms = np.array(data.draw(st.lists(st.integers(-1, new - 1), min_size=old, max_size=old)))
    rows = data.draw(st.lists(st.dictionaries(st.integers(0, old - 1), st.floats(0.125, 8, width=32)), max_size=5))
    flat = [pair for row in rows for pair in sorted(row.items())]
    columns, weights = np.array([t for t, _ in flat], np.uint16), np.array([w for _, w in flat], np.float32)
    matrix = SparseMatrix(indptr_of([len(row) for row in rows]), columns, weights, old)
    found = translated(matrix, terms, new, 0.5).to_scipy().toarray()
    wanted = np.zeros((len(rows), new), np.float32)
    for i, row in enumerate(rows):
        for term, weight in row.items():
            if terms[term] >= 0:
                wanted[i, terms[term]] = max(wanted[i, terms[term]], weight * 0.5)
    assert np.array_equal(found, wanted)


def test_only_whole_words_have_a_stem(tmp_path):
    folder = models.bert(tmp_path / "model")
    names = read_tokenizer(folder / "tokenizer.json").get_vocab()
    stems = Stems(["wall", "bee"], 7)
    found = stems_of_pieces(folder / "tokenizer.json", stems)
    assert found[names["walls"]] == 0
    assert found[names["[CLS]"]] == -1
    assert all(found[at] == -1 for name, at in names.items() if name.startswith("##") or len(name) == 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A trainer of a student of stems that copies a BERT."""
    return copying(tmp_path_factory.mktemp("copying"), TEACHING)


def test_stems_copy_word_pieces_alone(made):
    teaching = msgspec.structs.replace(made.recipe.teaching, teachers=("bm25",))
    recipe = msgspec.structs.replace(made.recipe, teaching=teaching, losses={"kl": 1.0})
    data = read_data([made.folder.path.parent / "pairs.jsonl"])
    with pytest.raises(TrainingError, match="stems copy an encoder of word-pieces"):
        teacher_of(recipe, data, torch.device("cpu"), None, made.drawer)


def test_a_student_of_stems_learns_expansions_that_it_did_not_fire(made):
    seen = []
    made.run(lambda step, values: seen.append(values["sparse_mse"]) if "sparse_mse" in values else None)
    assert np.mean(seen[-5:]) < 0.7 * np.mean(seen[:5])
