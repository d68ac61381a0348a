"""What one actor may say: bounded, and a function of the actor's events whatever their order."""

from collections import Counter, defaultdict
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.fast.actors import DAY_MS, Actors, Limits, Pair, Pairs, Success, spoken

LIMITS = Limits(per_day=4, sources=2, near=0.5, span_ms=1_000, window_ms=10 * DAY_MS)
WIDE = Limits(per_day=100, sources=2, near=0.5, span_ms=1_000, window_ms=10 * DAY_MS)


def pairs(successes, limits=WIDE):
    """What each pair counts."""
    return {pair[:2]: n * pair.weight for pair, n in spoken(successes, limits)[1].items() if n}


def at(time, item):
    return Success(time, item, 1.0)


def take(actors, name, success):
    """What the success is paired with."""
    pairs = Pairs()
    actors.take(name, success, pairs)
    return pairs


def test_a_success_is_paired_with_the_few_before_it_the_nearer_the_more():
    assert pairs([at(0, 1), at(10, 2), at(20, 3), at(30, 4)]) == {
        (1, 2): 1,
        (1, 3): 0.5,
        (2, 3): 1,
        (2, 4): 0.5,
        (3, 4): 1,
    }


def test_a_pair_weighs_what_the_later_one_weighs():
    assert pairs([Success(0, 1, 1.0), Success(10, 2, 0.3)]) == {(1, 2): 0.3}


def test_what_lies_too_far_back_is_no_source():
    assert pairs([at(0, 1), at(500, 2), at(1_100, 3)]) == {(1, 2): 1, (2, 3): 1}


def test_two_of_one_moment_are_one_pair_in_whatever_order_they_come():
    assert pairs([at(0, 1), at(0, 2)]) == pairs([at(0, 2), at(0, 1)]) == {(1, 2): 1}


def test_the_same_item_counts_once():
    assert spoken([at(0, 1), at(10, 1), at(20, 2)], WIDE)[0] == [True, False, True]


def test_no_more_than_the_days_share_counts():
    counts, _ = spoken([at(n, n + 1) for n in range(10)], LIMITS)
    assert counts == [True] * 4 + [False] * 6
    later = [*(at(n, n + 1) for n in range(4)), at(DAY_MS + 10, 50)]
    assert spoken(later, LIMITS)[0] == [True] * 5


@given(
    drawn=st.lists(
        st.tuples(st.integers(0, 3_000), st.integers(1, 30)),
        max_size=12,
        unique_by=lambda pair: pair[1],
    ),
    seed=st.randoms(use_true_random=False),
)
def test_late_events_end_in_what_the_right_order_says(drawn, seed):
    ordered = sorted(at(*pair) for pair in drawn)
    shuffled = list(ordered)
    seed.shuffle(shuffled)
    assert pairs(shuffled) == pairs(ordered)
    expected: dict[tuple[int, int], float] = defaultdict(float)
    # halves and whole numbers add up exactly
    for place, (time, item, _) in enumerate(ordered):
        for apart, before in enumerate(ordered[max(place - WIDE.sources, 0) : place][::-1]):
            if time - before.timestamp_ms <= WIDE.span_ms:
                expected[before.item, item] += 0.5**apart
    assert pairs(shuffled) == expected


@given(
    times=st.lists(st.integers(0, 20 * DAY_MS), max_size=60),
    items=st.lists(st.integers(1, 8), min_size=60, max_size=60),
)
def test_any_day_holds_no_more_than_its_share_of_what_counts(times, items):
    successes = [at(time, item) for time, item in zip(sorted(times), items, strict=False)]
    counts, _ = spoken(successes, LIMITS)
    counted = [s.timestamp_ms for s, said in zip(successes, counts, strict=True) if said]
    for start in counted:
        assert sum(start <= time < start + DAY_MS for time in counted) <= LIMITS.per_day


@given(
    drawn=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 3_000), st.integers(1, 6)), max_size=20
    )
)
def test_following_the_tail_adds_up_to_what_was_said(drawn):
    actors = Actors(LIMITS)
    told: Counter[Pair] = Counter()
    for actor, time, item in drawn:
        pairs = Pairs()
        counts = actors.take(actor, at(time, item), pairs)
        assert counts or not pairs.sources
        for pair, n in pairs.counted(LIMITS.nearness).items():
            told[pair] += n
    expected: Counter[Pair] = Counter()
    for actor in "ab":
        said = [at(time, item) for who, time, item in drawn if who == actor]
        expected.update(spoken(said, LIMITS)[1])
    assert {p: n for p, n in told.items() if n} == {p: n for p, n in expected.items() if n}


def test_the_quiet_are_forgotten_and_the_others_are_not():
    actors = Actors(LIMITS)
    take(actors, "quiet", at(0, 1))
    take(actors, "busy", at(1, 1))
    take(actors, "busy", at(11 * DAY_MS, 2))
    actors.forget_quiet(most=10)
    assert list(actors) == ["busy"]


def test_no_more_actors_are_followed_than_may_be_and_the_longest_quiet_go():
    actors = Actors(LIMITS)
    for n, name in enumerate(["ann", "bob", "cid", "ann"]):
        take(actors, name, at(n, n + 1))
    actors.forget_quiet(most=2)
    assert list(actors) == ["cid", "ann"]


def test_an_actor_can_be_given_another_past():
    actors = Actors(WIDE)
    for time, item in pairwise(range(4)):
        take(actors, "ann", at(time, item))
    actors.replace("ann", [at(0, 9)])
    assert take(actors, "ann", at(5, 1)).sources == [9]
    actors.replace("nobody", [at(0, 9)])
    assert list(actors) == ["ann"]


@pytest.mark.parametrize("n", [1, 3, 1000])
def test_what_is_remembered_of_an_actor_is_bounded(n):
    actors = Actors(LIMITS)
    for time in range(n):
        take(actors, "ann", at(time * DAY_MS // 100, time + 1))
    assert actors.n_successes <= LIMITS.per_day
