"""Factors are found where choices were made by known ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.factors import choice_loss, fit_factors, mean_gain, order_factors

TRUE = np.array([1.5, 0.5, 0.0])


def choices(n_questions=3_000, n_candidates=20, seed=0, truth=TRUE):
    """Questions whose choice, put first, was drawn by the true factors."""
    rng = np.random.default_rng(seed)
    parts = rng.normal(size=(n_questions, n_candidates, len(truth))).astype(np.float32)
    chosen = (parts @ truth + rng.gumbel(size=parts.shape[:2])).argmax(axis=1)
    rows = np.arange(n_questions)
    parts[rows, 0], parts[rows, chosen] = parts[rows, chosen].copy(), parts[rows, 0].copy()
    return parts, np.zeros(parts.shape[:2], np.float32)


def test_the_factors_behind_the_choices_are_found():
    parts, offsets = choices()
    found = fit_factors(parts, offsets, np.full(3, 0.3), strength=0.01)
    np.testing.assert_allclose(found, TRUE, atol=0.06)


def test_no_factor_falls_below_zero():
    parts, offsets = choices(truth=np.array([1.0, -1.0]))
    found = fit_factors(parts, offsets, np.ones(2), strength=0.01)
    assert found[1] == 0.0
    assert found[0] > 0.5


def test_where_little_is_known_factors_stay_where_they_were():
    parts, offsets = choices(n_questions=5)
    found = fit_factors(parts, offsets, np.full(3, 0.7), strength=10_000.0)
    np.testing.assert_allclose(found, 0.7, atol=0.01)


@given(seed=st.integers(0, 50))
def test_no_nearby_factors_are_better(seed):
    parts, offsets = choices(n_questions=60, n_candidates=6, seed=seed)
    start, rng = np.full(3, 0.3), np.random.default_rng(seed)
    found = fit_factors(parts, offsets, start, strength=1.0)

    def loss(factors):
        return choice_loss(parts, offsets, factors) + np.square(factors - start).sum() / 60

    for _ in range(10):
        near = np.maximum(found + rng.normal(scale=0.02, size=3), 0.0)
        assert loss(near) >= loss(found) - 1e-6


def test_the_loss_is_the_surprise_of_what_was_chosen():
    parts = np.zeros((2, 4, 1), np.float32)
    assert choice_loss(parts, np.zeros((2, 4), np.float32), np.ones(1)) == pytest.approx(np.log(4))


def test_a_candidate_with_an_offset_of_minus_infinity_is_none():
    offsets = np.array([[0.0, 0.0, -np.inf]], np.float32)
    assert choice_loss(np.zeros((1, 3, 1), np.float32), offsets, np.ones(1)) == pytest.approx(
        np.log(2)
    )


def partly_hopeless(n_questions=600):
    """The first part leads, but for choices that no list of ten could have held.

    The likelihood trusts it less for their sake; the top of the list loses by that.
    """
    rng = np.random.default_rng(3)
    parts = rng.normal(size=(n_questions, 40, 2))
    choice = (3.0 * parts[:, :, 0] + rng.gumbel(size=parts.shape[:2])).argmax(axis=1)
    rows = np.arange(n_questions)
    parts[rows, 0], parts[rows, choice] = parts[rows, choice].copy(), parts[rows, 0].copy()
    parts[::4, 0, 0] = -4.0
    parts[:, 0, 1] += 0.5
    return parts.astype(np.float32), np.zeros(parts.shape[:2], np.float32)


def test_learning_by_order_puts_what_was_chosen_further_to_the_front():
    parts, offsets = partly_hopeless()
    likely = fit_factors(parts, offsets, np.ones(2), strength=0.01)
    ordered = order_factors(parts, offsets, likely)
    assert mean_gain(parts, offsets, ordered) > mean_gain(parts, offsets, likely) + 0.02
    assert (ordered >= 0).all()


def test_factors_learned_by_order_have_the_scale_that_fits_chances():
    parts, offsets = choices(n_questions=500)
    found = order_factors(parts, offsets, np.full(3, 0.3))
    loss = choice_loss(parts, offsets, found)
    assert loss < choice_loss(parts, offsets, 1.3 * found)
    assert loss < choice_loss(parts, offsets, 0.7 * found)


def test_the_gain_counts_items_that_a_candidate_stands_for_and_ties_as_ahead():
    parts = np.array([[[1.0], [1.0], [2.0], [0.0]]], np.float32)
    offsets = np.log(np.array([[1.0, 2.0, 1.0, 9.0]], np.float32))
    expected = 1 / np.log2(1 + 1 + 2 + 1)
    assert mean_gain(parts, offsets, np.ones(1)) == pytest.approx(expected)
    assert mean_gain(parts, offsets, np.full(1, -1.0)) == 0.0
