"""What stems add to a teacher's score: against numpy's own solver and loops, and a student that learns it."""

import msgspec
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from lsr.encoders.lexical.stems import K1, B  # noqa: E402
from lsr.errors import TrainingError  # noqa: E402
from lsr.sparse import SparseMatrix  # noqa: E402
from lsr.training.data.sources import read_data  # noqa: E402
from lsr.training.loop.session import teacher_of  # noqa: E402
from lsr.training.recipe import TargetChoice  # noqa: E402
from lsr.training.teachers import stem_regression  # noqa: E402
from lsr.training.teachers.scores import StemWeights  # noqa: E402
from lsr.training.teachers.stem_regression import stem_weights, word_table  # noqa: E402
from lsr.training.teachers.stem_targets import word_norms  # noqa: E402
from tests.training.runs import copying  # noqa: E402

CPU = torch.device("cpu")
STEMS, WIDTH, QUERIES, DOCUMENTS = 12, 5, 40, 9

TEACHING = """
teachers = ["bm25", "%s"]
targets = [{ teacher = 1, factor = 0.3, normed = true }, { teacher = 0, factor = 0.5, above = 0.1, present = 0.5 }]
"""


def random_matrix(rng, rows, columns, share=0.4):
    dense = np.where(rng.random((rows, columns)) < share, rng.random((rows, columns)), 0).astype(np.float32)
    dense[0] = 0  # an empty row
    return SparseMatrix.from_dicts([{int(c): float(row[c]) for c in np.flatnonzero(row)} for row in dense], columns)


def array_of(vectors):
    return vectors.to_scipy().toarray() if isinstance(vectors, SparseMatrix) else vectors


def unit(dense):
    lengths = np.linalg.norm(dense, axis=1, keepdims=True)
    return dense / np.where(lengths > 0, lengths, 1)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("rows", [STEMS, 7])
def test_a_table_solves_the_ridge_regression_of_queries_on_their_stems(sparse, rows):
    rng = np.random.default_rng(rows)
    asked = random_matrix(rng, QUERIES, STEMS)
    wanted = random_matrix(rng, QUERIES, WIDTH) if sparse else rng.normal(size=(QUERIES, WIDTH)).astype(np.float32)
    left = unit(asked.to_scipy().toarray())
    right = unit(array_of(wanted))
    table = np.linalg.solve(left.T @ left + stem_regression.RIDGE * np.eye(STEMS), left.T @ right)[:rows]
    table /= np.linalg.norm(table, axis=1).mean()
    assert word_table(asked, wanted, rows, CPU).numpy() == pytest.approx(table, abs=1e-5)


def test_only_the_first_stems_are_fitted(monkeypatch):
    monkeypatch.setattr(stem_regression, "FITTED", 4)
    asked = random_matrix(np.random.default_rng(3), QUERIES, STEMS)
    few = SparseMatrix.from_scipy(asked.to_scipy()[:, :4])
    wanted = np.random.default_rng(4).normal(size=(QUERIES, WIDTH)).astype(np.float32)
    found = word_table(asked, wanted, 3, CPU)
    assert found.numpy() == pytest.approx(word_table(few, wanted, 3, CPU).numpy(), abs=1e-6)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("kept", [3, 100])
def test_a_document_holds_what_its_largest_stems_add(sparse, kept, monkeypatch):
    monkeypatch.setattr(stem_regression, "AT_ONCE", 4)
    rng = np.random.default_rng(kept)
    table = torch.from_numpy(rng.normal(size=(STEMS, WIDTH)).astype(np.float32))
    documents = random_matrix(rng, DOCUMENTS, WIDTH) if sparse else rng.normal(size=(DOCUMENTS, WIDTH)).astype("f4")
    found = stem_weights(documents, table, 0.2, kept).to_scipy().toarray()
    dense = array_of(documents) if sparse else unit(documents)
    for row, own in zip(found, dense, strict=True):
        scores = {stem: float(own @ table[stem].numpy()) - 0.2 for stem in range(STEMS)}
        best = sorted((s for s in scores if scores[s] > 0), key=lambda stem: -scores[stem])[:kept]
        assert set(np.flatnonzero(row)) == set(best)
        assert [row[stem] for stem in best] == pytest.approx([scores[stem] for stem in best], abs=1e-5)


def test_queries_of_one_word_are_fitted_exactly(monkeypatch):
    monkeypatch.setattr(stem_regression, "RIDGE", 1e-6)
    rng = np.random.default_rng(5)
    words, documents = (rng.normal(size=(rows, WIDTH)).astype(np.float32) for rows in (STEMS, DOCUMENTS))
    asked = SparseMatrix.from_dicts([{stem: 3.0} for stem in range(STEMS)], STEMS)
    weights = stem_weights(documents, word_table(asked, words, STEMS, CPU), -2.0, STEMS).to_scipy().toarray() - 2.0
    assert weights == pytest.approx(unit(documents) @ unit(words).T, abs=1e-4)


def test_stems_in_the_text_are_left_alone_or_get_their_own_weights():
    absent = torch.tensor([[True, False]])
    weights, asked = StemWeights(torch.tensor([[1.0, 2.0]])).of(absent)
    assert weights[0, 0] == 1
    assert asked.tolist() == [[True, False]]
    weights, asked = StemWeights(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])).of(absent)
    assert (weights.tolist(), asked.tolist()) == ([[1.0, 4.0]], [[True, True]])


@pytest.fixture(scope="module", params=["stems", "pooled-stems"])
def made(request, tmp_path_factory):
    """A trainer of a student of stems that learns from BM25 and a BERT."""
    return copying(tmp_path_factory.mktemp("copying"), TEACHING, request.param)


def test_stored_tokens_say_which_terms_stand_in_a_text(made):
    store = made.drawer.store(False)
    terms = made.student.document.terms
    counts = store.counts(terms).to_scipy().toarray()
    for row in range(len(store)):
        batch = store.batch([row])
        own = batch.terms[0][batch.literal[0]].numpy()
        assert np.array_equal(counts[row], np.bincount(own, minlength=terms))
        assert store.own_lengths[row] == own.size
    lengths = store.own_lengths
    at_mean = (K1 + 1) / (1 + K1 * (1 - B + B * lengths / lengths.mean()))
    assert word_norms(store) == pytest.approx(at_mean, rel=1e-6)


def test_a_student_asks_stems_by_their_idf(made):
    asked = made.drawer.query_vectors().to_scipy().toarray()
    counts = made.drawer.store(True).counts(asked.shape[1]).to_scipy().toarray()
    idf = -np.log(made.student.query.parts["prior"].detach().numpy())
    assert asked == pytest.approx(counts * idf, rel=1e-5)


def test_targets_need_an_encoder_among_the_teachers(made):
    teaching = msgspec.structs.replace(made.recipe.teaching, targets=(TargetChoice(teacher=2),))
    recipe = msgspec.structs.replace(made.recipe, teaching=teaching)
    data = read_data([made.folder.path.parent / "pairs.jsonl"])
    with pytest.raises(TrainingError, match="targets name teacher 2"):
        teacher_of(recipe, data, CPU, None, made.drawer)


def test_a_student_learns_what_two_teachers_say_of_its_stems(made):
    seen = []
    made.run(lambda step, values: seen.append(values["sparse_mse"]) if "sparse_mse" in values else None)
    assert np.mean(seen[-5:]) < 0.8 * np.mean(seen[:5])
