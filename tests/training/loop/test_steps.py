"""A step gathers, scores and encodes in bulk, and gives what one text at a time would."""

import numpy as np
import pytest
import torch

from lsr.encoders.parts.heads.table import table_of
from lsr.encoders.parts.products import torch_products
from lsr.encoders.side import Side
from lsr.encoders.tokens.batch import Batch
from lsr.encoders.tokens.word_pieces import View, collate, read_tokenizer
from lsr.errors import TrainingError
from lsr.sparse import SparseMatrix
from lsr.training.data.sources import read_data
from lsr.training.data.token_store import TokenStore
from lsr.training.distributed import Processes
from lsr.training.loop import gradients as engine
from lsr.training.recipe import Penalty
from lsr.training.teachers.scores import DenseVectors, Ensemble, ScoredLists, SparseVectors, Teacher
from tests.encoders.models import write_tokenizer
from tests.training import oracles
from tests.training.data.test_data import jsonl
from tests.training.runs import PENALTY, pairs, recipe, trainer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
RNG = np.random.default_rng(0)
TEXTS = ["bees dance", "", "the castle had walls and a moat", "unknown bees", "spring"]


@pytest.mark.parametrize("view", ["plain", "bare", "echo"])
def test_a_batch_of_tokens_is_that_of_the_encoder(tmp_path, view):
    write_tokenizer(tmp_path)
    side = Side("table", view=view, prompt="of ", max_length=9)
    store = TokenStore(TEXTS, tmp_path / "tokenizer.json", side)
    tokens = View(read_tokenizer(tmp_path / "tokenizer.json"), side)(TEXTS)
    for rows in ([0, 1, 2, 3, 4], [1], [4, 0, 4]):
        wanted = Batch.of(collate([tokens[row] for row in rows]))
        for a, b in zip(store.batch(rows), wanted, strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)


def sparse(rows, dim=40, low=0):
    dense = RNG.random((rows, dim)) * (RNG.random((rows, dim)) > 0.8)
    dense[0] = low
    return SparseMatrix.from_dicts([{t: float(w) for t, w in enumerate(row) if w} for row in dense], dim)


def test_sparse_teachers_score_as_a_loop_does():
    queries, documents = sparse(7), sparse(9)
    rows, others = np.array([3, 0, 6, 3]), np.array([8, 0, 1, 1, 5])
    found = SparseVectors(queries, documents).scores(rows, others)
    assert np.allclose(found, oracles.products(queries, rows, documents, others), atol=1e-5)
    nothing = SparseVectors(sparse(1), sparse(1)).scores(np.array([0]), np.array([0, 0]))
    assert nothing.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("kind", ["minmax", "z", "affine", "none"])
def test_an_ensemble_is_the_formula_where_some_have_no_opinion(tmp_path, kind):
    lists = [{"query": f"q{i}", "docs": ["a", f"b{i}", "c"], "scores": RNG.random(3).tolist()} for i in range(4)]
    data = read_data(
        [jsonl(tmp_path, *lists, {"query": "q0", "docs": ["a"], "scores": [7]}, {"query": "r", "pos": "a"})]
    )
    queries, documents = np.array([4, 0, 2, 0]), np.array([0, 1, 2, 2, 3])
    vectors = [RNG.normal(size=(6, 5)).astype(np.float32) for _ in range(2)]
    one: Teacher = ScoredLists(data)
    two: Teacher = DenseVectors(vectors[0], vectors[1])
    given = [oracles.listed(data, queries, documents), vectors[0][queries] @ vectors[1][documents].T]
    assert np.allclose(one.scores(queries, documents), given[0], equal_nan=True)
    assert given[0][1, 0] == 7
    for teachers, order in (([one, two], given), ([two, one], given[::-1]), ([one], given[:1])):
        weights = [0.3, 0.7][: len(order)]
        found = 30 * Ensemble(teachers, weights, kind).scores(queries, documents)
        assert np.allclose(found, oracles.ensemble(order, weights, kind, 30.0), rtol=1e-5, atol=3e-5, equal_nan=True)


def test_gradients_of_maxima_by_products_are_those_by_pairs(monkeypatch):
    monkeypatch.setattr(torch_products, "PLACES", 1)
    hidden, weight = torch.randn(3, 6, 8), torch.randn(300, 8)
    positions, gradient = torch.randint(6, (3, 300), dtype=torch.int32), torch.randn(3, 300)
    for a, b in zip(
        torch_products.back_by_slices(gradient, hidden, weight, positions),
        torch_products.back_by_pairs(gradient, hidden, weight, positions, gradient.nonzero(as_tuple=True)),
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-5)


