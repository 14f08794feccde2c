"""Losses, penalties and schedules against slow loops in numpy, and the properties that they promise."""

import math

import numpy as np
import pytest
import torch

from lsr.encoders.parts.heads.table import table_weights
from lsr.encoders.parts.registry import SPARSIFIERS
from lsr.errors import InputError
from lsr.training.objective import autoencoder, losses
from lsr.training.objective.regularisers import (
    Regulariser,
    SparsityController,
    anti_zero,
    frequency_weights,
    masked_rows,
)
from lsr.training.schedules import Schedule, value_at

RNG = np.random.default_rng(0)


def sparse_rows(rows=6, terms=9):
    values = RNG.random((rows, terms)).astype(np.float32)
    return torch.from_numpy(values * (RNG.random((rows, terms)) > 0.5))


def matrix(queries=4, documents=7):
    scores = torch.from_numpy(RNG.normal(size=(queries, documents)).astype(np.float32))
    teacher = torch.from_numpy(RNG.normal(size=(queries, documents)).astype(np.float32))
    positive = torch.from_numpy(RNG.random((queries, documents)) > 0.7)
    candidates = torch.from_numpy(RNG.random((queries, documents)) > 0.3)
    positive[:, 0], candidates[:, :2] = True, True
    positive[:, 1] = False
    return scores, teacher, positive, candidates


def slow_flops(reps, weights):
    total = 0.0
    for t in range(reps.shape[1]):
        total += (weights[t] * sum(abs(r) for r in reps[:, t]) / len(reps)) ** 2
    return total


def test_flops_and_l1_equal_loops():
    reps, weights = sparse_rows(), torch.rand(9)
    assert float(Regulariser()(reps)) == pytest.approx(slow_flops(reps.numpy(), np.ones(9)))
    weighted = Regulariser("flops", weights)(reps)
    assert float(weighted) == pytest.approx(slow_flops(reps.numpy(), weights.numpy()))
    slow = sum(weights[t] * abs(reps[i, t]) for i in range(6) for t in range(9)) / 6
    assert float(Regulariser("l1", weights)(reps)) == pytest.approx(float(slow))


def test_groups_are_penalised_one_by_one_and_added():
    reps = sparse_rows(6)
    by_place = slow_flops(reps[0::2].numpy(), np.ones(9)) + slow_flops(reps[1::2].numpy(), np.ones(9))
    assert float(Regulariser(groups=2)(reps)) == pytest.approx(by_place)
    with pytest.raises(InputError, match="6 rows are no multiple of 4"):
        Regulariser(groups=4)(reps)


def test_l0_mask_leaves_sparse_documents_without_gradient_and_means_over_all():
    reps = torch.zeros(2, 6)
    reps[0, :2], reps[1, :5] = 1, 1
    reps.requires_grad_()
    penalty = Regulariser(above=3)(reps)
    penalty.backward()
    assert float(penalty.detach()) == pytest.approx(5 * 0.5**2)
    assert reps.grad is not None
    assert not reps.grad[0].any()
    assert reps.grad[1, :5].all()
    assert torch.equal(masked_rows(reps, 0), reps)


def test_frequency_weights_are_zero_half_and_one_where_they_should():
    found = frequency_weights(torch.tensor([0.0, 0.1, 1.0, 0.01, 0.5]), alpha=0.1)
    assert found[:3].tolist() == pytest.approx([0, 0.5, 1])
    assert found[3] < 0.01 < 0.99 < found[4]


def test_anti_zero_equals_its_formula_and_grows_as_vectors_vanish():
    queries, documents = sparse_rows(), sparse_rows()
    wanted = 1 / float(queries.sum()) ** 2 + 1 / float(documents.sum()) ** 2
    assert float(anti_zero(queries, documents)) == pytest.approx(wanted)
    assert torch.isfinite(anti_zero(torch.zeros(2, 3)))
    assert anti_zero(queries * 0.1) > anti_zero(queries)


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_info_nce_equals_a_loop_over_queries(temperature):
    scores, _, positive, candidates = matrix()
    s, total = np.exp(scores.numpy().astype(float) / temperature), 0.0
    for i in range(4):
        kept = [j for j in range(7) if candidates[i, j]]
        total -= np.log(sum(s[i, j] for j in kept if positive[i, j]) / sum(s[i, j] for j in kept))
    found = losses.info_nce(scores, positive, candidates, temperature)
    assert float(found) == pytest.approx(total / 4, rel=1e-5)


