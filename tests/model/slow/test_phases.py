"""When the second phase of learning begins, and what is measured to know it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.slow.bundle import Bundle
from model.slow.evaluation import evaluate
from model.slow.phases import (
    FLAT,
    PATIENCE,
    Check,
    bias_error,
    measured,
    planning_weights,
    settled,
)
from model.slow.scorer import SlowScorer
from tests.tiny_model import halves_alone, tiny_model

NOISE = 0.01


def checks(executions, calibrations=None):
    calibrations = [0.05] * len(executions) if calibrations is None else calibrations
    return [
        Check(step, execution, 1.0, calibration, NOISE, 1.0, 1.0)
        for step, (execution, calibration) in enumerate(zip(executions, calibrations, strict=True))
    ]


def fired(curve):
    """The first check at which the second phase may begin."""
    return next((n for n in range(len(curve)) if settled(curve[: n + 1])), None)


@given(falling=st.integers(0, 12), slope=st.floats(0.003, 0.5), rest=st.integers(0, 8))
def test_the_second_phase_begins_once_the_curves_have_been_flat_for_long_enough(
    falling, slope, rest
):
    fall = [3.0 * (1 - slope) ** n for n in range(falling + 1)]
    curve = checks([*fall, *[fall[-1]] * rest])
    assert fired(curve) == (falling + PATIENCE if rest >= PATIENCE else None)


@given(st.lists(st.floats(2 * FLAT, 0.5) | st.floats(-0.5, -2 * FLAT), max_size=20))
def test_it_never_begins_while_the_execution_loss_moves(slopes):
    executions = 3.0 * np.cumprod([1.0, *(1.0 - np.array(slopes))])
    assert fired(checks(executions.tolist())) is None


def test_calibration_that_moves_beyond_its_noise_puts_it_off():
    moving = [0.05 + 2 * NOISE * n for n in range(5)]
    still = [moving[-1]] * PATIENCE
    curve = checks([3.0] * (5 + PATIENCE), [*moving, *still])
    assert fired(curve) == 4 + PATIENCE
    within = checks([3.0] * 5, [0.05 + 0.9 * NOISE * n for n in range(5)])
    assert fired(within) == PATIENCE


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_a_loss_that_measures_nothing_is_never_flat(value):
    assert fired(checks([value] * 10)) is None


def test_a_surprise_weighs_more_and_a_disappointment_less():
    reward, expected = np.array([1.0, 0.0, 0.5]), np.array([0.9, 0.1, 0.5])
    assert planning_weights(reward, expected, 0.2).tolist() == pytest.approx([1.2, 0.8, 1.0])


def test_loss_and_entropy_split_into_category_and_item_within_it():
    bundle, examples = tiny_model()
    which = np.flatnonzero(examples.success)[:30]
    categories = np.random.default_rng(0).integers(0, 6, bundle.space.items.size).astype(np.int32)
    scorer = SlowScorer(bundle)
    slow = scorer.score(examples.queries(which))
    found = []
    for scores, item in zip(slow.wide + slow.deep + scorer.bias, examples.item[which], strict=True):
        odds = np.exp(np.float64(scores))
        chance = {n: odds[n] / odds[1:].sum() for n in range(1, len(odds))}
        pi: dict[int, float] = {}
        within = {}
        for n, p in chance.items():
            pi[categories[n]] = pi.get(categories[n], 0.0) + p
        for c in pi:
            q = [p / pi[c] for n, p in chance.items() if categories[n] == c]
            within[c] = -sum(x * np.log(x) for x in q)
        own = pi[categories[item]]
        found.append(
            (
                -np.log(chance[item] / own),
                -np.log(own),
                sum(pi[c] * within[c] for c in pi),
                -sum(p * np.log(p) for p in pi.values()),
            )
        )
    check = measured(bundle, examples, which, categories, 7)
    told = (check.execution, check.planning, check.within_entropy, check.category_entropy)
    assert check.step == 7
    assert told == pytest.approx(np.mean(found, axis=0), rel=1e-5)
    surprise = evaluate(halves_alone(bundle), examples, which).surprises.mean()
    assert check.execution + check.planning == pytest.approx(surprise, rel=1e-5)


def test_with_both_outcomes_calibration_is_that_of_the_outcome_head():
    bundle, examples = tiny_model()
    which = np.arange(300)
    one = np.zeros(bundle.space.items.size, np.int32)
    summary = evaluate(bundle, examples, which).summary()
    assert measured(bundle, examples, which, one, 0).calibration == pytest.approx(summary["ece"])
    successes = which[examples.success[which]]
    assert 0.0 < measured(bundle, examples, successes, one, 0).calibration < 1.0


def test_one_category_holds_all_of_the_loss_in_the_choice_of_the_item():
    bundle, examples = tiny_model()
    one = np.zeros(bundle.space.items.size, np.int32)
    check = measured(bundle, examples, np.arange(200), one, 0)
    assert check.planning == pytest.approx(0.0, abs=1e-9)
    assert check.category_entropy == pytest.approx(0.0, abs=1e-9)


def test_shares_that_are_as_expected_have_no_bias():
    shares = np.random.default_rng(0).dirichlet(np.ones(50))
    assert bias_error(shares, shares) == pytest.approx(0.0, abs=1e-12)
    assert bias_error(np.array([0.25, 0.75]), np.array([0.5, 0.5]), bins=2) == pytest.approx(0.25)


def test_a_model_that_exploded_is_measured_and_never_flat():
    bundle, examples = tiny_model()
    broken = dict(bundle.parameters)
    broken["item_bias"] = np.full_like(broken["item_bias"], np.nan)
    space, which = bundle.space, np.arange(100)
    one = np.zeros(space.items.size, np.int32)
    check = measured(Bundle(space, broken, bundle.calibration), examples, which, one, 0)
    assert not np.isfinite(check.execution)
    assert not settled([check] * 10)
