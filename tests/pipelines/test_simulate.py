"""The generated world against what its description says of it."""

import dataclasses

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.simulate import (
    APPEAL_SPREAD,
    DAY_MS,
    DRIFT,
    EXAMINATION,
    EXCEPTION,
    LATE_MEAN_MS,
    LIST_LENGTH,
    PROMPT_MEAN_MS,
    PROMPT_SHARE,
    QUICK,
    REVERSAL_DAY,
    SEGMENTS,
    START_MS,
    TASTE_STRENGTH,
    Size,
    simulate,
)


@pytest.fixture(scope="module")
def made():
    return simulate(Size(), 0)


@pytest.fixture(scope="module")
def world(made):
    return made[0]


@pytest.fixture(scope="module")
def visits(made):
    return made[1]


def log_odds(p):
    return np.log(p) - np.log1p(-p)


def chances(world, visits):
    """[visits, 6] the truth of the shown items at the moment they were shown."""
    moments = zip(visits.user.tolist(), visits.happened_ms.tolist(), visits.shown, strict=True)
    return np.array([world.truth(user, time)[shown] for user, time, shown in moments])


def test_a_seed_makes_one_world_and_another_seed_another():
    (world, visits), (again, visits_again) = simulate(QUICK, 7), simulate(QUICK, 7)
    for field in dataclasses.fields(world):
        np.testing.assert_array_equal(getattr(world, field.name), getattr(again, field.name))
    for one, other in zip(visits, visits_again, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(simulate(QUICK, 8)[1].shown[:50], visits.shown[:50])


def test_there_are_about_60000_events_and_about_6000_in_the_quick_form(visits):
    assert visits.shown.size == pytest.approx(60_000, rel=0.02)
    assert simulate(QUICK, 0)[1].shown.size == pytest.approx(6_000, rel=0.15)


def test_tastes_drift_and_keep_their_spread(world):
    steady = world.taste[:, ~world.turned]
    assert steady.std(axis=(1, 2)) == pytest.approx(np.ones(len(steady)), abs=0.05)
    for days in (1, 10, 25):
        pairs = np.corrcoef(steady[:-days].ravel(), steady[days:].ravel())
        assert pairs[0, 1] == pytest.approx(DRIFT**days, abs=0.05)


def test_one_user_in_twenty_turns_and_nobody_else(world):
    assert world.turned.sum() == len(world.turned) // 20
    before, after = world.taste[REVERSAL_DAY - 1], world.taste[REVERSAL_DAY]
    alike = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    np.testing.assert_array_equal(alike < 0, world.turned)
    # and the turn is at midnight, whole, and stays
    turn = START_MS + REVERSAL_DAY * DAY_MS
    user = int(np.flatnonzero(world.turned)[0])
    turned = np.corrcoef(world.liking(user, turn - 1), world.liking(user, turn))
    stays = np.corrcoef(world.liking(user, turn), world.liking(user, turn + DAY_MS))
    assert turned[0, 1] < -0.8
    assert stays[0, 1] > 0.8


def test_items_grow_by_two_percent_a_day(world):
    day = (world.out_ms - START_MS) // DAY_MS
    out = np.cumsum(np.bincount(day))
    assert (np.diff(world.out_ms) >= 0).all()
    assert len(out) == 30
    assert out[-1] == 800
    assert out[1:] / out[:-1] == pytest.approx(np.full(29, 1.02), abs=0.002)


def test_an_item_that_is_not_out_is_never_shown_and_worth_nothing(world, visits):
    assert (world.out_ms[visits.shown] <= visits.happened_ms[:, None]).all()
    newest = len(world.out_ms) - 1
    assert world.truth(0, int(world.out_ms[newest]) - 1)[newest] == 0.0
    assert world.truth(0, int(world.out_ms[newest]))[newest] > 0.0


def test_new_items_are_shown_more_in_their_first_two_days(world, visits):
    age = visits.happened_ms[:, None] - world.out_ms[visits.shown]
    later = world.out_ms[visits.shown] > START_MS
    first = (age[later] < 2 * DAY_MS).sum() / 2
    after = ((age[later] >= 2 * DAY_MS) & (age[later] < 6 * DAY_MS)).sum() / 4
    assert first > 2 * after


def test_a_rule_moves_the_log_odds_of_its_segment_and_brand_alone(world):
    user = 0
    plain = dataclasses.replace(world, exceptions=np.zeros_like(world.exceptions))
    now = START_MS + 29 * DAY_MS
    moved = log_odds(world.truth(user, now)) - log_odds(plain.truth(user, now))
    rules = world.exceptions[world.segment[user]]
    assert sorted(rules.tolist()) == [-EXCEPTION, *[0.0] * 22, EXCEPTION]
    assert moved == pytest.approx(rules[world.brand], abs=1e-9)


def test_no_brand_is_in_two_rules_and_no_low_rank_holds_them(world):
    assert (np.count_nonzero(world.exceptions, axis=0) == 1).all()
    strength = np.linalg.svd(world.exceptions, compute_uv=False)
    assert strength == pytest.approx(np.full(SEGMENTS, strength[0]))


def test_taste_and_appeal_are_as_strong_as_told(world):
    assert world.appeal.std() == pytest.approx(APPEAL_SPREAD, rel=0.1)
    assert np.linalg.norm(world.place, axis=1) == pytest.approx(np.ones(800))
    likings = np.array([world.liking(user, START_MS) for user in range(1_000)])
    # of one item over all users
    assert likings.std(axis=0).mean() == pytest.approx(1.0, abs=0.05)
    user, now = 3, START_MS + 29 * DAY_MS
    free = world.exceptions[world.segment[user], world.brand] == 0
    rest = log_odds(world.truth(user, now)) - TASTE_STRENGTH * world.liking(user, now)
    assert rest[free] == pytest.approx(-1.5 + world.appeal[free])


def test_items_of_a_category_lie_together(world):
    alike = world.place @ world.place.T
    same = world.category[:, None] == world.category[None, :]
    off = ~np.eye(len(alike), dtype=bool)
    assert alike[same & off].mean() > 0.5
    assert abs(alike[~same].mean()) < 0.15


def test_a_click_needs_a_look_and_looks_fade_by_position(world, visits):
    chance = chances(world, visits)
    looked = visits.clicked.sum(0) / chance.sum(0)
    assert looked == pytest.approx(EXAMINATION ** np.arange(LIST_LENGTH), abs=0.05)


def test_clicks_are_as_likely_as_the_truth_says(world, visits):
    chance = chances(world, visits)[:, 0]  # the first position is always looked at
    order = np.argsort(chance)
    for part in np.array_split(order, 10):
        assert visits.clicked[part, 0].mean() == pytest.approx(chance[part].mean(), abs=0.06)


def test_the_policy_puts_what_it_thinks_best_on_top(world, visits):
    assert (np.diff(chances(world, visits).mean(0)) < 0).all()


def test_delays_are_short_for_most_visits_and_long_for_some(visits):
    delay = visits.arrived_ms - visits.happened_ms
    assert (delay >= 0).all()
    for time in (PROMPT_MEAN_MS, LATE_MEAN_MS, 2 * LATE_MEAN_MS):
        expected = PROMPT_SHARE * np.exp(-time / PROMPT_MEAN_MS) + (1 - PROMPT_SHARE) * np.exp(
            -time / LATE_MEAN_MS
        )
        assert (delay > time).mean() == pytest.approx(expected, abs=0.02)


def test_visits_stand_in_the_order_of_arrival_and_not_of_happening(visits):
    assert (np.diff(visits.arrived_ms) >= 0).all()
    assert (np.diff(visits.happened_ms) < 0).any()


def test_nobody_is_shown_an_item_twice(visits):
    pairs = np.stack([np.repeat(visits.user, LIST_LENGTH), visits.shown.ravel()], 1)
    assert len(np.unique(pairs, axis=0)) == len(pairs)


def test_half_of_the_users_begin_later_so_visits_grow_twofold(visits):
    days = np.bincount((visits.happened_ms - START_MS) // DAY_MS)
    moment = (np.arange(30) + 0.5) / 30
    grown = np.polyval(np.polyfit(moment, days, 1), [0.0, 1.0])
    assert grown[1] / grown[0] == pytest.approx(2.0, abs=0.25)


def test_some_users_come_far_more_often_than_others(visits):
    often = np.sort(np.bincount(visits.user, minlength=1_000))
    assert often[-100:].sum() > 1.5 * often[:500].sum()
    assert often.mean() == pytest.approx(10.0, rel=0.02)


@pytest.mark.parametrize("size", [{"users": 19}, {"items": 49}, {"days": 23}, {"visits": 0}])
def test_a_world_too_small_for_its_rules_is_refused(size):
    with pytest.raises(BadInputError, match=next(iter(size))):
        Size(**size)