def test_a_query_without_positive_adds_nothing_and_no_nan():
    scores, _, positive, _ = matrix()
    alone = losses.info_nce(scores[1:], positive[1:])
    positive[0] = False
    scores.requires_grad_()
    found = losses.info_nce(scores, positive)
    found.backward()
    assert torch.allclose(found, alone)
    assert torch.isfinite(scores.grad).all()
    assert not scores.grad[0].any()


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_softmax_is_one_less_the_probability_of_the_answers(temperature):
    scores, _, positive, candidates = matrix()
    s, total = np.exp(scores.numpy().astype(float) / temperature), 0.0
    for i in range(4):
        kept = [j for j in range(7) if candidates[i, j]]
        total += 1 - sum(s[i, j] for j in kept if positive[i, j]) / sum(s[i, j] for j in kept)
    found = losses.softmax(scores, positive, candidates, temperature)
    assert float(found) == pytest.approx(total / 4, rel=1e-5)


def test_term_recall_is_the_share_of_a_documents_queries_that_hold_the_term():
    queries, documents = sparse_rows(4), sparse_rows(5) * torch.tensor([1, -1, 1, 1, -1])[:, None]
    positive = torch.tensor([[1, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 0]], dtype=torch.bool)
    errors = []
    for d in range(5):
        answered = [q for q in range(4) if positive[q, d]]
        for t in range(9):
            if answered and documents[d, t] != 0:
                share = sum(float(queries[q, t]) > 0 for q in answered) / len(answered)
                errors.append((float(documents[d, t]) - share) ** 2)
    found = losses.term_recall(queries, documents, positive)
    assert float(found) == pytest.approx(np.mean(errors), rel=1e-5)


def test_term_recall_of_one_query_at_a_time_has_the_gradient_of_all_of_them():
    queries, documents = (torch.rand(6, 9) > 0.5).float(), torch.rand(1, 9, requires_grad=True)
    whole = losses.term_recall(queries, documents, torch.ones(6, 1, dtype=torch.bool))
    single = [losses.term_recall(q[None], documents, torch.ones(1, 1, dtype=torch.bool)) for q in queries]
    wanted, found = (torch.autograd.grad(x, documents)[0] for x in (whole, torch.stack(single).mean()))
    assert torch.allclose(wanted, found, atol=1e-6)


def test_next_token_adds_the_cross_entropy_of_rectified_logits():
    logits, ids = torch.randn(2, 5, 7), torch.randint(0, 7, (2, 5))
    x, total = logits.numpy().astype(float), {False: 0.0, True: 0.0}
    for b in range(2):
        for i in range(4):
            for rectified in total:
                row = np.log1p(np.maximum(x[b, i], 0)) if rectified else x[b, i]
                total[rectified] -= row[ids[b, i + 1]] - np.log(np.exp(row).sum())
    found = losses.next_token(logits, ids, 0.5)
    assert float(found) == pytest.approx((total[False] + 0.5 * total[True]) / 8, rel=1e-5)


def test_kl_equals_a_loop_and_leaves_unknown_scores_out():
    scores, teacher, _, candidates = matrix()
    teacher[0, 1] = torch.nan
    total = 0.0
    for i in range(4):
        kept = [j for j in range(7) if candidates[i, j] and not np.isnan(float(teacher[i, j]))]
        t = np.exp([float(teacher[i, j]) for j in kept])
        s = np.exp([float(scores[i, j]) for j in kept])
        t, s = t / t.sum(), s / s.sum()
        total += sum(a * (np.log(a) - np.log(b)) for a, b in zip(t, s, strict=True))
    assert float(losses.kl(scores, teacher, candidates)) == pytest.approx(total / 4, rel=1e-5)
    assert float(losses.kl(teacher, teacher)) == pytest.approx(0, abs=1e-6)


def test_margin_mse_of_pairs_and_of_lists_equal_loops():
    scores, teacher, positive, candidates = matrix()
    pairs, lists = [], []
    for i in range(4):
        kept = [j for j in range(7) if candidates[i, j]]
        gap = {
            (a, b): float((scores[i, a] - scores[i, b]) - (teacher[i, a] - teacher[i, b])) for a in kept for b in kept
        }
        pairs += [g**2 for (a, b), g in gap.items() if positive[i, a] and not positive[i, b]]
        lists.append(np.mean([g**2 for g in gap.values()]))
    assert float(losses.margin_mse(scores, teacher, positive, candidates)) == pytest.approx(np.mean(pairs), rel=1e-5)
    assert float(losses.margin_mse_list(scores, teacher, candidates)) == pytest.approx(np.mean(lists), rel=1e-5)


