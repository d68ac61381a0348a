from itertools import product

import numpy as np
import pytest

from model.errors import BadInputError
from pipelines.evaluation.intervals import (
    Estimate,
    Plan,
    cells_of,
    draws,
    interval,
    means,
    ratios,
    set_share,
)


def columns_of(values):
    return np.stack([values, np.ones(len(values))], axis=1)


# Two blocks with two users each; a user has one or two questions.
BLOCK = np.array([7, 7, 7, 9, 9])
ACTOR = np.array([1, 1, 4, 1, 5])
VALUE = np.array([1.0, 3.0, 5.0, 2.0, 11.0])


def all_draws(over_blocks):
    """Every draw of two blocks and of two users in each, by brute force; all equally likely."""
    users = [[(4.0, 2), (5.0, 1)], [(2.0, 1), (11.0, 1)]]
    for first, second in product((0, 1), repeat=2):
        for picks in product((0, 1), repeat=4):
            own = [
                [users[first][picks[0]], users[first][picks[1]]],
                [users[second][picks[2]], users[second][picks[3]]],
            ]
            if over_blocks:
                yield np.mean([sum(s for s, _ in b) / sum(n for _, n in b) for b in own])
            else:
                flat = [*own[0], *own[1]]
                yield sum(s for s, _ in flat) / sum(n for _, n in flat)


@pytest.mark.parametrize("over_blocks", [False, True])
def test_draws_have_the_distribution_of_all_possible_draws(over_blocks):
    cells = cells_of(BLOCK, ACTOR)
    plan = Plan(resamples=40_000, seed=1, over_blocks=over_blocks)
    drawn = draws(cells, cells.sums(columns_of(VALUE)), ratios, plan)[:, 0].round(9)
    expected = np.round(list(all_draws(over_blocks)), 9)
    assert set(drawn) == set(expected)
    for value in set(expected):
        assert (drawn == value).mean() == pytest.approx((expected == value).mean(), abs=0.01)


def test_the_mean_weighs_questions_and_over_blocks_it_weighs_blocks():
    by = (BLOCK, ACTOR)
    assert means(["a"], VALUE[None], by, Plan(10)).of("a").mean == pytest.approx(22 / 5)
    over = means(["a"], VALUE[None], by, Plan(10, over_blocks=True))
    assert over.of("a").mean == pytest.approx((9 / 3 + 13 / 2) / 2)


def test_a_difference_of_equal_arms_is_exactly_zero():
    rng = np.random.default_rng(0)
    values = rng.random(500)
    by = (rng.integers(0, 9, 500), rng.integers(0, 60, 500))
    found = means(["a", "b", "c"], np.stack([values, values, values + 0.5]), by, Plan(200))
    assert found.difference("a", "b") == Estimate(0.0, 0.0, 0.0)
    assert not found.difference("a", "b").clear
    assert found.difference("c", "a") == pytest.approx((0.5, 0.5, 0.5))
    assert found.difference("c", "a").clear


def test_pairing_makes_the_interval_of_a_difference_narrower_than_those_of_its_arms():
    rng = np.random.default_rng(0)
    shared = rng.random(2_000)
    values = np.stack([shared, shared + rng.normal(0.02, 0.05, 2_000)])
    by = (np.arange(2_000) // 100, rng.integers(0, 300, 2_000))
    found = means(["a", "b"], values, by, Plan(500))
    low, high = found.difference("b", "a")[1:]
    assert high - low < 0.3 * (found.of("a").high - found.of("a").low)


def simulated(rng, between_blocks):
    """Questions of users in blocks around a true mean of 0."""
    block, user = np.repeat(np.arange(30), 16), np.tile(np.repeat(np.arange(8), 2), 30)
    means_of_blocks = rng.normal(0, between_blocks, 30)
    means_of_users = rng.normal(0, 1, (30, 8))
    values = means_of_blocks[block] + means_of_users[block, user] + rng.normal(0, 0.5, 480)
    return block, user, values


@pytest.mark.parametrize(("between_blocks", "at_most"), [(3.0, 0.985), (0.0, 1.0)])
def test_intervals_hold_the_truth_as_often_as_they_promise(between_blocks, at_most):
    rng = np.random.default_rng(5)
    held = []
    for seed in range(400):
        block, user, values = simulated(rng, between_blocks)
        found = means(["a"], values[None], (block, user), Plan(300, seed)).of("a")
        held.append(found.low <= 0.0 <= found.high)
    # one and a half points of noise in 400 runs; without block effects the interval is too wide
    assert 0.91 <= np.mean(held) <= at_most


def test_questions_without_a_number_are_left_out_for_all_arms():
    values = np.array([[1.0, np.nan, 3.0], [2.0, 2.0, 4.0]])
    by = (np.zeros(3, int), np.arange(3))
    found = means(["a", "b"], values, by, Plan(50))
    assert found.of("a").mean == 2.0
    assert found.of("b").mean == 3.0
    nothing = means(["a"], np.full((1, 3), np.nan), by, Plan(50)).of("a")
    assert np.isnan(nothing).all()
    assert nothing.as_json() == {"mean": None, "low": None, "high": None}


def test_an_arm_has_the_same_interval_whoever_stands_beside_it():
    rng = np.random.default_rng(2)
    values, by = rng.random((3, 300)), (rng.integers(0, 5, 300), rng.integers(0, 40, 300))
    alone = means(["a"], values[:1], by, Plan(100)).of("a")
    assert means(["a", "b", "c"], values, by, Plan(100)).of("a") == pytest.approx(alone)


def test_a_single_block_is_a_bootstrap_over_its_users():
    values = np.random.default_rng(0).normal(0, 1, 400)
    found = means(["a"], values[None], (np.zeros(400, int), np.arange(400)), Plan(2_000)).of("a")
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_no_question_is_refused():
    with pytest.raises(BadInputError, match="at least one question"):
        cells_of(np.array([], int), np.array([], int))


def test_an_interval_passes_over_what_is_no_number():
    low, high = interval(np.array([np.nan, *range(1, 1_001)]))
    assert (low, high) == pytest.approx((25.975, 975.025))


def test_coverage_is_the_share_of_items_in_any_list():
    top = np.array([[0, 1], [1, 2], [2, -1], [3, 0]])
    block = np.array([0, 0, 1, 1])
    found = set_share(top.astype(np.int32), block, 8)
    assert found.mean == 4 / 8
    # without the first block 1 is gone, without the second 3: both lose as much
    assert (found.low, found.high) == (0.5, 0.5)


def test_the_interval_of_coverage_is_the_jackknife_over_blocks():
    rng = np.random.default_rng(3)
    top, block = rng.integers(0, 400, (60, 5)).astype(np.int32), np.arange(60) // 10
    share = len(np.unique(top)) / 400
    without = np.array([len(np.unique(top[block != b])) / 400 for b in range(6)])
    error = np.sqrt(5 / 6 * np.square(without - without.mean()).sum())
    expected = (share, share - 1.96 * error, share + 1.96 * error)
    assert set_share(top, block, 400) == pytest.approx(expected)
