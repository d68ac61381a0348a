"""The trending row: decay, shrinkage, and independence of how events are cut into calls."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.config import MemoryConfig
from model.fast.trending import Trending

HALF_LIFE_S = 100.0
HALF_LIFE_MS = 100_000
CONFIG = MemoryConfig(trending_half_life_s=HALF_LIFE_S, trending_prior=5.0, trending_weight=1.0)

events = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 200 * HALF_LIFE_MS)), min_size=1, max_size=30
)


def trending(drawn, cuts=()):
    row = Trending(CONFIG)
    borders = [0, *sorted(min(cut, len(drawn)) for cut in cuts), len(drawn)]
    for start, end in pairwise(borders):
        items = np.array([item for item, _ in drawn[start:end]], np.int64)
        times = np.array([time for _, time in drawn[start:end]], np.int64)
        row.add(items, times, np.ones(len(items)), 4)
    return row


def test_a_success_counts_half_after_a_half_life():
    row = trending([(1, 0)])
    assert row.counts(HALF_LIFE_MS)[1] == pytest.approx(0.5)
    assert row.counts(3 * HALF_LIFE_MS)[1] == pytest.approx(0.125)


@given(drawn=events)
def test_counts_equal_the_sum_over_events(drawn):
    now = max(time for _, time in drawn)
    expected = np.zeros(4)
    for item, time in drawn:
        expected[item] += 0.5 ** ((now - time) / HALF_LIFE_MS)
    np.testing.assert_allclose(trending(drawn).counts(now), expected, rtol=1e-9, atol=1e-15)


@given(drawn=events, cuts=st.lists(st.integers(0, 30), max_size=3))
def test_the_state_is_bit_for_bit_the_same_however_events_are_cut_into_calls(drawn, cuts):
    now = 201 * HALF_LIFE_MS
    one, many = trending(drawn), trending(drawn, cuts)
    np.testing.assert_array_equal(one.counts(now), many.counts(now))


def test_the_row_is_the_shrunk_log_ratio_of_seen_to_expected():
    share = np.array([0.0, 0.5, 0.25, 0.25])
    row = trending([(1, 0)] * 30).row(share, 0)
    assert row[1] == pytest.approx(math.log((30 + 5) / (30 * 0.5 + 5)), rel=1e-6)
    assert row[2] == pytest.approx(math.log(5 / (30 * 0.25 + 5)), rel=1e-6)


def test_nothing_happening_moves_nothing():
    assert Trending(CONFIG).row(np.full(4, 0.25), 0).tolist() == [0.0] * 4


def test_one_event_is_not_a_fact():
    share = np.array([0.999, 0.001, 0.0, 0.0])
    assert trending([(1, 0)]).row(share, 0)[1] < 0.2


def test_a_burst_lifts_an_unknown_item_and_lets_it_go():
    share = np.array([0.999, 0.001, 0.0, 0.0])
    burst = trending([(1, 0)] * 100)
    assert burst.row(share, 0)[1] > 2.5
    assert burst.row(share, 20 * HALF_LIFE_MS)[1] < 0.01


def test_a_taken_back_success_leaves_the_row_where_it_was():
    row = trending([(1, 0), (2, 5)])
    before = row.row(np.full(4, 0.25), 10)
    row.add(np.array([3]), np.array([7]), np.array([1.0]), 4)
    row.add(np.array([3]), np.array([7]), np.array([-1.0]), 4)
    np.testing.assert_allclose(row.row(np.full(4, 0.25), 10), before, atol=1e-6)


def test_an_item_that_is_new_gets_a_place():
    row = trending([(1, 0)])
    row.add(np.array([6]), np.array([0]), np.array([1.0]), 7)
    assert row.row(np.full(9, 1 / 9), 0).shape == (9,)
    assert row.counts(0)[6] == pytest.approx(1.0)