def test_contrast_of_codes_equals_a_loop():
    codes, labels = sparse_rows(6) + 0.01, torch.tensor([0, 1, 2, 0, 1, 2])
    unit = (codes / codes.norm(dim=1, keepdim=True)).numpy()
    total = 0.0
    for i in range(6):
        others = [j for j in range(6) if j != i]
        e = {j: np.exp(unit[i] @ unit[j] / 0.2) for j in others}
        total -= np.log(sum(e[j] for j in others if labels[j] == labels[i]) / sum(e.values()))
    assert float(losses.contrast_codes(codes, labels)) == pytest.approx(total / 6, rel=1e-5)
    with pytest.raises(InputError, match="wanted one label a row"):
        losses.contrast_codes(codes, labels[:3])


def test_unsupervised_contrast_of_codes_equals_a_loop():
    codes = sparse_rows(6) + 0.01
    unit = (codes / codes.norm(dim=1, keepdim=True)).numpy()
    e = np.exp(unit @ unit.T / 0.2)
    wanted = -np.mean([np.log(e[i, i] / sum(e[i])) for i in range(6)])
    assert float(losses.spread_codes(codes)) == pytest.approx(wanted, rel=1e-5)


def test_sparse_mse_refuses_other_shapes():
    reps = sparse_rows()
    assert float(losses.sparse_mse(reps, reps + 2)) == pytest.approx(4)
    with pytest.raises(InputError, match="wanted one shape"):
        losses.sparse_mse(reps, reps[:2])


def test_expansion_mse_equals_a_loop_and_pulls_terms_that_do_not_fire():
    logits = torch.tensor([[-2.0, -1.0, 0.5], [3.0, -0.5, 1.0]], requires_grad=True)
    wanted = torch.tensor([[0.4, 0.0, 0.0], [0.7, 0.2, 0.9]])
    asked = torch.tensor([[True, True, True], [True, True, False]])
    found = losses.expansion_mse(logits, wanted, asked)
    total = 0.0
    for row, column in asked.nonzero().tolist():
        logit, aim = logits[row, column].item(), wanted[row, column].item()
        weight = math.log1p(max(logit, 0)) if logit > 0 or aim == 0 else logit
        total += (weight - aim) ** 2
    assert found.item() == pytest.approx(total / 2, rel=1e-5)
    found.backward()
    pull = logits.grad
    assert pull is not None
    assert pull[0, 0] < 0  # wanted but silent: up
    assert pull[0, 1] == 0  # neither wanted nor firing
    assert pull[0, 2] > 0
    assert pull[1, 2] == 0  # not asked for
    silent = losses.expansion_mse(torch.full((1, 2), -torch.inf), torch.ones(1, 2), torch.ones(1, 2, dtype=torch.bool))
    assert silent.item() == 0


def autoencoder_parts():
    decoder = autoencoder.Decoder(torch.randn(12, 5), torch.randn(5))
    return torch.randn(8, 5), torch.rand(8, 12), decoder


def test_reconstruction_equals_its_formula():
    states, codes, decoder = autoencoder_parts()
    total = 0.0
    for x, z in zip(states.numpy(), codes.numpy(), strict=True):
        kept = np.where(np.argsort(np.argsort(-z)) < 3, z, 0)
        total += ((kept @ decoder.weight.numpy() + decoder.centre.numpy() - x) ** 2).mean()
    assert float(autoencoder.reconstruction(states, codes, 3, decoder)) == pytest.approx(total / 8, rel=1e-5)


def test_gathered_rows_give_the_states_and_gradients_of_the_whole_product():
    _, codes, decoder = autoencoder_parts()
    few, all_of_them = (codes.clone().requires_grad_() for _ in range(2))
    gathered, whole = decoder.of_chosen(few, 1), decoder(SPARSIFIERS["topk"].choose(all_of_them, 1))
    gathered.square().sum().backward()
    whole.square().sum().backward()
    assert torch.allclose(gathered, whole, atol=1e-6)
    assert torch.allclose(few.grad, all_of_them.grad, atol=1e-5)


