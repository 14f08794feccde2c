"""Heads, activations and sparsifiers one by one; gradients too."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from lsr.encoders.parts.activations import ACTIVATIONS  # noqa: E402
from lsr.encoders.parts.heads.autoencoder import codes, decode  # noqa: E402
from lsr.encoders.parts.heads.token_weight import token_weights  # noqa: E402
from lsr.encoders.parts.pools import state_pool  # noqa: E402
from lsr.encoders.parts.products import torch_products as products  # noqa: E402
from lsr.encoders.parts.products.fused import fits, fused_max  # noqa: E402
from lsr.encoders.parts.registry import SPARSIFIERS  # noqa: E402
from lsr.encoders.parts.sparsifiers.abs_topk import split_signs  # noqa: E402
from lsr.encoders.parts.sparsifiers.over_batch import BatchTopK  # noqa: E402

B, L, H, V = 3, 7, 5, 4500  # more terms than one slice


def inputs(seed=0, device="cpu", dtype=torch.float32):
    torch.manual_seed(seed)
    hidden, weight, bias = torch.randn(B, L, H), torch.randn(V, H), torch.randn(V)
    mask = torch.arange(L)[None] < torch.tensor([7, 3, 1])[:, None]
    one, two, three = (t.to(device, dtype).requires_grad_() for t in (hidden, weight, bias))
    return (one, two, three), mask.to(device)


def plain_max(hidden, weight, bias, mask):
    return (hidden @ weight.T + bias).masked_fill(~mask[..., None], -torch.inf).max(1)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activating_the_maximum_is_the_maximum_of_activations(name):
    x = torch.randn(4, 6, 30)
    activation = ACTIVATIONS[name]
    assert torch.allclose(activation.tensor(x.amax(1)), activation.tensor(x).amax(1))
    assert np.allclose(activation.array(x.numpy()), activation.tensor(x).numpy(), atol=1e-6)


def test_the_sliced_maximum_is_the_plain_one_and_so_is_its_gradient():
    tensors, mask = inputs()
    values, positions = products.max_logits(tensors[0], tensors[1], tensors[2], mask)
    expected, at = plain_max(tensors[0], tensors[1], tensors[2], mask)
    assert torch.allclose(values, expected, atol=1e-5)
    assert torch.equal(positions, at)
    assert torch.equal(products.max_values(tensors[0], tensors[1], tensors[2], mask), values)
    factors = torch.randn(B, V) * (torch.rand(B, V) < 0.1)
    found = torch.autograd.grad((torch.log1p(values.relu()) * factors).sum(), tensors)
    wanted = torch.autograd.grad((torch.log1p(expected.relu()) * factors).sum(), tensors)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(found, wanted, strict=True))


def test_a_text_without_tokens_gets_no_weight_and_gives_no_gradient():
    tensors, mask = inputs()
    mask[1] = False
    values, _ = products.max_logits(tensors[0], tensors[1], tensors[2], mask)
    assert (values[1] == -torch.inf).all()
    gradients = torch.autograd.grad(torch.log1p(values.relu()).sum(), tensors)
    assert all(g.isfinite().all() for g in gradients)
    assert (gradients[0][1] == 0).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("dtype", "gap"), [(torch.float32, 1e-3), (torch.bfloat16, 5e-2)])
def test_the_fused_maximum_is_the_plain_one(dtype, gap):
    tensors, mask = inputs(device="cuda", dtype=dtype)
    assert fits(*tensors[:2])
    hidden, weight, bias = (t.detach() for t in tensors)
    values, positions = fused_max(hidden, weight, bias, mask)
    expected, _ = plain_max(hidden.float(), weight.float(), bias.float(), mask)
    assert (values - expected).abs().max() < gap
    logits = (tensors[0].detach().float() @ tensors[1].detach().float().T) + tensors[2].detach().float()
    assert (logits.gather(1, positions[:, None])[:, 0] - expected).abs().max() < gap


def test_without_a_gpu_the_fused_kernel_does_not_fit():
    tensors, _ = inputs()
    assert not fits(tensors[0], tensors[1])


def test_repeated_tokens_take_the_maximum_or_the_sum():
    ids, weights = torch.tensor([[1, 2, 1]]), torch.tensor([[0.5, 1.0, 2.0]])
    mask = torch.ones(1, 3, dtype=torch.bool)
    assert token_weights(weights, ids, mask, 4, "max").tolist() == [[0, 2, 1, 0]]
    assert token_weights(weights, ids, mask, 4, "sum").tolist() == [[0, 2.5, 1, 0]]


def test_decoding_uses_the_matrix_of_encoding():
    weight, centre = torch.eye(4), torch.full((4,), 0.5)
    states = torch.randn(3, 4)
    assert torch.allclose(decode(codes(states, weight, torch.zeros(4), centre), weight, centre), states)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 99))
def test_topk_keeps_the_k_largest(k, seed):
    reps = torch.randn(3, 10, generator=torch.Generator().manual_seed(seed))
    kept = SPARSIFIERS["topk"].choose(reps, k)
    assert ((kept != 0).sum(1) == min(k, 10)).all()
    for row, new in zip(reps, kept, strict=True):
        assert sorted(new[new != 0].tolist()) == sorted(row.tolist())[-min(k, 10) :]


def test_gradients_flow_through_kept_entries_only():
    for kind in ("topk", "batch-topk", "feature-choice", "relative"):
        reps = torch.rand(4, 8, requires_grad=True)
        out = SPARSIFIERS[kind].tensor(reps, 2, 0.0 if kind != "relative" else 0.5)
        (gradient,) = torch.autograd.grad(out.sum(), reps)
        assert torch.equal(gradient != 0, out != 0)


def test_batch_topk_shares_its_budget_over_the_batch():
    reps = torch.tensor([[9.0, 8, 7, 6], [1, 2, 3, 4]])
    assert SPARSIFIERS["batch-topk"].choose(reps, 2).tolist() == [[9, 8, 7, 6], [0, 0, 0, 0]]
    assert BatchTopK().thresholds(reps, 2).tolist() == [6]


def test_feature_choice_leaves_no_feature_dead():
    reps = torch.randn(64, 16)
    kept = SPARSIFIERS["feature-choice"].choose(reps, 4)
    assert ((kept != 0).sum(0) == 16).all()


def test_split_signs_keep_products_of_equal_signs():
    one, other = torch.tensor([[1.0, -2, 0]]), torch.tensor([[3.0, -1, 5]])
    assert (split_signs(one) @ split_signs(other).T).item() == 5
    assert (split_signs(one) >= 0).all()


def test_relative_keeps_what_is_near_the_largest():
    assert SPARSIFIERS["relative"].tensor(torch.tensor([[4.0, 1, 0.1]]), 0, 0.1).tolist() == [[4, 1, 0]]


def test_pools_see_only_tokens_that_count():
    hidden = torch.arange(8.0).view(1, 4, 2)
    mask = torch.tensor([[False, True, True, False]])
    assert state_pool("mean").tensor(hidden, mask).tolist() == [[3, 4]]
    assert state_pool("cls").tensor(hidden, mask).tolist() == [[2, 3]]
    assert state_pool("last").tensor(hidden, mask).tolist() == [[4, 5]]
    assert state_pool("last").tensor(hidden, ~mask & mask).tolist() == [[0, 0]]
