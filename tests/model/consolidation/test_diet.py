"""A day that does not look like days do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.consolidation.config import NightConfig
from model.consolidation.diet import divergence, familiar

POLICY = NightConfig()
items = st.lists(st.integers(0, 9), min_size=1, max_size=50).map(np.array)


def test_divergence_is_nothing_between_equals_and_log_two_between_strangers():
    ones, twos = np.array([1, 1, 2]), np.array([3, 4])
    assert divergence(ones, ones, 5) == 0.0
    assert divergence(ones, twos, 5) == pytest.approx(np.log(2))
    # half of what was there: by hand
    assert divergence(np.array([1]), np.array([1, 2]), 5) == pytest.approx(0.2158, abs=1e-4)


@given(a=items, b=items)
def test_divergence_goes_both_ways_alike_and_within_bounds(a, b):
    assert divergence(a, b, 10) == pytest.approx(divergence(b, a, 10), abs=1e-12)
    assert -1e-12 <= divergence(a, b, 10) <= np.log(2) + 1e-12


def test_a_day_of_one_category_only_is_refused_and_a_usual_day_is_not():
    rng = np.random.default_rng(0)
    past = rng.integers(1, 60, 3_000)
    assert familiar(past, rng.integers(1, 60, 600), POLICY).passed
    assert not familiar(past, 2 * rng.integers(1, 30, 600), POLICY).passed


def test_where_every_day_is_new_a_new_day_is_no_reason():
    rng = np.random.default_rng(0)
    days = [rng.integers(100 * n + 1, 100 * n + 100, 300) for n in range(6)]
    assert familiar(np.concatenate(days[:5]), days[5], POLICY).passed


def test_without_enough_of_a_past_the_day_passes():
    assert familiar(np.arange(1, 101), np.arange(1, 51), POLICY).passed