@pytest.mark.parametrize("kind", ["topk", "abs-topk"])
def test_auxiliary_loss_uses_chosen_latents_only_and_does_not_change_its_input(kind):
    states, codes, decoder = autoencoder_parts()
    codes = codes if kind == "topk" else codes - 0.5
    chosen = torch.zeros(12, dtype=torch.bool)
    chosen[[2, 7]] = True
    before = codes.clone()
    codes.requires_grad_()
    found = autoencoder.auxiliary(states, codes, chosen, (3, 4), decoder, kind)
    found.backward()
    assert torch.equal(codes.detach(), before)
    assert not codes.grad[:, ~chosen].any()
    rest = states - decoder(SPARSIFIERS[kind].choose(before, 3)) + decoder.centre
    error = (before * chosen) @ decoder.weight + decoder.centre - rest
    wanted = error.square().mean() / (rest - rest.mean(0)).square().mean()
    assert float(found.detach()) == pytest.approx(float(wanted), rel=1e-5)
    none = torch.zeros(12, dtype=torch.bool)
    assert float(autoencoder.auxiliary(states, before, none, (3, 4), decoder, kind)) == 0


def test_a_latent_is_dead_after_so_many_steps_without_firing():
    latents = autoencoder.DeadLatents(3, after=2)
    for _ in range(3):
        latents.update(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1e-6]]))
    assert latents.dead.tolist() == [False, True, True]
    latents.update(torch.tensor([[0.0, 1.0, 0.0]]))
    assert latents.dead.tolist() == [False, False, True]
    assert latents.share == pytest.approx(1 / 3)


def test_under_zipf_finds_latents_below_the_law():
    processes = np.arange(1, 9)
    law = (processes + 2.7) ** -1.0
    law = law / law.sum() * 2
    density = torch.from_numpy(law * np.where(processes > 6, 0.5, 1.01)).float()
    assert autoencoder.under_zipf(density, 2).tolist() == [False] * 6 + [True] * 2


def test_topk_lets_gradients_through_what_it_keeps_only():
    reps = torch.tensor([[3.0, 1.0, 2.0]], requires_grad=True)
    SPARSIFIERS["topk"].choose(reps, 2).sum().backward()
    assert reps.grad is not None
    assert reps.grad.tolist() == [[1, 0, 1]]


def test_a_table_query_scores_the_weighted_sum_of_its_terms():
    documents, ids = sparse_rows(3), torch.tensor([[2, 5, 2]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    idf = torch.rand(9)
    assert torch.allclose(table_weights(torch.ones(9), ids, mask) @ documents.T, documents[:, [2, 5]].sum(1))
    assert torch.allclose(table_weights(idf, ids, mask) @ documents.T, documents[:, [2, 5]] @ idf[[2, 5]])


def test_schedules_have_the_values_that_papers_state():
    assert [Schedule(2.0, "quadratic", 0.5).at(t, 100) for t in (25, 50, 100)] == [0.5, 2.0, 2.0]
    assert [Schedule(2.0, "linear", 0.5).at(t, 100) for t in (25, 50, 100)] == [1.0, 2.0, 2.0]
    assert [Schedule(2.0).at(t, 100) for t in (1, 100)] == [2.0, 2.0]
    course = Schedule(1.0, "warmup-decay", 0.1)
    assert [course.at(t, 100) for t in (5, 10, 55, 100)] == [0.5, 1.0, 0.5, 0.0]
    cosine = Schedule(2.0, "warmup-cosine", 0.2)
    assert [cosine.at(t, 100) for t in (10, 20, 60, 100)] == pytest.approx([1.0, 2.0, 1.0, 0.0])
    assert [value_at(course, 25, 100) for course in (3.0, Schedule(2.0, "quadratic", 0.5))] == [3.0, 0.5]
    anneal = Schedule(4, "anneal", 0.7, 64)
    assert [anneal.whole(t, 100) for t in (0, 35, 70, 100)] == [64, 34, 4, 4]
    with pytest.raises(InputError, match="share 0"):
        Schedule(1.0, "linear", 0.0)


def test_the_controller_drives_the_number_of_terms_to_its_target():
    controller, terms = SparsityController(100, every=1, rate=1.2), torch.tensor(400.0)
    for step in range(1, 200):
        terms = 400 / controller.update(step, terms)
    assert 80 <= terms <= 120