def gradients(made, step=4):
    made.student.eval()
    values = made.engine.gradients(made.drawer.draw(1), step)
    return values["loss"], [p.grad for p in made.named.values() if p.grad is not None]


@pytest.mark.parametrize(("chunk", "batch"), [(0, 4), (0, 9), (3, 9)])
def test_groups_of_like_length_give_the_gradients_of_one_group(tmp_path, monkeypatch, chunk, batch):
    chosen = recipe(dropout=False, batch=batch)
    wanted = gradients(trainer(tmp_path, chosen, "plain"))
    monkeypatch.setattr(engine, "GROUP", 2)
    grouped = trainer(tmp_path, recipe(dropout=False, batch=batch, chunk=chunk), "grouped")
    assert len(grouped.engine._share(False, grouped.drawer.draw(1).documents).groups) > 1
    grouped.drawer.order.go_to(type(grouped._position)(0, (0,)))
    found = gradients(grouped)
    assert torch.allclose(wanted[0], found[0])
    for a, b in zip(wanted[1], found[1], strict=True):
        assert torch.allclose(a, b, atol=1e-5)


def test_every_text_of_a_batch_is_encoded_once_by_one_rank():
    rows, lengths = np.array([5, 3, 5, 9, 1, 0, 9]), RNG.integers(1, 50, 10)
    shares = [engine.share(rows, lengths, Processes(rank, 3)) for rank in range(3)]
    encoded = np.concatenate([np.concatenate(share.groups) for share in shares])
    assert encoded.size == 6  # 5 different texts and one to fill up
    for share in shares:
        assert encoded[share.places].tolist() == rows.tolist()


def test_batches_drawn_ahead_are_those_drawn_one_by_one(tmp_path):
    one, other = trainer(tmp_path, name="a"), trainer(tmp_path, name="b")
    for step in range(1, 6):
        a, b = one.drawer.ahead(step), other.drawer.draw(step)
        assert a.position == b.position
        assert all(np.array_equal(x, y) for x, y in zip(a[:5], b[:5], strict=True))


def test_a_list_keeps_its_positive_and_as_many_others_as_wanted(tmp_path):
    made = trainer(tmp_path, recipe(negatives=1, batch=8))
    lists = {e.documents[0]: e.documents for e in pairs(tmp_path).examples[0]}
    drawn = made.drawer.draw(1)
    assert np.bincount(drawn.owner).tolist() == [2] * 8
    for at, query in zip(drawn.first, drawn.queries, strict=True):
        assert drawn.documents[at + 1] in lists[drawn.documents[at]][1:]
        assert at * 1 in drawn.answers - drawn.owner[at] * drawn.documents.size
        assert query >= 0


def test_an_infinite_score_of_a_teacher_stops_the_run(tmp_path):
    class Infinite:
        def scores(self, queries, documents):
            return torch.full((len(queries), len(documents)), torch.inf)

    taught = recipe(more='[teaching]\nteachers = ["bm25"]\n' + PENALTY, losses={"kl": 1.0})
    with pytest.raises(TrainingError, match="infinite score at step 1"):
        trainer(tmp_path, taught, teacher=Ensemble([Infinite()])).run()


def test_a_weight_that_is_no_number_is_never_written(tmp_path):
    made = trainer(tmp_path, recipe(clip=0.0, checkpoint_every=1))
    made.run(until=1)
    handle = next(iter(made.named.values())).register_hook(lambda gradient: gradient * torch.inf)
    with pytest.raises(TrainingError, match=r"a weight is not finite after step 2.*step-00000001 is kept"):
        made.run()
    handle.remove()
    assert len(list(made.folder.checkpoints.glob("step-*"))) == 1


def test_a_scored_penalty_is_that_of_what_documents_bring_to_scores(tmp_path):
    made = trainer(tmp_path, recipe("opensearch-doc-v2", ""))
    with torch.no_grad():
        made.student.query.parts["table"].copy_(torch.linspace(0, 3, made.student.query.terms))
    reps = torch.rand(6, made.student.document.terms)
    plain, scored = Penalty(2.0), Penalty(2.0, scored=True)
    table = table_of(made.student.query).detach()
    found = [float(made.objective._penalty(one, reps, 1, 1)) for one in (plain, scored)]
    wanted = [2 * (means**2).sum() for means in (reps.numpy().mean(0), (reps * table).detach().numpy().mean(0))]
    assert found == pytest.approx(wanted, rel=1e-5)
