"""The row `everyone`: shares at several half-lives, each shrunk to the next longer one."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.trending import Trending

HALF_LIVES_S = (100.0, 10_000.0)
HALF_LIFE_MS = 100_000
PRIOR = 5.0
SHARE = np.array([0.1, 0.5, 0.2, 0.2], np.float32)

events = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 200 * HALF_LIFE_MS)), min_size=1, max_size=30
)


def trending(drawn, cuts=(), half_lives_s=HALF_LIVES_S):
    row = Trending(PRIOR, half_lives_s, shared=range(len(half_lives_s)))
    borders = [0, *sorted(min(cut, len(drawn)) for cut in cuts), len(drawn)]
    for start, end in pairwise(borders):
        items = np.array([item for item, _ in drawn[start:end]], np.int64)
        times = np.array([time for _, time in drawn[start:end]], np.int64)
        row.add(items, times, np.ones(len(items)), 4)
    return row


def total(row, now_ms, share=SHARE):
    levels, _ = row.levels(share, now_ms)
    return row.row(levels, [1.0] * len(levels), len(share))


def by_hand(drawn, now_ms, share=SHARE):
    """[items] the chain of shares, worked out from the events themselves."""
    present = share.astype(np.float64)
    now = max([now_ms, *(time for _, time in drawn)])
    for half_life_s in reversed(HALF_LIVES_S):
        counts = np.zeros(len(share))
        for item, time in drawn:
            counts[item] += 0.5 ** ((now - time) / 1000 / half_life_s)
        beyond = np.maximum(counts - 1.0, 0.0)
        prior = PRIOR * math.sqrt(half_life_s / HALF_LIVES_S[0])
        present = (beyond + prior * present) / (beyond.sum() + prior)
    return present


@given(drawn=events, later=st.integers(0, 300 * HALF_LIFE_MS))
def test_the_residuals_lead_from_the_expected_shares_to_those_of_a_chain_of_backed_off_counts(
    drawn, later
):
    found = total(trending(drawn), later)
    expected = np.log(by_hand(drawn, later) / SHARE)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@given(drawn=events)
def test_shares_add_up_to_one_at_every_half_life(drawn):
    _, shares = trending(drawn).levels(SHARE, 0)
    for share in shares.values():
        assert share.sum() == pytest.approx(1.0, abs=1e-5)


@given(drawn=events, cuts=st.lists(st.integers(0, 30), max_size=3))
def test_the_row_is_the_same_to_the_bit_however_events_are_cut_into_calls(drawn, cuts):
    now = 201 * HALF_LIFE_MS
    np.testing.assert_array_equal(total(trending(drawn), now), total(trending(drawn, cuts), now))


def test_three_successes_among_four_by_hand():
    row = trending([(1, 0), (1, 0), (1, 0), (2, 0)], half_lives_s=(100.0,))
    # two of item 1 beyond the first, none of item 2
    assert total(row, 0)[1] == pytest.approx(math.log((2 + 5 * 0.5) / (2 + 5) / 0.5), rel=1e-5)
    assert total(row, 0)[2] == pytest.approx(math.log(5 / 7), rel=1e-5)


def test_nothing_happening_moves_nothing():
    assert total(Trending(PRIOR, HALF_LIVES_S, shared=()), 0).tolist() == [0.0] * 4


def test_one_event_is_not_a_fact():
    assert total(trending([(1, 0)]), 0).tolist() == [0.0] * 4


def test_a_burst_lifts_an_unknown_item_and_lets_it_go():
    share = np.array([0.9, 0.1, 1e-6, 1e-6], np.float32)
    burst = trending([(2, 0)] * 100, half_lives_s=(100.0,))
    row = total(burst, 0, share)
    assert share[2] * math.exp(row[2]) > 0.9
    assert np.ptp(total(burst, 20 * HALF_LIFE_MS, share)) == 0.0


def test_a_taken_back_success_leaves_the_row_where_it_was():
    row = trending([(1, 0), (1, 5), (2, 5)])
    before = total(row, 10)
    for weight in (1.0, 1.0, -1.0, -1.0):
        row.add(np.array([3]), np.array([7]), np.array([weight]), 4)
    np.testing.assert_allclose(total(row, 10), before, atol=1e-6)


def test_an_item_that_is_new_gets_a_place():
    row = trending([(1, 0)])
    row.add(np.array([6, 6]), np.array([0, 0]), np.ones(2), 7)
    found = total(row, 0, np.full(9, 1 / 9, np.float32))
    assert found.argmax() == 6
    assert len(found) == 9


def test_a_factor_of_zero_leaves_a_half_life_out():
    row = trending([(1, 0)] * 3)
    levels, _ = row.levels(SHARE, 0)
    assert row.row(levels, [0.0, 0.0], 4).tolist() == [0.0] * 4
