"""Factors are found where choices were made by known ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.factors import Choices, Factors, choice_loss, fit_factors, mean_gain

TRUE = Factors(np.array([1.5, 0.5, 0.0]), np.array([0.2, 0.003]))
START = Factors(np.full(3, 0.3), np.full(2, 0.02))


def choices(n_questions=3_000, n_candidates=20, seed=0, truth=TRUE):
    """Questions whose choice, put first, was drawn by the true factors."""
    rng = np.random.default_rng(seed)
    shape = n_questions, n_candidates
    parts = rng.normal(size=(*shape, len(truth.of_parts))).astype(np.float32)
    # one candidate in six has been chosen in a place, some far more often than its share
    lifts = np.exp(rng.normal(3.0, 2.0, size=(*shape, len(truth.of_lifts))))
    lifts = (lifts * (rng.random(lifts.shape) < 1 / 6)).astype(np.float32)
    scores = parts @ truth.of_parts + np.log1p(lifts @ truth.of_lifts)
    chosen = (scores + rng.gumbel(size=shape)).argmax(axis=1)
    rows = np.arange(n_questions)
    for each in (parts, lifts):
        each[rows, 0], each[rows, chosen] = each[rows, chosen].copy(), each[rows, 0].copy()
    return Choices(parts, lifts, np.zeros(shape, np.float32))


def of_parts(parts, offsets=None):
    """Choices with parts alone."""
    none = np.zeros((*parts.shape[:2], 0), np.float32)
    return Choices(
        parts, none, np.zeros(parts.shape[:2], np.float32) if offsets is None else offsets
    )


def alone(*factors):
    return Factors(np.array(factors), np.zeros(0))


def test_the_factors_behind_the_choices_are_found():
    found = fit_factors(choices(n_questions=6_000), START, strength=0.01)
    np.testing.assert_allclose(found.of_parts, TRUE.of_parts, atol=0.06)
    np.testing.assert_allclose(found.of_lifts, TRUE.of_lifts, rtol=0.25)


def test_no_factor_falls_below_zero():
    truth = Factors(np.array([1.0, -1.0]), np.zeros(1))
    start = Factors(np.ones(2), np.full(1, 0.1))
    found = fit_factors(choices(truth=truth), start, strength=0.01)
    assert found.of_parts[1] == 0.0
    assert found.of_parts[0] > 0.5
    # what says nothing fades to nothing, and stays a factor
    assert 0.0 < found.of_lifts[0] < 0.002


def test_where_little_is_known_factors_stay_where_they_were():
    found = fit_factors(choices(n_questions=5), START, strength=10_000.0)
    np.testing.assert_allclose(found.of_parts, START.of_parts, atol=0.01)
    np.testing.assert_allclose(found.of_lifts, START.of_lifts, rtol=0.01)


@given(seed=st.integers(0, 50))
def test_no_nearby_factors_are_better(seed):
    drawn, rng = choices(n_questions=60, n_candidates=6, seed=seed), np.random.default_rng(seed)
    found = fit_factors(drawn, START, strength=1.0)

    def loss(factors):
        away = factors.of_parts - START.of_parts, np.log(factors.of_lifts / START.of_lifts)
        return choice_loss(drawn, factors) + sum(np.square(each).sum() for each in away) / 60

    for _ in range(10):
        near = Factors(
            np.maximum(found.of_parts + rng.normal(scale=0.02, size=3), 0.0),
            found.of_lifts * np.exp(rng.normal(scale=0.02, size=2)),
        )
        assert loss(near) >= loss(found) - 1e-6


def test_the_loss_is_the_surprise_of_what_was_chosen():
    even = of_parts(np.zeros((2, 4, 1), np.float32))
    assert choice_loss(even, alone(1.0)) == pytest.approx(np.log(4))
    lifts = np.zeros((1, 4, 1), np.float32)
    lifts[0, 0, 0] = 8.0
    lifted = Choices(np.zeros((1, 4, 1), np.float32), lifts, np.zeros((1, 4), np.float32))
    # 1 + 8 / 2 against three times 1
    found = choice_loss(lifted, Factors(np.ones(1), np.full(1, 0.5)))
    assert found == pytest.approx(np.log(8 / 5))


def test_a_candidate_with_an_offset_of_minus_infinity_is_none():
    offsets = np.array([[0.0, 0.0, -np.inf]], np.float32)
    two = of_parts(np.zeros((1, 3, 1), np.float32), offsets)
    assert choice_loss(two, alone(1.0)) == pytest.approx(np.log(2))


def test_the_gain_counts_items_that_a_candidate_stands_for_and_ties_as_ahead():
    parts = np.array([[[1.0], [1.0], [2.0], [0.0]]], np.float32)
    four = of_parts(parts, np.log(np.array([[1.0, 2.0, 1.0, 9.0]], np.float32)))
    expected = 1 / np.log2(1 + 1 + 2 + 1)
    assert mean_gain(four, alone(1.0)) == pytest.approx(expected)
    assert mean_gain(four, alone(-1.0)) == 0.0
