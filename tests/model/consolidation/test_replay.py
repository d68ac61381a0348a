"""What is drawn for replay."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.consolidation.replay import MOST_SHARES, draw

groups = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=60)


def drawn(events, n, seed=0):
    users = np.array([user for user, _ in events], np.int64)
    items = np.array([item for _, item in events], np.int64)
    return draw(users, items, n, np.random.default_rng(seed))


@given(events=groups, n=st.integers(0, 80), seed=st.integers(0, 50))
def test_positions_are_distinct_in_order_and_no_more_than_asked_for(events, n, seed):
    found = drawn(events, n, seed).tolist()
    assert found == sorted(set(found))
    assert len(found) <= n
    assert set(found) <= set(range(len(events)))


def test_no_user_takes_up_more_than_the_bound():
    # one bot with 10,000 events beside 500 people with 2 each
    events = [(0, n % 500) for n in range(10_000)]
    events += [(user, (7 * user + n) % 500) for user in range(1, 501) for n in range(2)]
    found = drawn(events, 1_000)
    bot = sum(events[n][0] == 0 for n in found)
    assert 0 < bot <= MOST_SHARES * 1_000 / 501 + 1


def test_the_draw_is_uniform_where_nothing_is_bound():
    events = [(n, n) for n in range(100)]
    counts = np.zeros(100)
    for seed in range(2_000):
        counts[drawn(events, 10, seed)] += 1
    assert counts.mean() == 200
    assert abs(counts - 200).max() < 5 * np.sqrt(200)


def test_the_same_seed_draws_the_same():
    events = [(n % 7, n % 5) for n in range(200)]
    assert drawn(events, 50, 1).tolist() == drawn(events, 50, 1).tolist()
    assert drawn(events, 50, 1).tolist() != drawn(events, 50, 2).tolist()
