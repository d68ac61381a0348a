"""Decayed sums: the arithmetic of several half-lives on one scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.decay import DecayClock

HALF_LIVES_S = (10.0, 1000.0)


def kept(events, cuts=()):
    """[half-lives] what is kept of one sum after these (time, weight) events, and the clock."""
    clock, sums = DecayClock(HALF_LIVES_S), np.zeros((2, 1))
    for part in np.split(np.array(events, np.float64).reshape(-1, 2), sorted(cuts)):
        if not len(part):
            continue
        times = part[:, 0].astype(np.int64)
        moved = clock.advance(int(times.max()))
        if moved is not None:
            sums = np.ldexp(sums, moved)
        for grown in clock.grown(times, part[:, 1]).T:
            sums[:, 0] += grown
    return sums[:, 0], clock


def test_a_weight_halves_with_every_half_life():
    sums, clock = kept([(0, 1.0)])
    assert (sums * clock.faded(10_000)).tolist() == [0.5, pytest.approx(2**-0.01)]
    assert (sums * clock.faded(30_000))[0] == 0.125


def test_a_moment_before_the_newest_event_counts_as_that_events():
    _, clock = kept([(50_000, 1.0)])
    assert clock.faded(0).tolist() == clock.faded(50_000).tolist()


events = st.lists(
    st.tuples(st.integers(0, 1_500_000), st.sampled_from([1.0, 0.5, -1.0])), min_size=1, max_size=20
)


@given(events=events)
def test_sums_equal_those_over_the_events(events):
    sums, clock = kept(events)
    now = max(time for time, _ in events)
    for place, half_life_s in enumerate(HALF_LIVES_S):
        expected = sum(w * 0.5 ** ((now - t) / 1000 / half_life_s) for t, w in events)
        assert (sums * clock.faded(now))[place] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(events=events, cuts=st.lists(st.integers(0, 20), max_size=3))
def test_sums_are_the_same_to_the_bit_however_events_are_cut_into_calls(events, cuts):
    (one, clock), (many, other) = kept(events), kept(events, cuts)
    assert (one * clock.faded(2_000_000)).tolist() == (many * other.faded(2_000_000)).tolist()
