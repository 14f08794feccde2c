"""Maxima over tokens without logits in memory, against the plain product."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lsr.encoders.parts.products.cpu_head import BLOCK_BYTES, CpuHead


def random(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def plain(weight, bias, hidden):
    return (weight @ hidden.T + bias[:, None]).max(1, initial=-np.inf)


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 60), st.integers(0, 9))
def test_maxima_are_those_of_the_plain_product(terms, width, length, seed):
    weight, bias, hidden = (
        random(terms, width, seed=seed),
        random(terms, seed=seed),
        random(length, width, seed=seed + 1),
    )
    assert CpuHead(weight, bias).max_logits(hidden) == pytest.approx(plain(weight, bias, hidden), abs=1e-4)


def test_a_text_of_many_blocks_is_one_maximum():
    length = BLOCK_BYTES // (4 * 64) * 3 + 5
    weight, bias, hidden = random(50, 64), random(50), random(length, 64, seed=1)
    assert CpuHead(weight, bias).max_logits(hidden) == pytest.approx(plain(weight, bias, hidden), abs=1e-3)


def test_a_text_without_tokens_has_no_maximum():
    assert (CpuHead(random(5, 3), random(5)).max_logits(np.zeros((0, 3), np.float32)) == -np.inf).all()


def test_nan_in_a_state_never_becomes_a_maximum():
    hidden = random(3, 4)
    hidden[1] = np.nan
    head = CpuHead(random(6, 4), random(6))
    assert head.max_logits(hidden) == pytest.approx(head.max_logits(hidden[[0, 2]]))


def test_several_texts_on_threads_are_several_maxima():
    head, texts = CpuHead(random(33, 8), random(33)), [random(n, 8, seed=n) for n in (1, 30, 7)]
    assert np.array_equal(head.max_logits_of(texts, threads=2), np.stack([head.max_logits(text) for text in texts]))
    assert head.max_logits_of([]).shape == (0, 33)


def test_logits_of_chosen_terms_are_the_product():
    weight, bias, hidden = random(9, 4), random(9), random(5, 4, seed=2)
    assert CpuHead(weight, bias).logits(hidden, np.array([8, 1])) == pytest.approx(
        hidden @ weight[[8, 1]].T + bias[[8, 1]], abs=1e-5
    )
